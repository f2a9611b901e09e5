//! What was published and never arrived: a queue was deleted, or a broker came back without it. The queue
//! itself cannot tell, so the database does: nobody began with it.

use scimfleet_core::ProviderId;
use scimfleet_core::task::Lane;

use crate::connect::Store;
use crate::error::StoreError;
use crate::run::task::TASK_FOR_LOST_MS;
use crate::sql::statement;

/// Messages that nobody began with are asked about when they are this old, milliseconds: longer than a worker
/// with a free place needs for the first look, and short enough that a run does not seem to hang.
pub const UNBEGUN_MS: i64 = 10_000;

impl Store {
    /// Whether a provider has something in this lane that was published at least [`UNBEGUN_MS`] ago and that
    /// nobody began with. It waits in the queue, or it was lost with it.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn has_unbegun(&self, provider: ProviderId, lane: Lane) -> Result<bool, StoreError> {
        for (table, condition, before) in self.unbegun(lane) {
            let sql = statement(format!("SELECT 1 FROM {table} WHERE {condition} LIMIT 1"));
            let query = sqlx::query(sql).bind(provider.to_string()).bind(self.now_ms()).bind(before);
            if query.fetch_optional(self.read()).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What [`Store::has_unbegun`] asks about was lost: it is owed again at once. Where it was not lost after
    /// all, it arrives twice, which changes nothing. Returns how many tasks and objects that are.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn take_for_lost(&self, provider: ProviderId, lane: Lane) -> Result<u64, StoreError> {
        let mut lost = 0;
        for (table, condition, before) in self.unbegun(lane) {
            let again = if table == "links" { "queued_at = NULL" } else { "due_at = 0" };
            let sql = statement(format!("UPDATE {table} SET {again} WHERE {condition}"));
            let query = sqlx::query(sql).bind(provider.to_string()).bind(self.now_ms()).bind(before);
            lost += query.execute(&self.inner.write).await?.rows_affected();
        }
        Ok(lost)
    }

    /// Where a lane's messages are remembered: table, condition on provider, now and a moment, that moment.
    /// Links of a lane are those outside of runs; `sync` carries none. Whoever begins with an object holds its
    /// lease, whoever is done unmarks it.
    fn unbegun(&self, lane: Lane) -> Vec<(&'static str, String, i64)> {
        let published_before = self.now_ms() - UNBEGUN_MS;
        let mut all = vec![(
            "run_tasks",
            format!(
                "provider_id = $1 AND lane = '{lane}' AND state = 'open' AND worker IS NULL AND due_at > $2 AND due_at <= $3"
            ),
            published_before + TASK_FOR_LOST_MS,
        )];
        if lane != Lane::Sync {
            // Written out, so that SQLite finds the partial indexes.
            let leaving = i64::from(lane == Lane::Leavers);
            let condition = format!(
                "provider_id = $1 AND dirty = 1 AND leaving = {leaving} AND queued_at IS NOT NULL AND queued_at <= $3 \
                 AND lease_until <= $2"
            );
            all.push(("links", condition, published_before));
        }
        all
    }
}
