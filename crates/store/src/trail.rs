//! The provisioning log as a whole: read from the oldest row on, and forgotten by age. Keys are ordered by
//! time, so both cost what they touch and nothing more.

use scimfleet_core::{ProviderId, ResourceId, ResourceKind, RunId};
use sqlx::Row;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::log::{LogRow, log_row};
use crate::sql::{statement, word};

/// Keys are made by the sender's clock and rows are dated by ours: they may differ by this much.
const CLOCKS_DIFFER_MS: i64 = 3_600_000;

/// The last time that a key can hold: 48 bits of milliseconds (RFC 9562 §5.7).
const KEY_MS_MAX: i64 = (1 << 48) - 1;

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
    /// Of one run.
    pub run: Option<RunId>,
    /// For one cause: `full`, `change`, `retry`, `job`.
    pub cause: Option<String>,
    /// Before this, milliseconds since 1970.
    pub until_ms: Option<i64>,
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
        self.trail(filter, (after, None), "id", limit).await
    }

    /// The newest rows of the log, the newest first; older than the one with the key `before` if given.
    pub async fn trail_before(
        &self,
        filter: &TrailFilter,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<TrailRow>, StoreError> {
        self.trail(filter, (None, before), "id DESC", limit).await
    }

    async fn trail(
        &self,
        filter: &TrailFilter,
        (above, below): (Option<&str>, Option<&str>),
        order: &str,
        limit: i64,
    ) -> Result<Vec<TrailRow>, StoreError> {
        // Written out, so that a database sees which index serves.
        let of_object = if filter.object.is_some() { "resource_id = $2" } else { "$2 = ''" };
        let sql = statement(format!(
            "SELECT id, at, provider_id, resource_id, kind, operation, outcome, removal, remote_id, attributes, status, \
             detail, cause, run_id, task_id, duration_ms FROM provisioning_log WHERE id > $3 AND id < $4 \
             AND at >= $5 AND at < $6 AND ($1 = '' OR provider_id = $1) AND {of_object} \
             AND ($7 = '' OR run_id = $7) AND ($8 = '' OR cause = $8) ORDER BY {order} LIMIT $9"
        ));
        let until_ms = filter.until_ms.unwrap_or(KEY_MS_MAX);
        let floor = key_floor(filter.since_ms.saturating_sub(CLOCKS_DIFFER_MS));
        let ceiling = key_floor(until_ms.saturating_add(CLOCKS_DIFFER_MS));
        let rows = sqlx::query(sql)
            .bind(filter.provider.map(|id| id.to_string()).unwrap_or_default())
            .bind(filter.object.as_ref().map_or("", ResourceId::as_str))
            .bind(above.unwrap_or(&floor))
            .bind(below.unwrap_or(&ceiling))
            .bind(filter.since_ms)
            .bind(until_ms)
            .bind(filter.run.map(|id| id.to_string()).unwrap_or_default())
            .bind(filter.cause.as_deref().unwrap_or_default())
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
    Uuid::from_u128(u128::from(at_ms.clamp(0, KEY_MS_MAX).unsigned_abs()) << 80).to_string()
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
        assert!(key_floor(i64::MAX) > key(at_ms), "no time is later than the last one");
    }
}
