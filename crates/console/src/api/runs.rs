//! Runs and their tasks.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use scimfleet_core::{ProviderId, RunId, TaskId};
use scimfleet_store::{RunCell, RunRow, Store};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Params, Problem};
use super::providers::provider;
use super::wire::{List, Run, RunDetail, RunTask, limits, word};
use crate::ConsoleState;
use crate::levers;
use crate::session::Who;

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(tasks)).routes(routes!(cancel))
}

/// A run that was queued.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Opened {
    pub(crate) id: String,
}

/// Names of providers by their key; of one that was removed, empty.
pub(super) struct Names(HashMap<ProviderId, String>);

impl Names {
    pub(super) async fn read(store: &Store) -> Result<Self, ApiError> {
        Ok(Self(store.providers().await?.into_iter().map(|row| (row.id, row.settings.name.to_string())).collect()))
    }

    pub(super) fn of(&self, id: ProviderId) -> String {
        self.0.get(&id).cloned().unwrap_or_default()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RunsParams {
    /// Only runs of this provider.
    provider: Option<String>,
    /// The `next` of the page before.
    before: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunsParams),
    responses((status = 200, body = List<Run>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn list(
    State(state): State<ConsoleState>,
    Params(params): Params<RunsParams>,
) -> Result<Json<List<Run>>, ApiError> {
    let (limit, one_more) = limits(params.limit)?;
    let of = match &params.provider {
        Some(name) => Some(provider(&state.store, name).await?.id),
        None => None,
    };
    let before: Option<RunId> = word("before", params.before.as_ref())?;
    let rows = state.store.runs_before(of, before, one_more).await?;
    let names = Names::read(&state.store).await?;
    Ok(Json(List::cut(rows, limit, |row| row.id.to_string(), |row| Run::of(&row, names.of(row.provider_id)))))
}

async fn run(store: &Store, id: &str) -> Result<RunRow, ApiError> {
    let missing = || ApiError::missing("run", id);
    let id: RunId = id.parse().map_err(|_| missing())?;
    store.run(id).await?.ok_or_else(missing)
}

async fn detail(state: &ConsoleState, row: RunRow) -> Result<Json<RunDetail>, ApiError> {
    let cells = state.store.run_cells(row.id).await?;
    let names = Names::read(&state.store).await?;
    let provider = names.of(row.provider_id);
    Ok(Json(RunDetail::of(row, provider, &cells)))
}

/// A run with its counts.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = String, Path,)),
    responses((status = 200, body = RunDetail), (status = 404, body = Problem)))]
async fn show(State(state): State<ConsoleState>, Path(id): Path<String>) -> Result<Json<RunDetail>, ApiError> {
    let row = run(&state.store, &id).await?;
    detail(&state, row).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TasksParams {
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// A run's tasks in the order of their making.
#[utoipa::path(get, path = "/runs/{id}/tasks", tag = "runs", params(("id" = String, Path,), TasksParams),
    responses((status = 200, body = List<RunTask>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn tasks(
    State(state): State<ConsoleState>,
    Path(id): Path<String>,
    Params(params): Params<TasksParams>,
) -> Result<Json<List<RunTask>>, ApiError> {
    let row = run(&state.store, &id).await?;
    let (limit, _) = limits(params.limit)?;
    let after: Option<TaskId> = word("after", params.after.as_ref())?;
    let mut cells = state.store.run_cells(row.id).await?;
    if let Some(after) = after {
        let at = cells.iter().position(|cell| cell.id == after);
        let at = at.ok_or_else(|| ApiError::missing("task", after.to_string()))?;
        cells.drain(..=at);
    }
    Ok(Json(List::cut(cells, limit, |cell: &RunCell| cell.id.to_string(), RunTask::from)))
}

/// Ends a run; its open tasks are dropped, requests under way finish.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = String, Path,)),
    responses((status = 200, body = RunDetail), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn cancel(
    State(state): State<ConsoleState>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
) -> Result<Json<RunDetail>, ApiError> {
    let row = run(&state.store, &id).await?;
    levers::cancel_run(&state, &row, &who.name).await??;
    let row = run(&state.store, &id).await?;
    detail(&state, row).await
}
