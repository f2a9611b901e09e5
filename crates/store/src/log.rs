//! The provisioning log: append-only, one row for every write sent to a provider, written with the state
//! change. It names attributes, never values.

use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::sql::{Column, Dialect, json, optional_word, statement, word};

/// One write, before it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// Made by [`LogEntry::key`].
    pub id: Uuid,
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// `create`, `replace`, `patch`, `delete`, `deactivate`.
    pub operation: String,
    /// `done` or what became of it instead: the retry class.
    pub outcome: String,
    /// How much it took away (R28): accounts, memberships or cleared attributes.
    pub removal: i64,
    /// The account.
    pub remote_id: Option<RemoteId>,
    /// Names of the attributes sent, as a JSON array.
    pub attributes: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<i64>,
    /// The provider's words, if it refused.
    pub detail: Option<String>,
    /// Why it was sent.
    pub cause: String,
    /// The run, if any.
    pub run_id: Option<String>,
    /// The task.
    pub task_id: Option<String>,
    /// Milliseconds from request to answer.
    pub duration_ms: i64,
}

impl LogEntry {
    /// A key for a new entry, ordered by time.
    pub fn key() -> Uuid {
        Uuid::now_v7()
    }
}

/// One write, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The provider.
    pub provider_id: ProviderId,
    /// The object.
    pub resource_id: ResourceId,
    /// `create`, `replace`, `patch`, `delete`, `deactivate`.
    pub operation: String,
    /// `done`, or the retry class.
    pub outcome: String,
    /// The account.
    pub remote_id: Option<RemoteId>,
    /// Names of the attributes sent.
    pub attributes: String,
    /// The HTTP status.
    pub status: Option<i64>,
    /// The provider's words.
    pub detail: Option<String>,
    /// Why it was sent.
    pub cause: String,
    /// Milliseconds from request to answer.
    pub duration_ms: i64,
}

pub(crate) async fn write_log(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    entries: &[LogEntry],
    now: i64,
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let columns = [
        Column::Text("id"),
        Column::Text("resource_id"),
        Column::Text("kind"),
        Column::Text("operation"),
        Column::Text("outcome"),
        Column::Int("removal"),
        Column::Text("remote_id"),
        Column::Text("attributes"),
        Column::Int("status"),
        Column::Text("detail"),
        Column::Text("cause"),
        Column::Text("run_id"),
        Column::Text("task_id"),
        Column::Int("duration_ms"),
    ];
    let batch = dialect.batch(2, &columns);
    let sql = statement(format!(
        "INSERT INTO provisioning_log (id, at, provider_id, resource_id, kind, operation, outcome, removal, remote_id, \
         attributes, status, detail, cause, run_id, task_id, duration_ms) \
         SELECT b.id, $3, $1, b.resource_id, b.kind, b.operation, b.outcome, b.removal, b.remote_id, b.attributes, \
         b.status, b.detail, b.cause, b.run_id, b.task_id, b.duration_ms FROM {batch}"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(entries)).bind(now).execute(tx).await?;
    Ok(())
}

pub(crate) fn log_row(row: &AnyRow) -> Result<LogRow, StoreError> {
    Ok(LogRow {
        at_ms: row.try_get("at")?,
        provider_id: word(row, "provisioning_log", "provider_id")?,
        resource_id: word(row, "provisioning_log", "resource_id")?,
        operation: row.try_get("operation")?,
        outcome: row.try_get("outcome")?,
        remote_id: optional_word(row, "provisioning_log", "remote_id")?,
        attributes: row.try_get("attributes")?,
        status: row.try_get("status")?,
        detail: row.try_get("detail")?,
        cause: row.try_get("cause")?,
        duration_ms: row.try_get("duration_ms")?,
    })
}

impl Store {
    /// Appends what a person should know of an object though nothing was written to it.
    pub async fn append_log(&self, provider: ProviderId, entries: &[LogEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        write_log(&mut tx, self.dialect(), provider, entries, self.now_ms()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The last writes about one object, newest first; at one provider if given.
    pub async fn log_of(
        &self,
        resource: &ResourceId,
        provider: Option<ProviderId>,
        limit: i64,
    ) -> Result<Vec<LogRow>, StoreError> {
        let sql = "SELECT at, provider_id, resource_id, operation, outcome, remote_id, attributes, status, detail, \
             cause, duration_ms FROM provisioning_log WHERE resource_id = $1 AND ($2 = '' OR provider_id = $2) \
             ORDER BY at DESC, id DESC LIMIT $3";
        let rows = sqlx::query(sql)
            .bind(resource.as_str())
            .bind(provider.map(|id| id.to_string()).unwrap_or_default())
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(log_row).collect()
    }

    /// How many writes a provider was sent, ever.
    pub async fn count_log(&self, provider: ProviderId) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM provisioning_log WHERE provider_id = $1";
        let count: i64 = sqlx::query_scalar(sql).bind(provider.to_string()).fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// How much was taken away at a provider since a time (R28).
    pub async fn removals_since(&self, provider: ProviderId, since_ms: i64) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(COALESCE(sum(removal), 0) AS BIGINT) FROM provisioning_log \
             WHERE provider_id = $1 AND at >= $2 AND removal > 0 AND outcome = 'done'";
        let count: i64 =
            sqlx::query_scalar(sql).bind(provider.to_string()).bind(since_ms).fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }
}
