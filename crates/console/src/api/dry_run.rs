//! What a whole sync of a provider would do.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use scimfleet_core::preview::DryRun;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{ApiError, Problem};
use super::providers::provider;
use crate::ConsoleState;
use crate::rehearsal::{self, Rehearsal, Stage};

pub(super) fn routes() -> OpenApiRouter<ConsoleState> {
    OpenApiRouter::new().routes(routes!(begin, show))
}

/// A dry run: it goes on, ended or failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRunBody {
    /// `going`, `ended` or `failed`.
    state: &'static str,
    /// When it began, or ended.
    at_ms: i64,
    /// Objects looked at so far, while it goes on.
    looked_at: Option<u64>,
    /// Why it failed.
    error: Option<String>,
    /// What would be done, once it ended.
    result: Option<DryRunResult>,
}

/// What a whole sync would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRunResult {
    /// `created`, `adopted`, `updated`, `deactivated`, `deleted`: how many of each; those without any are left out.
    #[schema(value_type = Object)]
    counts: BTreeMap<&'static str, u64>,
    unchanged: u64,
    /// Accounts left as they are though their objects are not wanted any more.
    kept: u64,
    /// Objects that a person must look at.
    parked: u64,
    /// The object whose data would stop the run, with what is wrong.
    stopped: Option<String>,
    /// The first writes, as `scimfleet sync --dry-run --output json` gives them; what may be a secret is covered.
    #[schema(value_type = Vec<Object>)]
    plan: Vec<Value>,
}

impl From<&DryRun> for DryRunResult {
    fn from(dry: &DryRun) -> Self {
        Self {
            counts: dry.counts.clone(),
            unchanged: dry.unchanged,
            kept: dry.kept,
            parked: dry.parked.len() as u64,
            stopped: dry.stopped.as_ref().map(|(object, data)| format!("`{object}`: {}", data.message)),
            plan: dry.plan.iter().filter_map(|planned| serde_json::to_value(planned).ok()).collect(),
        }
    }
}

impl From<Rehearsal> for DryRunBody {
    fn from(one: Rehearsal) -> Self {
        let looked_at = one.looked_at();
        let (state, error, result) = match &one.stage {
            Stage::Going(_) => ("going", None, None),
            Stage::Ended(dry) => ("ended", None, Some(DryRunResult::from(&**dry))),
            Stage::Failed(words) => ("failed", Some(words.clone()), None),
        };
        Self { state, at_ms: one.at_ms, looked_at, error, result }
    }
}

/// Begins a dry run of a whole provider: its listing is read, and nothing is written anywhere. The result is kept
/// by the process that was asked.
#[utoipa::path(post, path = "/providers/{name}/dry-run", tag = "providers", params(("name" = String, Path,)),
    responses((status = 202), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn begin(State(state): State<ConsoleState>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    rehearsal::begin(&state, provider(&state.store, &name).await?)??;
    Ok(StatusCode::ACCEPTED)
}

/// The dry run that goes on, or the last one that this process made.
#[utoipa::path(get, path = "/providers/{name}/dry-run", tag = "providers", params(("name" = String, Path,)),
    responses((status = 200, body = DryRunBody), (status = 404, body = Problem)))]
async fn show(State(state): State<ConsoleState>, Path(name): Path<String>) -> Result<Json<DryRunBody>, ApiError> {
    let row = provider(&state.store, &name).await?;
    let one = state.rehearsals.of(row.id).ok_or_else(|| ApiError::missing("dry run of", &name))?;
    Ok(Json(DryRunBody::from(one)))
}
