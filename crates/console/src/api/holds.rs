//! What the guard withheld, and deciding about it.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use scimfleet_core::provider::Leavers;
use scimfleet_core::state::HoldState;
use scimfleet_store::HoldRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Params, Problem};
use super::wire::{Hold, List, Loss, limits, word};
use crate::ConsoleState;
use crate::levers;
use crate::session::Who;

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(items))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

/// What became of a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decided {
    pub(crate) id: String,
    /// `approved` or `rejected`.
    pub(crate) state: String,
    /// Removals that are executed now.
    pub(crate) released: usize,
    /// Objects that changed since they were withheld: nothing is done to them.
    pub(crate) moved: Vec<Loss>,
}

/// The provider's name, and what it does with leavers.
async fn provider_of(state: &ConsoleState, hold: &HoldRow) -> Result<(String, Leavers), ApiError> {
    let rows = state.store.providers().await?;
    let row = rows.into_iter().find(|row| row.id == hold.provider_id);
    Ok(row.map(|row| (row.settings.name.to_string(), row.settings.leavers)).unwrap_or_default())
}

async fn shape(state: &ConsoleState, hold: &HoldRow) -> Result<Hold, ApiError> {
    let (provider, leavers) = provider_of(state, hold).await?;
    let deed = levers::deed(&hold.items, &leavers, &provider);
    Ok(Hold::of(hold, provider, deed))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HoldsParams {
    /// `waiting`, `approved`, `rejected` or `expired`.
    state: Option<String>,
    /// The `next` of the page before.
    before: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Holds, newest first.
#[utoipa::path(get, path = "/holds", tag = "holds", params(HoldsParams),
    responses((status = 200, body = List<Hold>), (status = 400, body = Problem)))]
async fn list(
    State(state): State<ConsoleState>,
    Params(params): Params<HoldsParams>,
) -> Result<Json<List<Hold>>, ApiError> {
    let (limit, one_more) = limits(params.limit)?;
    let wanted: Option<HoldState> = word("state", params.state.as_ref())?;
    let rows = state.store.holds_before(wanted, params.before.as_deref(), one_more).await?;
    let mut shaped = Vec::with_capacity(rows.len());
    for row in &rows {
        shaped.push(shape(&state, row).await?);
    }
    Ok(Json(List::cut(shaped, limit, |hold: &Hold| hold.id.clone(), |hold| hold)))
}

async fn hold(state: &ConsoleState, id: &str) -> Result<HoldRow, ApiError> {
    state.store.hold(id).await?.ok_or_else(|| ApiError::missing("hold", id))
}

/// A hold.
#[utoipa::path(get, path = "/holds/{id}", tag = "holds", params(("id" = String, Path,)),
    responses((status = 200, body = Hold), (status = 404, body = Problem)))]
async fn show(State(state): State<ConsoleState>, Path(id): Path<String>) -> Result<Json<Hold>, ApiError> {
    let row = hold(&state, &id).await?;
    Ok(Json(shape(&state, &row).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ItemsParams {
    /// The `next` of the page before.
    after: Option<usize>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// What each object in a hold would lose.
#[utoipa::path(get, path = "/holds/{id}/items", tag = "holds", params(("id" = String, Path,), ItemsParams),
    responses((status = 200, body = List<Loss>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn items(
    State(state): State<ConsoleState>,
    Path(id): Path<String>,
    Params(params): Params<ItemsParams>,
) -> Result<Json<List<Loss>>, ApiError> {
    let row = hold(&state, &id).await?;
    let (limit, _) = limits(params.limit)?;
    let (_, leavers) = provider_of(&state, &row).await?;
    let from = params.after.unwrap_or(0);
    let next = from.saturating_add(limit);
    let next = (next < row.items.len()).then(|| next.to_string());
    let page = row.items.into_iter().skip(from).take(limit);
    let items = page.map(|item| {
        let fate = levers::fate(&item, &leavers);
        Loss::of(item, Some(fate))
    });
    Ok(Json(List { items: items.collect(), next }))
}

async fn decide(state: &ConsoleState, id: &str, decision: HoldState, who: &Who) -> Result<Json<Decided>, ApiError> {
    let row = hold(state, id).await?;
    let moved = levers::decide(state, &row, decision, &who.name).await??;
    state.forget_overview().await;
    let released = if decision == HoldState::Approved { row.items.len() - moved.len() } else { 0 };
    let moved = moved.into_iter().map(|item| Loss::of(item, None)).collect();
    Ok(Json(Decided { id: id.to_owned(), state: decision.to_string(), released, moved }))
}

/// Executes exactly what a hold lists and has not changed since.
#[utoipa::path(post, path = "/holds/{id}/approve", tag = "holds", params(("id" = String, Path,)),
    responses((status = 200, body = Decided), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn approve(
    State(state): State<ConsoleState>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
) -> Result<Json<Decided>, ApiError> {
    decide(&state, &id, HoldState::Approved, &who).await
}

/// Leaves the accounts as they are.
#[utoipa::path(post, path = "/holds/{id}/reject", tag = "holds", params(("id" = String, Path,)),
    responses((status = 200, body = Decided), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn reject(
    State(state): State<ConsoleState>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
) -> Result<Json<Decided>, ApiError> {
    decide(&state, &id, HoldState::Rejected, &who).await
}
