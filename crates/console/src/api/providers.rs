//! Providers, their links, and their levers.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use scimfleet_core::state::LinkState;
use scimfleet_core::task::Job;
use scimfleet_core::{ProviderId, ProviderName, ResourceId};
use scimfleet_store::{ProviderRow, Store};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Params, Problem};
use super::runs::Opened;
use super::wire::{Link, List, OverviewBody, ProviderDetail, ProviderSummary, limits, word};
use crate::ConsoleState;
use crate::levers::{self, Lever};
use crate::objects::named;
use crate::session::Who;
use crate::settings::{profile, settings_json};

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(disable))
        .routes(routes!(start))
        .routes(routes!(links))
        .routes(routes!(sync_object))
}

/// The provider of this name.
pub(super) async fn provider(store: &Store, name: &str) -> Result<ProviderRow, ApiError> {
    let missing = || ApiError::missing("provider", name);
    let name = ProviderName::parse(name).map_err(|_| missing())?;
    store.provider(&name).await?.ok_or_else(missing)
}

/// The key of a provider that may be named.
pub(super) async fn provider_id(store: &Store, name: Option<&str>) -> Result<Option<ProviderId>, ApiError> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => Ok(Some(provider(store, name).await?.id)),
        None => Ok(None),
    }
}

/// All providers at a glance, the worst first.
#[utoipa::path(get, path = "/overview", tag = "providers",
    responses((status = 200, body = OverviewBody), (status = 401, body = Problem)))]
async fn overview(State(state): State<ConsoleState>) -> Result<Json<OverviewBody>, ApiError> {
    Ok(Json((&*state.overview().await?).into()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct After {
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Providers by name.
#[utoipa::path(get, path = "/providers", tag = "providers", params(After),
    responses((status = 200, body = List<ProviderSummary>), (status = 400, body = Problem)))]
async fn list(
    State(state): State<ConsoleState>,
    Params(params): Params<After>,
) -> Result<Json<List<ProviderSummary>>, ApiError> {
    let (limit, _) = limits(params.limit)?;
    let after = params.after.unwrap_or_default();
    let mut rows = state.store.providers().await?;
    rows.retain(|row| row.settings.name.as_str() > after.as_str());
    Ok(Json(List::cut(rows, limit, |row| row.settings.name.to_string(), |row| (&row).into())))
}

/// What `If-Match` compares: it changes with the settings and with the state.
pub(super) fn tag(row: &ProviderRow) -> String {
    format!("\"{}-{}-{}\"", row.generation, row.state, row.state_since_ms)
}

/// A provider: figures, settings without secrets, profile with where each value comes from.
#[utoipa::path(get, path = "/providers/{name}", tag = "providers", params(("name" = String, Path,)),
    responses((status = 200, body = ProviderDetail, headers(("etag" = String))), (status = 404, body = Problem)))]
async fn show(State(state): State<ConsoleState>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let row = provider(&state.store, &name).await?;
    detail(&state, row).await
}

pub(super) async fn detail(state: &ConsoleState, row: ProviderRow) -> Result<Response, ApiError> {
    let (line, _) = state.line(&row).await?;
    let body = ProviderDetail {
        summary: (&row).into(),
        has_secret: row.secret_at_ms.is_some(),
        figures: (&line).into(),
        settings: settings_json(&row.settings),
        profile: profile(&row),
    };
    let mut response = Json(body).into_response();
    if let Ok(tag) = HeaderValue::try_from(tag(&row)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

async fn pull(
    state: &ConsoleState,
    headers: &HeaderMap,
    name: &str,
    lever: Lever,
    who: &Who,
) -> Result<Response, ApiError> {
    let row = provider(&state.store, name).await?;
    let expected = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    if expected.is_some_and(|expected| expected != "*" && expected != tag(&row)) {
        return Err(ApiError::Moved(name.to_owned()));
    }
    levers::pull(state, &row, lever, &who.name).await??;
    state.forget_overview().await;
    detail(state, provider(&state.store, name).await?).await
}

/// Stops sending to a provider; changes are kept, leavers keep their access there.
#[utoipa::path(post, path = "/providers/{name}/pause", tag = "providers",
    params(("name" = String, Path,), ("if-match" = Option<String>, Header,)),
    responses((status = 200, body = ProviderDetail), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn pause(
    State(state): State<ConsoleState>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    pull(&state, &headers, &name, Lever::Pause, &who).await
}

/// Takes a provider up again.
#[utoipa::path(post, path = "/providers/{name}/resume", tag = "providers",
    params(("name" = String, Path,), ("if-match" = Option<String>, Header,)),
    responses((status = 200, body = ProviderDetail), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn resume(
    State(state): State<ConsoleState>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    pull(&state, &headers, &name, Lever::Resume, &who).await
}

/// Takes a provider out of every schedule until it is resumed; its accounts stay.
#[utoipa::path(post, path = "/providers/{name}/disable", tag = "providers",
    params(("name" = String, Path,), ("if-match" = Option<String>, Header,)),
    responses((status = 200, body = ProviderDetail), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn disable(
    State(state): State<ConsoleState>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    pull(&state, &headers, &name, Lever::Disable, &who).await
}

/// Queues a full sync; one that is queued already serves.
#[utoipa::path(post, path = "/providers/{name}/runs", tag = "runs", params(("name" = String, Path,)),
    responses((status = 202, body = Opened), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn start(State(state): State<ConsoleState>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let row = provider(&state.store, &name).await?;
    let run = levers::start_run(&state, &row).await??;
    state.forget_overview().await;
    let location = [(header::LOCATION, format!("/api/v1/runs/{run}"))];
    Ok((StatusCode::ACCEPTED, location, Json(Opened { id: run.to_string() })).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LinksParams {
    /// Only links in this state.
    state: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Objects at a provider, by object id.
#[utoipa::path(get, path = "/providers/{name}/links", tag = "objects", params(("name" = String, Path,), LinksParams),
    responses((status = 200, body = List<Link>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn links(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    Params(params): Params<LinksParams>,
) -> Result<Json<List<Link>>, ApiError> {
    let row = provider(&state.store, &name).await?;
    let (limit, one_more) = limits(params.limit)?;
    let wanted: Option<LinkState> = word("state", params.state.as_ref())?;
    let after: Option<ResourceId> = word("after", params.after.as_ref())?;
    let rows = state.store.links(row.id, wanted, after.as_ref(), one_more).await?;
    let rows = named(&state.store, rows).await?;
    let key = |row: &crate::objects::Named| row.link.resource_id.to_string();
    Ok(Json(List::cut(rows, limit, key, |row| Link::of(row.link, name.clone(), Some(row.name)))))
}

/// Asks the scheduler to look at one object at one provider.
#[utoipa::path(post, path = "/providers/{name}/objects/{id}/sync", tag = "objects",
    params(("name" = String, Path,), ("id" = String, Path,)),
    responses((status = 202), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn sync_object(
    State(state): State<ConsoleState>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let row = provider(&state.store, &name).await?;
    let object = super::directory::object(&state.store, &id).await?;
    let cluster = state.cluster.as_ref().ok_or(ApiError::NoCluster)?;
    let job = Job::SyncObject { provider: row.settings.name, object: object.id.to_string() };
    cluster.queue.publish_job(&job).await?;
    Ok(StatusCode::ACCEPTED)
}
