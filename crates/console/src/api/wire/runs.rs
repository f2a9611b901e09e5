//! Runs, their tasks, and what the guard withheld.

use std::collections::BTreeMap;

use scimfleet_store::{Counts, HoldItem, HoldRow, RunCell, RunRow};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) provider: String,
    /// `full`.
    pub(crate) kind: String,
    /// `queued`, `observing`, `users`, `groups`, `references`, `clean-up`, `completed`, `stopped`, `failed`,
    /// `cancelled` or `skipped`.
    pub(crate) state: String,
    /// `schedule` or `job`.
    pub(crate) cause: String,
    pub(crate) created_at_ms: i64,
    pub(crate) started_at_ms: Option<i64>,
    pub(crate) finished_at_ms: Option<i64>,
    /// Why it ended early: `code`, `message`, `object`, `mapping`, `violations`.
    #[schema(value_type = Option<Object>)]
    pub(crate) error: Option<Value>,
}

impl Run {
    pub(crate) fn of(row: &RunRow, provider: String) -> Self {
        Self {
            id: row.id.to_string(),
            provider,
            kind: row.kind.clone(),
            state: row.state.to_string(),
            cause: row.cause.clone(),
            created_at_ms: row.created_at_ms,
            started_at_ms: row.started_at_ms,
            finished_at_ms: row.finished_at_ms,
            error: row.error.as_ref().and_then(|error| serde_json::to_value(error).ok()),
        }
    }
}

/// A run with what its tasks did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunDetail {
    #[serde(flatten)]
    pub(crate) run: Run,
    /// Objects by outcome.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Requests by method.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Tasks by state: `open`, `done`, `dropped`.
    pub(crate) tasks: BTreeMap<String, u64>,
    /// Whether each kind's listing was complete.
    #[schema(value_type = Object)]
    pub(crate) listings: Map<String, Value>,
}

impl RunDetail {
    pub(crate) fn of(row: RunRow, provider: String, cells: &[RunCell]) -> Self {
        let Counts { objects, requests } = crate::grid::sums(cells, row.untasked.unsigned_abs());
        let mut tasks = BTreeMap::new();
        cells.iter().for_each(|cell| *tasks.entry(cell.state.clone()).or_default() += 1);
        Self { run: Run::of(&row, provider), counts: objects, requests, tasks, listings: row.listings }
    }
}

/// A task of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunTask {
    pub(crate) id: String,
    pub(crate) phase: String,
    /// `user` or `group`.
    pub(crate) kind: String,
    /// `open`, `done` or `dropped`.
    pub(crate) state: String,
    /// Objects in it, at most 100.
    pub(crate) objects: i64,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) requests: BTreeMap<String, u64>,
    pub(crate) worker: Option<String>,
    /// How often it was handed on.
    pub(crate) tries: i64,
    pub(crate) created_at_ms: i64,
    pub(crate) finished_at_ms: Option<i64>,
}

impl From<RunCell> for RunTask {
    fn from(cell: RunCell) -> Self {
        Self {
            id: cell.id.to_string(),
            phase: cell.phase.to_string(),
            kind: cell.kind.to_string(),
            state: cell.state,
            objects: cell.objects,
            counts: cell.counts.objects,
            requests: cell.counts.requests,
            worker: cell.worker,
            tries: cell.tries,
            created_at_ms: cell.created_at_ms,
            finished_at_ms: cell.finished_at_ms,
        }
    }
}

/// What the guard withheld.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hold {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) run: Option<String>,
    /// `waiting`, `approved`, `rejected` or `expired`.
    pub(crate) state: String,
    pub(crate) reason: String,
    /// What approving it does, in words.
    pub(crate) deed: String,
    /// Objects in it.
    pub(crate) objects: usize,
    pub(crate) created_at_ms: i64,
    pub(crate) decided_at_ms: Option<i64>,
    pub(crate) decided_by: Option<String>,
}

impl Hold {
    pub(crate) fn of(row: &HoldRow, provider: String, deed: String) -> Self {
        Self {
            id: row.id.clone(),
            provider,
            run: row.run_id.map(|run| run.to_string()),
            state: row.state.to_string(),
            reason: row.reason.clone(),
            deed,
            objects: row.items.len(),
            created_at_ms: row.created_at_ms,
            decided_at_ms: row.decided_at_ms,
            decided_by: row.decided_by.clone(),
        }
    }
}

/// One withheld object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Loss {
    pub(crate) object: String,
    /// `user` or `group`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// How it leaves, or what was planned.
    pub(crate) operation: String,
    /// What would become of its account: `delete`, `deactivate`, `change` or `keep`; null when not asked for.
    pub(crate) fate: Option<&'static str>,
}

impl Loss {
    pub(crate) fn of(item: HoldItem, fate: Option<&'static str>) -> Self {
        let HoldItem { resource_id, kind, name, operation, .. } = item;
        Self { object: resource_id.to_string(), kind: kind.to_string(), name, operation, fate }
    }
}
