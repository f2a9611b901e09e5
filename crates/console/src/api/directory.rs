//! Users and groups of the directory, their links, and what was sent about them.

use axum::Json;
use axum::extract::{Path, State};
use scimfleet_core::task::Cause;
use scimfleet_core::{ResourceId, ResourceKind, RunId};
use scimfleet_store::{ResourceRow, Store, TrailFilter, TrailRow};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Params, Problem};
use super::providers::provider_id;
use super::runs::Names;
use super::wire::{DirectoryObject, Link, List, LogLine, limits, word};
use crate::ConsoleState;
use crate::objects::{find, within};

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new()
        .routes(routes!(search))
        .routes(routes!(show))
        .routes(routes!(links))
        .routes(routes!(log))
        .routes(routes!(whole_log))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchParams {
    /// An id, externalId, userName or displayName, or the beginning of a name.
    q: Option<String>,
    /// `user` or `group`.
    kind: Option<String>,
    /// The `next` of the page before; with `kind` only.
    after: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Users and groups by name.
#[utoipa::path(get, path = "/objects", tag = "objects", params(SearchParams),
    responses((status = 200, body = List<DirectoryObject>), (status = 400, body = Problem)))]
async fn search(
    State(state): State<ConsoleState>,
    Params(params): Params<SearchParams>,
) -> Result<Json<List<DirectoryObject>>, ApiError> {
    let (limit, _) = limits(params.limit)?;
    let kind: Option<ResourceKind> = word("kind", params.kind.as_ref())?;
    let after: Option<ResourceId> = word("after", params.after.as_ref())?;
    if after.is_some() && kind.is_none() {
        return Err(ApiError::Bad("`after` needs `kind`: users and groups are listed one after the other".to_owned()));
    }
    let query = params.q.unwrap_or_default();
    let (rows, more) = find(&state.store, query.trim(), kind, after.as_ref(), limit).await?;
    // A page that ends among the users says so by its last id; the next one asks for that kind.
    let next = rows.last().filter(|_| more && kind.is_some()).map(|row| row.id.to_string());
    Ok(Json(List { items: rows.into_iter().map(|row| DirectoryObject::of(row, false)).collect(), next }))
}

/// The resource with this id; a tombstone, too.
pub(super) async fn object(store: &Store, id: &str) -> Result<ResourceRow, ApiError> {
    let missing = || ApiError::missing("object", id);
    let id = ResourceId::parse(id).map_err(|_| missing())?;
    store.resources(std::slice::from_ref(&id)).await?.into_iter().next().ok_or_else(missing)
}

/// One user or group with all attributes.
#[utoipa::path(get, path = "/objects/{id}", tag = "objects", params(("id" = String, Path,)),
    responses((status = 200, body = DirectoryObject), (status = 404, body = Problem)))]
async fn show(State(state): State<ConsoleState>, Path(id): Path<String>) -> Result<Json<DirectoryObject>, ApiError> {
    Ok(Json(DirectoryObject::of(object(&state.store, &id).await?, true)))
}

/// One object at every provider that considered it.
#[utoipa::path(get, path = "/objects/{id}/links", tag = "objects", params(("id" = String, Path,)),
    responses((status = 200, body = List<Link>), (status = 404, body = Problem)))]
async fn links(State(state): State<ConsoleState>, Path(id): Path<String>) -> Result<Json<List<Link>>, ApiError> {
    let object = object(&state.store, &id).await?;
    let names = Names::read(&state.store).await?;
    let rows = state.store.links_of(&object.id).await?;
    let name = object.name().to_owned();
    let shape = |row: scimfleet_store::LinkRow| {
        let provider = names.of(row.provider_id);
        Link::of(row, provider, Some(name.clone()))
    };
    Ok(Json(List { items: rows.into_iter().map(shape).collect(), next: None }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogParams {
    /// Only writes to this provider.
    provider: Option<String>,
    /// The `next` of the page before.
    before: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Writes about one object, newest first: attributes by name, never values.
#[utoipa::path(get, path = "/objects/{id}/log", tag = "objects", params(("id" = String, Path,), LogParams),
    responses((status = 200, body = List<LogLine>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn log(
    State(state): State<ConsoleState>,
    Path(id): Path<String>,
    Params(params): Params<LogParams>,
) -> Result<Json<List<LogLine>>, ApiError> {
    let object = object(&state.store, &id).await?;
    let (limit, one_more) = limits(params.limit)?;
    let of = provider_id(&state.store, params.provider.as_deref()).await?;
    let filter = TrailFilter { object: Some(object.id), provider: of, ..TrailFilter::default() };
    let rows = state.store.trail_before(&filter, params.before.as_deref(), one_more).await?;
    lines(&state.store, rows, limit).await
}

/// A page of the log.
async fn lines(store: &Store, rows: Vec<TrailRow>, limit: usize) -> Result<Json<List<LogLine>>, ApiError> {
    let names = Names::read(store).await?;
    let key = |line: &TrailRow| line.key.clone();
    Ok(Json(List::cut(rows, limit, key, |line| {
        let provider = names.of(line.row.provider_id);
        LogLine::of(line, provider)
    })))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct WholeLogParams {
    /// Only writes to this provider.
    provider: Option<String>,
    /// Only writes about this object, by id.
    object: Option<String>,
    /// Only writes of this run.
    run: Option<String>,
    /// Only writes for this cause: `full`, `change`, `retry` or `job`.
    cause: Option<String>,
    /// Not older than this, milliseconds since 1970.
    since_ms: Option<i64>,
    /// Before this, milliseconds since 1970.
    until_ms: Option<i64>,
    /// The `next` of the page before.
    before: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Writes about all objects, newest first: attributes by name, never values.
#[utoipa::path(get, path = "/log", tag = "objects", params(WholeLogParams),
    responses((status = 200, body = List<LogLine>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn whole_log(
    State(state): State<ConsoleState>,
    Params(params): Params<WholeLogParams>,
) -> Result<Json<List<LogLine>>, ApiError> {
    let (limit, one_more) = limits(params.limit)?;
    let run: Option<RunId> = word("run", params.run.as_ref())?;
    let of_run = match run {
        Some(id) => Some(state.store.run(id).await?.ok_or_else(|| ApiError::missing("run", id.to_string()))?),
        None => None,
    };
    let cause: Option<Cause> = word("cause", params.cause.as_ref())?;
    let filter = TrailFilter {
        provider: provider_id(&state.store, params.provider.as_deref()).await?,
        object: word("object", params.object.as_ref())?,
        cause: cause.map(|cause| cause.as_str().to_owned()),
        since_ms: params.since_ms.unwrap_or(0),
        until_ms: params.until_ms,
        ..TrailFilter::default()
    };
    let filter = of_run.iter().fold(filter, within);
    let rows = state.store.trail_before(&filter, params.before.as_deref(), one_more).await?;
    lines(&state.store, rows, limit).await
}
