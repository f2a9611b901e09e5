//! Users and groups of the directory, their links, and what was sent about them.

use axum::Json;
use axum::extract::{Path, State};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{LogRow, ResourceRow, Store};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Params, Problem};
use super::providers::provider;
use super::runs::Names;
use super::wire::{DirectoryObject, Link, List, LogLine, limits, word};
use crate::ConsoleState;
use crate::objects::find;

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new().routes(routes!(search)).routes(routes!(show)).routes(routes!(links)).routes(routes!(log))
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
    let of = match &params.provider {
        Some(name) => Some(provider(&state.store, name).await?.id),
        None => None,
    };
    let rows = state.store.log_before(&object.id, of, params.before.as_deref(), one_more).await?;
    let names = Names::read(&state.store).await?;
    let key = |(key, _): &(String, LogRow)| key.clone();
    Ok(Json(List::cut(rows, limit, key, |(key, row)| {
        let provider = names.of(row.provider_id);
        LogLine::of(key, row, provider)
    })))
}
