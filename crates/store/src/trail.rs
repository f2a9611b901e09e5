//! The provisioning log as a whole: read from the oldest row on, and forgotten by age. Keys are ordered by
//! time, so both cost what they touch and nothing more.

use scimfleet_core::{ProviderId, ResourceId, ResourceKind};
use sqlx::Row;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::log::{LogRow, log_row};
use crate::sql::{statement, word};

/// Keys are made by the sender's clock and rows are dated by ours: they may differ by this much.
const CLOCKS_DIFFER_MS: i64 = 3_600_000;

/// One row of the log with everything that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailRow {
    /// Its key; the next page begins after it.
    pub key: String,
    /// What people see of it.
    pub row: LogRow,
    /// User or group.
    pub kind: ResourceKind,
    /// How much it took away (R28).
    pub removal: i64,
    /// The run, if any.
    pub run_id: Option<String>,
    /// The task.
    pub task_id: Option<String>,
}

/// Which rows of the log are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrailFilter {
    /// Not older than this, milliseconds since 1970.
    pub since_ms: i64,
    /// At one provider.
    pub provider: Option<ProviderId>,
    /// About one object.
    pub object: Option<ResourceId>,
}

impl Store {
    /// Rows of the log after the key `after`, the oldest first, at most `limit`. A page that is shorter is
    /// the last one.
    pub async fn trail_after(
        &self,
        filter: &TrailFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<TrailRow>, StoreError> {
        let floor = key_floor(filter.since_ms - CLOCKS_DIFFER_MS);
        self.trail(filter, after.unwrap_or(&floor), "id", limit).await
    }

    /// The newest rows of the log, the newest first.
    pub async fn trail_newest(&self, filter: &TrailFilter, limit: i64) -> Result<Vec<TrailRow>, StoreError> {
        let floor = key_floor(filter.since_ms - CLOCKS_DIFFER_MS);
        self.trail(filter, &floor, "id DESC", limit).await
    }

    async fn trail(
        &self,
        filter: &TrailFilter,
        above: &str,
        order: &str,
        limit: i64,
    ) -> Result<Vec<TrailRow>, StoreError> {
        let sql = statement(format!(
            "SELECT id, at, provider_id, resource_id, kind, operation, outcome, removal, remote_id, attributes, status, \
             detail, cause, run_id, task_id, duration_ms FROM provisioning_log WHERE id > $3 AND at >= $4 \
             AND ($1 = '' OR provider_id = $1) AND ($2 = '' OR resource_id = $2) ORDER BY {order} LIMIT $5"
        ));
        let rows = sqlx::query(sql)
            .bind(filter.provider.map(|id| id.to_string()).unwrap_or_default())
            .bind(filter.object.as_ref().map_or("", ResourceId::as_str))
            .bind(above)
            .bind(filter.since_ms)
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(TrailRow {
                    key: row.try_get("id")?,
                    row: log_row(row)?,
                    kind: word(row, "provisioning_log", "kind")?,
                    removal: row.try_get("removal")?,
                    run_id: row.try_get("run_id")?,
                    task_id: row.try_get("task_id")?,
                })
            })
            .collect()
    }

    /// Forgets rows of the log that are older than a time, milliseconds since 1970; looks at the oldest
    /// `limit` rows, so that no statement holds the database for long. Returns how many went.
    pub async fn forget_log(&self, before_ms: i64, limit: i64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM provisioning_log WHERE id IN \
             (SELECT id FROM provisioning_log ORDER BY id LIMIT $2) AND at < $1";
        let done = sqlx::query(sql).bind(before_ms).bind(limit).execute(&self.inner.write).await?;
        Ok(done.rows_affected())
    }
}

/// The smallest key of its time: RFC 9562 §5.7 puts the milliseconds first.
fn key_floor(at_ms: i64) -> String {
    Uuid::from_u128(u128::from(at_ms.max(0).unsigned_abs()) << 80).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_lies_below_every_key_of_its_time_and_above_those_before() {
        let at_ms = 1_764_000_000_000;
        let key = |at_ms: i64| {
            let (seconds, nanos) = (at_ms.unsigned_abs() / 1000, u32::try_from(at_ms % 1000).unwrap() * 1_000_000);
            Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)).to_string()
        };
        assert!(key_floor(at_ms) < key(at_ms));
        assert!(key_floor(at_ms) > key(at_ms - 1));
        assert_eq!(key_floor(-5), Uuid::nil().to_string());
    }
}
