//! Moving a run from phase to phase by compare-and-set, each phase's tasks inserted together with its
//! opening (R14).

use scimfleet_core::state::RunState;
use scimfleet_core::{ProviderId, RunId};
use sqlx::Row;

use super::task::{NewTask, insert_tasks};
use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::signal::Signal;
use crate::sql::word;

impl Store {
    /// Moves a run from `from` to `to` and inserts the tasks of `to` (none for the final state).
    /// False when somebody else moved it, or another run of the provider is going.
    pub async fn open_phase(
        &self,
        run: RunId,
        provider: ProviderId,
        from: RunState,
        to: RunState,
        tasks: &[NewTask],
        untasked: u64,
    ) -> Result<bool, StoreError> {
        let now = self.now_ms();
        let mut tx = self.begin().await?;
        let moved = match move_run(&mut tx, run, from, to, tasks.len(), untasked, now).await {
            // The unique index on running runs: another one of this provider is going.
            Err(StoreError::Refused(sqlx::Error::Database(error))) if error.is_unique_violation() => return Ok(false),
            other => other?,
        };
        if moved {
            insert_tasks(&mut tx, self.dialect(), run, provider, to, tasks, now).await?;
        }
        tx.commit().await?;
        if moved {
            self.fire(Signal::Runs).await?;
        }
        Ok(moved)
    }

    /// Runs whose phase has no open task, and queued ones: what the scheduler moves on.
    pub async fn runs_to_move(&self) -> Result<Vec<(RunId, ProviderId, RunState)>, StoreError> {
        let sql = "SELECT id, provider_id, state FROM runs WHERE state = 'queued' OR \
             (state IN ('observing', 'users', 'groups', 'references', 'clean-up') AND open_tasks <= 0) ORDER BY created_at";
        let rows = sqlx::query(sql).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| Ok((word(row, "runs", "id")?, word(row, "runs", "provider_id")?, word(row, "runs", "state")?)))
            .collect()
    }

    /// Remembers whether a run's listing of a kind was complete, and what a person should know of it.
    pub async fn note_listing(&self, run: RunId, kind: &str, listing: &serde_json::Value) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE runs SET listings = listings WHERE id = $1 RETURNING listings";
        if let Some(row) = sqlx::query(sql).bind(run.to_string()).fetch_optional(&mut *tx).await? {
            let text: String = row.try_get("listings")?;
            let mut listings: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&text).map_err(|error| StoreError::unreadable("runs", error))?;
            listings.insert(kind.to_owned(), listing.clone());
            let sql = "UPDATE runs SET listings = $2 WHERE id = $1";
            sqlx::query(sql).bind(run.to_string()).bind(crate::sql::json(&listings)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn move_run(
    tx: &mut Connection,
    run: RunId,
    from: RunState,
    to: RunState,
    tasks: usize,
    untasked: u64,
    now: i64,
) -> Result<bool, StoreError> {
    let sql = "UPDATE runs SET state = $3, open_tasks = $4, untasked = untasked + $5, phase_at = $6, \
         started_at = COALESCE(started_at, $6), finished_at = CASE WHEN $7 = 1 THEN $6 ELSE finished_at END \
         WHERE id = $1 AND state = $2";
    let done = sqlx::query(sql)
        .bind(run.to_string())
        .bind(from.as_str())
        .bind(to.as_str())
        .bind(i64::try_from(tasks).unwrap_or(i64::MAX))
        .bind(i64::try_from(untasked).unwrap_or(i64::MAX))
        .bind(now)
        .bind(i64::from(to.is_final()))
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}
