//! Reading runs: for reports, and for whoever waits.

use scimfleet_core::state::RunState;
use scimfleet_core::{ProviderId, RunId};
use serde_json::{Map, Value};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::task::read_counts;
use super::{Counts, RunError};
use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{document, statement, word};

/// A run as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// The provider.
    pub provider_id: ProviderId,
    /// `full`.
    pub kind: String,
    /// Where it stands.
    pub state: RunState,
    /// `schedule` or `job`.
    pub cause: String,
    /// Open tasks of the phase.
    pub open_tasks: i64,
    /// Objects that needed no task.
    pub untasked: i64,
    /// Whether each kind's listing was complete, and what is to be known of it.
    pub listings: Map<String, Value>,
    /// Why it ended early.
    pub error: Option<RunError>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub started_at_ms: Option<i64>,
    /// Milliseconds since 1970.
    pub finished_at_ms: Option<i64>,
}

/// A task of a run as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTaskRow {
    /// Its phase.
    pub phase: RunState,
    /// `open`, `done` or `dropped`.
    pub state: String,
    /// Objects in it.
    pub objects: i64,
    /// What it did.
    pub counts: Counts,
    /// Who did it.
    pub worker: Option<String>,
}

pub(crate) const COLUMNS: &str = "id, provider_id, kind, state, cause, open_tasks, untasked, listings, error, created_at, \
     started_at, finished_at";

pub(crate) fn run_row(row: &AnyRow) -> Result<RunRow, StoreError> {
    let error: Option<String> = row.try_get("error")?;
    Ok(RunRow {
        id: word(row, "runs", "id")?,
        provider_id: word(row, "runs", "provider_id")?,
        kind: row.try_get("kind")?,
        state: word(row, "runs", "state")?,
        cause: row.try_get("cause")?,
        open_tasks: row.try_get("open_tasks")?,
        untasked: row.try_get("untasked")?,
        listings: document(row, "runs", "listings")?,
        error: error.and_then(|text| serde_json::from_str(&text).ok()),
        created_at_ms: row.try_get("created_at")?,
        started_at_ms: row.try_get("started_at")?,
        finished_at_ms: row.try_get("finished_at")?,
    })
}

impl Store {
    /// One run.
    pub async fn run(&self, run: RunId) -> Result<Option<RunRow>, StoreError> {
        let sql = statement(format!("SELECT {COLUMNS} FROM runs WHERE id = $1"));
        sqlx::query(sql).bind(run.to_string()).fetch_optional(self.read()).await?.as_ref().map(run_row).transpose()
    }

    /// The newest runs, of one provider if given.
    pub async fn runs(&self, provider: Option<ProviderId>, limit: i64) -> Result<Vec<RunRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM runs WHERE ($1 = '' OR provider_id = $1) ORDER BY created_at DESC, id DESC LIMIT $2"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.map(|id| id.to_string()).unwrap_or_default())
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(run_row).collect()
    }

    /// A run's tasks in the order of their making.
    pub async fn run_tasks(&self, run: RunId) -> Result<Vec<RunTaskRow>, StoreError> {
        let sql =
            "SELECT phase, state, objects_n, counts, worker FROM run_tasks WHERE run_id = $1 ORDER BY created_at, id";
        let rows = sqlx::query(sql).bind(run.to_string()).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                Ok(RunTaskRow {
                    phase: word(row, "run_tasks", "phase")?,
                    state: row.try_get("state")?,
                    objects: row.try_get("objects_n")?,
                    counts: read_counts(row)?,
                    worker: row.try_get("worker")?,
                })
            })
            .collect()
    }

    /// The run of a provider that is going now, if any.
    pub async fn running(&self, provider: ProviderId) -> Result<Option<RunRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM runs WHERE provider_id = $1 \
             AND state IN ('observing', 'users', 'groups', 'references', 'clean-up')"
        ));
        sqlx::query(sql).bind(provider.to_string()).fetch_optional(self.read()).await?.as_ref().map(run_row).transpose()
    }

    /// The state of a run, quickly: workers ask before each task.
    pub async fn run_state(&self, run: RunId) -> Result<Option<RunState>, StoreError> {
        let row = sqlx::query("SELECT state FROM runs WHERE id = $1")
            .bind(run.to_string())
            .fetch_optional(self.read())
            .await?;
        row.map(|row| word(&row, "runs", "state")).transpose()
    }
}
