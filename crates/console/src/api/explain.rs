//! Why an object has, or has not, got to a provider; what would be sent; and taking every access away.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use scimfleet_core::ResourceKind;
use scimfleet_core::provider::MappingText;
use scimfleet_store::{ProviderRow, ResourceRow, TrailFilter};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::directory::object;
use super::problem::{ApiError, Problem};
use super::providers::provider;
use super::wire::{Link, List, LogLine};
use crate::ConsoleState;
use crate::insight::{Insight, covered};
use crate::levers;
use crate::session::Who;

/// Last writes in an explanation.
const LOG_SHOWN: i64 = 10;

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new().routes(routes!(preview)).routes(routes!(explain)).routes(routes!(offboard))
}

/// The way of one object to one provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewBody {
    provider: String,
    object: String,
    /// What the scope says.
    scope: &'static str,
    /// Each mapping's contribution, the merged result, violations, operation, changes and requests, as
    /// `scimfleet preview --output json` gives them; what may be a secret is covered.
    #[schema(value_type = Object)]
    preview: Value,
}

impl PreviewBody {
    pub(super) async fn make(
        insight: &dyn Insight,
        row: &ProviderRow,
        object: &ResourceRow,
        draft: Option<&MappingText>,
    ) -> Result<Self, ApiError> {
        let preview = covered(insight.preview(row, object, draft).await?);
        Ok(Self {
            provider: row.settings.name.to_string(),
            object: object.id.to_string(),
            scope: insight.scope(row, object).await?,
            preview: serde_json::to_value(preview).unwrap_or_default(),
        })
    }
}

/// What would be sent of an object to a provider, and why. Nothing is sent.
#[utoipa::path(get, path = "/providers/{name}/objects/{id}/preview", tag = "objects",
    params(("name" = String, Path,), ("id" = String, Path,)),
    responses((status = 200, body = PreviewBody), (status = 404, body = Problem), (status = 502, body = Problem)))]
async fn preview(
    State(state): State<ConsoleState>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<PreviewBody>, ApiError> {
    let row = provider(&state.store, &name).await?;
    let object = object(&state.store, &id).await?;
    PreviewBody::make(state.insight()?, &row, &object, None).await.map(Json)
}

/// Why an object has, or has not, got to a provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    provider: String,
    /// Of the provider.
    provider_state: String,
    /// What the scope says.
    scope: &'static str,
    /// Null: never considered there.
    link: Option<Link>,
    /// The hold that withholds it.
    held_by: Option<String>,
    /// The last writes, newest first.
    attempts: Vec<LogLine>,
}

/// Why an object has, or has not, got to each provider.
#[utoipa::path(get, path = "/objects/{id}/explain", tag = "objects", params(("id" = String, Path,)),
    responses((status = 200, body = List<Explanation>), (status = 404, body = Problem)))]
async fn explain(
    State(state): State<ConsoleState>,
    Path(id): Path<String>,
) -> Result<Json<List<Explanation>>, ApiError> {
    let (store, insight) = (&state.store, state.insight()?);
    let object = object(store, &id).await?;
    let mut links = store.links_of(&object.id).await?;
    let mut items = Vec::new();
    for row in store.providers().await? {
        let name = row.settings.name.to_string();
        let at = links.iter().position(|link| link.provider_id == row.id);
        let filter = TrailFilter { object: Some(object.id.clone()), provider: Some(row.id), ..TrailFilter::default() };
        let log = store.trail_before(&filter, None, LOG_SHOWN).await?;
        items.push(Explanation {
            scope: insight.scope(&row, &object).await?,
            provider_state: row.state.to_string(),
            link: at.map(|at| Link::of(links.swap_remove(at), name.clone(), Some(object.name().to_owned()))),
            held_by: store.held_by(row.id, &object.id).await?,
            attempts: log.into_iter().map(|line| LogLine::of(line, name.clone())).collect(),
            provider: name,
        });
    }
    Ok(Json(List { items, next: None }))
}

/// Deactivates a user in the directory and sends that to every provider at once, to paused ones, too. What each
/// answers stands in the user's links.
#[utoipa::path(post, path = "/objects/{id}/offboard", tag = "objects", params(("id" = String, Path,)),
    responses((status = 202), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn offboard(
    State(state): State<ConsoleState>,
    Extension(who): Extension<Who>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let user = object(&state.store, &id).await?;
    if user.kind != ResourceKind::User {
        return Err(ApiError::Bad("only a user can be offboarded".to_owned()));
    }
    levers::offboard(&state, &user, &who.name).await??;
    Ok(StatusCode::ACCEPTED)
}
