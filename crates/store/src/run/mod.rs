//! Runs: one full synchronisation of one provider, its phases and its tasks (R13–R18).

pub(crate) mod phase;
pub(crate) mod read;
pub(crate) mod task;

use std::collections::BTreeMap;

use scimfleet_core::state::RunState;
use scimfleet_core::{ProviderId, ResourceId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::connect::Store;
use crate::error::StoreError;
use crate::signal::Signal;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// Everything.
    Full,
}

impl RunKind {
    /// The word in the database and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
        }
    }
}

/// How a run came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// By schedule, for the slot that begins at this time (milliseconds since 1970): skipped when another
    /// run is going (R17).
    Scheduled(i64),
    /// By a person or a job message: queues behind the run that is going, at most one.
    Asked,
}

/// Why a run ended early, for the report (contract §2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunError {
    /// One word.
    pub code: String,
    /// For people.
    pub message: String,
    /// The object, if one is to blame.
    pub object: Option<String>,
    /// The mapping, if one is to blame.
    pub mapping: Option<String>,
    /// Violations as `{"path","rule","value_kind"}`.
    pub violations: Vec<Value>,
}

/// Counters of a task or of a run: objects by outcome, requests by method.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// `created`, `updated`, `deleted`, `deactivated`, `adopted`, `unchanged`, `parked`, `waiting`, `held`,
    /// `failed`.
    pub objects: BTreeMap<String, u64>,
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `bulk_operations`.
    pub requests: BTreeMap<String, u64>,
}

impl Counts {
    /// Counts one object.
    pub fn object(&mut self, outcome: &str) {
        *self.objects.entry(outcome.to_owned()).or_default() += 1;
    }

    /// Counts requests of one method.
    pub fn request(&mut self, method: &str, count: u64) {
        *self.requests.entry(method.to_owned()).or_default() += count;
    }

    /// Counts requests of one method, if there were any.
    pub fn request_if_any(&mut self, method: &str, count: u64) {
        if count > 0 {
            self.request(method, count);
        }
    }

    /// Adds another's counters.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.objects {
            *self.objects.entry(name.clone()).or_default() += count;
        }
        for (name, count) in &other.requests {
            *self.requests.entry(name.clone()).or_default() += count;
        }
    }
}

impl Store {
    /// Queues a run. `None`: the slot was taken by another scheduler, or a queued run serves already.
    pub async fn queue_run(
        &self,
        provider: ProviderId,
        kind: RunKind,
        opening: Opening,
    ) -> Result<Option<RunId>, StoreError> {
        let id = RunId(self.new_key());
        let (slot, cause) = match opening {
            Opening::Scheduled(slot) => (Some(slot), "schedule"),
            Opening::Asked => (None, "job"),
        };
        let sql = "INSERT INTO runs (id, provider_id, kind, slot, state, cause, open_tasks, untasked, listings, \
             created_at) VALUES ($1, $2, $3, $4, 'queued', $5, 0, 0, '{}', $6) ON CONFLICT DO NOTHING";
        let done = sqlx::query(sql)
            .bind(id.to_string())
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(slot)
            .bind(cause)
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        self.fire(Signal::Runs).await?;
        Ok((done.rows_affected() == 1).then_some(id))
    }

    /// Whether a slot was taken, by a run or by a skipped one.
    pub async fn has_slot(&self, provider: ProviderId, slot: i64) -> Result<bool, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM runs WHERE provider_id = $1 AND kind = 'full' AND slot = $2";
        let count: i64 = sqlx::query_scalar(sql).bind(provider.to_string()).bind(slot).fetch_one(self.read()).await?;
        Ok(count > 0)
    }

    /// The queued run of a provider, if any.
    pub async fn queued_run(&self, provider: ProviderId) -> Result<Option<RunId>, StoreError> {
        let sql = "SELECT id FROM runs WHERE provider_id = $1 AND state = 'queued'";
        let row = sqlx::query(sql).bind(provider.to_string()).fetch_optional(self.read()).await?;
        row.map(|row| crate::sql::word(&row, "runs", "id")).transpose()
    }

    /// Records that a scheduled run was not opened, so that nobody wonders (R17).
    pub async fn skip_run(&self, provider: ProviderId, slot: i64, reason: &str) -> Result<(), StoreError> {
        let now = self.now_ms();
        let error = RunError {
            code: "skipped".to_owned(),
            message: reason.to_owned(),
            object: None,
            mapping: None,
            violations: Vec::new(),
        };
        let sql = "INSERT INTO runs (id, provider_id, kind, slot, state, cause, open_tasks, untasked, listings, error, \
             created_at, finished_at) VALUES ($1, $2, 'full', $3, 'skipped', 'schedule', 0, 0, '{}', $4, $5, $5) \
             ON CONFLICT DO NOTHING";
        sqlx::query(sql)
            .bind(self.new_key().to_string())
            .bind(provider.to_string())
            .bind(slot)
            .bind(crate::sql::json(&error))
            .bind(now)
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }

    /// Ends a run early, whatever its phase: its open tasks are dropped. False when it had ended before.
    pub async fn end_run(&self, run: RunId, state: RunState, error: Option<&RunError>) -> Result<bool, StoreError> {
        let now = self.now_ms();
        let mut tx = self.begin().await?;
        let sql = "UPDATE runs SET state = $2, error = $3, finished_at = $4, open_tasks = 0 WHERE id = $1 \
             AND state IN ('queued', 'observing', 'users', 'groups', 'references', 'clean-up')";
        let done = sqlx::query(sql)
            .bind(run.to_string())
            .bind(state.as_str())
            .bind(error.map(crate::sql::json))
            .bind(now)
            .execute(&mut *tx)
            .await?;
        let ended = done.rows_affected() == 1;
        if ended {
            let sql = "UPDATE run_tasks SET state = 'dropped', finished_at = $2 WHERE run_id = $1 AND state = 'open'";
            sqlx::query(sql).bind(run.to_string()).bind(now).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        self.fire(Signal::Runs).await?;
        Ok(ended)
    }
}

/// Ids of one task, as the scheduler cuts them.
pub(crate) fn objects_json(objects: &[ResourceId]) -> String {
    crate::sql::json(objects)
}
