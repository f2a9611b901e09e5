//! What does not go by itself: parked objects, leavers who still have access, dead letters; and who works.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use scimfleet_core::ResourceId;
use scimfleet_core::state::ParkReason;
use scimfleet_store::{LeaverPlace, Parked, ParkedGroup, Store};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Body, Params, Problem};
use super::providers::{provider, provider_id};
use super::runs::Names;
use super::wire::{Count, Dead, LeaverLine, Link, List, Worker, limits, word};
use crate::letters;
use crate::levers;
use crate::objects::{Named, named};
use crate::{Cluster, ConsoleState};

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new()
        .routes(routes!(parked))
        .routes(routes!(parked_groups))
        .routes(routes!(retry))
        .routes(routes!(give_up))
        .routes(routes!(leavers))
        .routes(routes!(workers))
        .routes(routes!(end_worker))
        .routes(routes!(dead_letters))
        .routes(routes!(dead_groups))
        .routes(routes!(replay))
        .routes(routes!(drop_letters))
}

fn cluster(state: &ConsoleState) -> Result<&Cluster, ApiError> {
    state.cluster.as_ref().ok_or(ApiError::NoCluster)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ParkedParams {
    /// The provider.
    provider: String,
    /// `invalid`, `refused`, `conflict`, `exhausted` or `unsafe`.
    reason: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Parked objects of a provider, by object id.
#[utoipa::path(get, path = "/parked", tag = "objects", params(ParkedParams),
    responses((status = 200, body = List<Link>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn parked(
    State(state): State<ConsoleState>,
    Params(params): Params<ParkedParams>,
) -> Result<Json<List<Link>>, ApiError> {
    let row = provider(&state.store, &params.provider).await?;
    let (limit, one_more) = limits(params.limit)?;
    let reason: Option<ParkReason> = word("reason", params.reason.as_ref())?;
    let after: Option<ResourceId> = word("after", params.after.as_ref())?;
    let rows = state.store.parked_after(row.id, reason, after.as_ref(), one_more).await?;
    let rows = named(&state.store, rows).await?;
    let key = |row: &Named| row.link.resource_id.to_string();
    Ok(Json(List::cut(rows, limit, key, |row| Link::of(row.link, params.provider.clone(), Some(row.name)))))
}

/// Parked objects of a provider that have the same trouble.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trouble {
    /// `invalid`, `refused`, `conflict`, `exhausted` or `unsafe`.
    reason: String,
    /// The words of mapping or provider.
    words: Option<String>,
    /// How many.
    objects: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TroubleParams {
    /// The provider.
    provider: String,
    /// Rows, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// A provider's parked objects by their trouble, the most frequent first.
#[utoipa::path(get, path = "/parked/groups", tag = "objects", params(TroubleParams),
    responses((status = 200, body = List<Trouble>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn parked_groups(
    State(state): State<ConsoleState>,
    Params(params): Params<TroubleParams>,
) -> Result<Json<List<Trouble>>, ApiError> {
    let row = provider(&state.store, &params.provider).await?;
    let (limit, _) = limits(params.limit)?;
    let groups = state.store.parked_groups(row.id, i64::try_from(limit).unwrap_or(0)).await?;
    let shape =
        |group: ParkedGroup| Trouble { reason: group.reason.to_string(), words: group.words, objects: group.objects };
    Ok(Json(List { items: groups.into_iter().map(shape).collect(), next: None }))
}

/// Which parked objects.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkedBody {
    /// At this provider; at all if absent.
    provider: Option<String>,
    /// This object, by id; all if absent.
    object: Option<String>,
    /// Parked for this reason.
    reason: Option<String>,
    /// Parked with exactly these words.
    words: Option<String>,
}

impl ParkedBody {
    async fn meant(self, store: &Store) -> Result<Parked, ApiError> {
        Ok(Parked {
            provider: provider_id(store, self.provider.as_deref()).await?,
            object: word("object", self.object.as_ref())?,
            reason: word("reason", self.reason.as_ref())?,
            words: self.words,
        })
    }
}

/// Gives parked objects another chance.
#[utoipa::path(post, path = "/parked/retry", tag = "objects", request_body = ParkedBody,
    responses((status = 200, body = Count), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn retry(State(state): State<ConsoleState>, Body(body): Body<ParkedBody>) -> Result<Json<Count>, ApiError> {
    let count = state.store.retry_parked(&body.meant(&state.store).await?).await?;
    state.forget_overview().await;
    Ok(Json(Count { count }))
}

/// Gives parked objects up until they, a mapping or the provider's settings change. Whoever is to lose access
/// stays parked. The provider must be named.
#[utoipa::path(post, path = "/parked/drop", tag = "objects", request_body = ParkedBody,
    responses((status = 200, body = Count), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn give_up(State(state): State<ConsoleState>, Body(body): Body<ParkedBody>) -> Result<Json<Count>, ApiError> {
    if body.provider.is_none() {
        return Err(ApiError::Bad("name the `provider` at which objects are given up".to_owned()));
    }
    let count = state.store.drop_parked(&body.meant(&state.store).await?).await?;
    state.forget_overview().await;
    Ok(Json(Count { count }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LeaversParams {
    /// Only those who have waited this long at the least.
    older_than_ms: Option<i64>,
    /// Only at this provider.
    provider: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Who is to lose access and still has it, the oldest first.
#[utoipa::path(get, path = "/leavers", tag = "objects", params(LeaversParams),
    responses((status = 200, body = List<LeaverLine>), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn leavers(
    State(state): State<ConsoleState>,
    Params(params): Params<LeaversParams>,
) -> Result<Json<List<LeaverLine>>, ApiError> {
    let (limit, one_more) = limits(params.limit)?;
    let of = provider_id(&state.store, params.provider.as_deref()).await?;
    let after: Option<LeaverPlace> = word("after", params.after.as_ref())?;
    let older_than_ms = params.older_than_ms.unwrap_or(0);
    let rows = state.store.leavers(older_than_ms, of, after.as_ref(), one_more).await?;
    let names = Names::read(&state.store).await?;
    let shape = |leaver: scimfleet_store::Leaver| {
        let provider = names.of(leaver.provider_id);
        LeaverLine::of(leaver, provider)
    };
    Ok(Json(List::cut(rows, limit, |leaver| leaver.place().to_string(), shape)))
}

/// Workers that live.
#[utoipa::path(get, path = "/workers", tag = "cluster",
    responses((status = 200, body = List<Worker>), (status = 503, body = Problem)))]
async fn workers(State(state): State<ConsoleState>) -> Result<Json<List<Worker>>, ApiError> {
    let beats = cluster(&state)?.coordination.workers().await?;
    Ok(Json(List { items: beats.into_iter().map(Worker::from).collect(), next: None }))
}

/// Asks a worker to finish what it holds and to end; whatever keeps it running starts it anew.
#[utoipa::path(post, path = "/workers/{name}/drain", tag = "cluster", params(("name" = String, Path,)),
    responses((status = 202), (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn end_worker(State(state): State<ConsoleState>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    levers::end_worker(&state, &name).await??;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeadParams {
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows of the page, 1 to 500; 100 if absent.
    limit: Option<usize>,
}

/// Messages that nobody could work on, oldest first.
#[utoipa::path(get, path = "/dead-letters", tag = "cluster", params(DeadParams),
    responses((status = 200, body = List<Dead>), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn dead_letters(
    State(state): State<ConsoleState>,
    Params(params): Params<DeadParams>,
) -> Result<Json<List<Dead>>, ApiError> {
    let (limit, _) = limits(params.limit)?;
    let letters = letters::page(cluster(&state)?, params.after.as_deref(), limit).await?;
    Ok(Json(List { items: letters.rows.into_iter().map(Dead::from).collect(), next: letters.next }))
}

/// Dead letters that have the same trouble.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadGroup {
    /// Why nobody could work on them.
    reason: String,
    /// Where they were to go.
    routing_key: String,
    /// Their ids.
    ids: Vec<String>,
}

/// Dead letters by their trouble, the most frequent first: of the oldest 1,000.
#[utoipa::path(get, path = "/dead-letters/groups", tag = "cluster",
    responses((status = 200, body = List<DeadGroup>), (status = 503, body = Problem)))]
async fn dead_groups(State(state): State<ConsoleState>) -> Result<Json<List<DeadGroup>>, ApiError> {
    let groups = letters::groups(cluster(&state)?).await?;
    let shape =
        |group: letters::Group| DeadGroup { reason: group.reason, routing_key: group.routing_key, ids: group.ids };
    Ok(Json(List { items: groups.into_iter().map(shape).collect(), next: None }))
}

/// Which dead letters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Letters {
    /// Their ids.
    ids: Option<Vec<String>>,
    /// All of them.
    #[serde(default)]
    all: bool,
}

impl Letters {
    /// The queue takes an empty list for all: a body that names none must say that it means it.
    fn ids(self) -> Result<Vec<String>, ApiError> {
        match (self.ids, self.all) {
            (Some(ids), false) if !ids.is_empty() => Ok(ids),
            (None, true) => Ok(Vec::new()),
            _ => Err(ApiError::Bad("name `ids`, or say `\"all\": true`, not both".to_owned())),
        }
    }
}

/// Publishes dead letters again to where they came from.
#[utoipa::path(post, path = "/dead-letters/replay", tag = "cluster", request_body = Letters,
    responses((status = 200, body = Count), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn replay(State(state): State<ConsoleState>, Body(body): Body<Letters>) -> Result<Json<Count>, ApiError> {
    let count = cluster(&state)?.queue.replay_dead_letters(&body.ids()?).await?;
    Ok(Json(Count { count }))
}

/// Removes dead letters for good.
#[utoipa::path(post, path = "/dead-letters/drop", tag = "cluster", request_body = Letters,
    responses((status = 200, body = Count), (status = 400, body = Problem), (status = 503, body = Problem)))]
async fn drop_letters(State(state): State<ConsoleState>, Body(body): Body<Letters>) -> Result<Json<Count>, ApiError> {
    let count = cluster(&state)?.queue.drop_dead_letters(&body.ids()?).await?;
    Ok(Json(Count { count }))
}
