//! The outbox and what providers are owed: the part of the store that the relay of changes stands on
//! (R6, R7).

use scimfleet_core::{ProviderId, ResourceId, ResourceKind};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::connect::Store;
use crate::error::StoreError;
use crate::link::owed_members::owe_changes;
use crate::link::verdict::{Verdict, apply};
use crate::lock::past_deadlocks;
use crate::sql::{json, statement, word};

/// A change that nobody relayed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its key.
    pub id: String,
    /// What changed.
    pub resource_id: ResourceId,
    /// User or group.
    pub kind: ResourceKind,
    /// `created`, `modified`, `deactivated`, `deleted`, `members` or `password`.
    pub change: String,
    /// Members that joined.
    pub added: Vec<ResourceId>,
    /// Members that left.
    pub removed: Vec<ResourceId>,
    /// The trace context of the write, if it came with one.
    pub traceparent: Option<String>,
}

/// An object that a provider is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Access is to be taken away.
    pub leaving: bool,
    /// It failed before.
    pub retry: bool,
}

/// An object that was published this long ago and is still dirty is published again: the message, or the
/// in-process queue that held it, is taken for lost.
const QUEUED_FOR_LOST_MS: i64 = 5 * 60 * 1000;

impl OutboxRow {
    /// May take access away: somebody was turned off, deleted, or put out of a group.
    pub fn takes_away(&self) -> bool {
        !self.removed.is_empty() || matches!(self.change.as_str(), "deactivated" | "deleted")
    }
}

impl Store {
    /// The oldest changes that wait, those first that may take access away: nobody keeps it because a large
    /// import came before. A change is judged by what is so now, so their order means nothing else. They stay
    /// until [`Store::relay`] deletes exactly these.
    pub async fn outbox(&self, limit: i64) -> Result<Vec<OutboxRow>, StoreError> {
        const COLUMNS: &str = "id, resource_id, kind, change, added, removed, traceparent";
        // The words of the index `outbox_leaving`.
        const LEAVING: &str = "change IN ('deactivated', 'deleted') OR removed IS NOT NULL";
        let sql = statement(format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM outbox WHERE {LEAVING} ORDER BY id LIMIT $1) leaving UNION ALL \
             SELECT * FROM (SELECT {COLUMNS} FROM outbox WHERE NOT ({LEAVING}) ORDER BY id LIMIT $1) others"
        ));
        let rows = sqlx::query(sql).bind(limit).fetch_all(self.read()).await?;
        rows.iter().take(usize::try_from(limit).unwrap_or_default()).map(outbox_row).collect()
    }

    /// Marks the links that these changes concern, then deletes the changes: one transaction (R7).
    pub async fn relay(
        &self,
        changes: &[OutboxRow],
        verdicts: &[(ProviderId, Vec<Verdict>)],
    ) -> Result<(), StoreError> {
        past_deadlocks(|| self.relay_once(changes, verdicts)).await
    }

    async fn relay_once(
        &self,
        changes: &[OutboxRow],
        verdicts: &[(ProviderId, Vec<Verdict>)],
    ) -> Result<(), StoreError> {
        let now = self.now_ms();
        let mut tx = self.begin().await?;
        for (provider, verdicts) in verdicts {
            apply(&mut tx, self.dialect(), *provider, verdicts, now).await?;
        }
        owe_changes(&mut tx, self.dialect(), changes).await?;
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        let texts = self.dialect().texts(1);
        let sql = statement(format!("DELETE FROM outbox WHERE id IN (SELECT b.id FROM {texts})"));
        sqlx::query(sql).bind(json(&ids)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// How many changes wait.
    pub async fn count_outbox(&self) -> Result<u64, StoreError> {
        let count: i64 =
            sqlx::query_scalar("SELECT CAST(count(*) AS BIGINT) FROM outbox").fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// Objects that are dirty, due, held by nobody and not in a queue; leavers first. Who became a leaver
    /// while in a queue is owed again, since that queue may be the long one. While a run is going
    /// it is `since` its start: what was dirty before is the run's own.
    pub async fn owed(&self, provider: ProviderId, since_ms: Option<i64>, limit: i64) -> Result<Vec<Owed>, StoreError> {
        let rows = sqlx::query(statement(owed_sql()))
            .bind(provider.to_string())
            .bind(self.now_ms())
            .bind(self.now_ms() - QUEUED_FOR_LOST_MS)
            .bind(since_ms.unwrap_or(-1))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        let mut owed = rows.iter().map(owed_row).collect::<Result<Vec<_>, _>>()?;
        // Users before the groups that hold them.
        owed.sort_by_key(|one| (!one.leaving, one.kind == ResourceKind::Group));
        owed.truncate(usize::try_from(limit).unwrap_or_default());
        Ok(owed)
    }

    /// Leavers that a provider is owed and that are due, whether queued or not, the longest waiting first:
    /// for a provider that is set aside nothing is in a queue (R33).
    pub async fn owed_leavers(&self, provider: ProviderId, limit: i64) -> Result<Vec<Owed>, StoreError> {
        let sql = "SELECT l.resource_id AS resource_id, l.kind AS kind, l.attempts AS attempts \
             FROM links l LEFT JOIN resources r ON r.id = l.resource_id \
             WHERE l.provider_id = $1 AND l.dirty = 1 AND l.due_at <= $2 AND l.lease_until <= $2 \
             AND l.state <> 'parked' AND l.held_by IS NULL AND l.remote_id IS NOT NULL \
             AND (l.wanted <> 'yes' OR r.active = 0) ORDER BY l.attempts, l.marked_at, l.resource_id LIMIT $3";
        let rows =
            sqlx::query(sql).bind(provider.to_string()).bind(self.now_ms()).bind(limit).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                Ok(Owed {
                    resource_id: word(row, "links", "resource_id")?,
                    kind: word(row, "links", "kind")?,
                    leaving: true,
                    retry: row.try_get::<i64, _>("attempts")? > 0,
                })
            })
            .collect()
    }

    /// These objects are in a queue now; those that need nothing any more are not marked.
    pub async fn mark_queued(&self, provider: ProviderId, resources: &[ResourceId]) -> Result<(), StoreError> {
        // Not a condition: PostgreSQL would read all that is dirty, and look each of them up in the list.
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "UPDATE links SET queued_at = CASE WHEN dirty = 1 THEN $3 ELSE queued_at END WHERE provider_id = $1 \
             AND resource_id IN (SELECT b.id FROM {texts})"
        ));
        sqlx::query(sql)
            .bind(provider.to_string())
            .bind(json(resources))
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }

    /// These objects could not be published after all.
    pub async fn unmark_queued(&self, provider: ProviderId, resources: &[ResourceId]) -> Result<(), StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "UPDATE links SET queued_at = NULL WHERE provider_id = $1 AND resource_id IN (SELECT b.id FROM {texts})"
        ));
        let query = sqlx::query(sql).bind(provider.to_string()).bind(json(resources));
        query.execute(&self.inner.write).await?;
        Ok(())
    }

    /// The in-process queue died with its process: nothing is queued any more.
    pub async fn forget_queued(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE links SET queued_at = NULL WHERE queued_at IS NOT NULL").execute(&self.inner.write).await?;
        Ok(())
    }
}

/// Each part is read in the order of an index of its own, so that it costs what it returns and not what is
/// dirty. A part ends at the limit by itself.
fn owed_sql() -> String {
    let part = |condition: &str, order: &str| {
        format!(
            "SELECT * FROM (SELECT l.resource_id AS resource_id, l.kind AS kind, l.attempts AS attempts, \
             l.leaving AS leaving FROM links l WHERE l.provider_id = $1 AND l.dirty = 1 AND l.due_at <= $2 \
             AND l.lease_until <= $2 AND l.state <> 'parked' AND l.held_by IS NULL AND {condition} \
             ORDER BY {order} LIMIT $5) part"
        )
    };
    let by_age = "l.marked_at, l.kind DESC, l.resource_id";
    [
        part(
            "l.leaving = 1 AND (l.queued_at IS NULL OR l.queued_at <= $3 OR l.queued_at <= l.marked_at) \
             AND (l.marked_at > $4 OR l.wanted <> 'yes' OR l.attempts > 0)",
            by_age,
        ),
        part("l.leaving = 0 AND l.attempts > 0 AND l.queued_at IS NULL", "l.due_at"),
        part("l.leaving = 0 AND l.attempts = 0 AND l.queued_at IS NULL AND l.marked_at > $4", by_age),
        part(
            "l.leaving = 0 AND l.queued_at IS NOT NULL AND l.queued_at <= $3 AND (l.marked_at > $4 OR l.attempts > 0)",
            "l.queued_at",
        ),
    ]
    .join(" UNION ALL ")
}

fn owed_row(row: &AnyRow) -> Result<Owed, StoreError> {
    Ok(Owed {
        resource_id: word(row, "links", "resource_id")?,
        kind: word(row, "links", "kind")?,
        leaving: row.try_get::<i64, _>("leaving")? != 0,
        retry: row.try_get::<i64, _>("attempts")? > 0,
    })
}

fn outbox_row(row: &AnyRow) -> Result<OutboxRow, StoreError> {
    let list = |column: &str| -> Result<Vec<ResourceId>, StoreError> {
        let text: Option<String> = row.try_get(column)?;
        text.map_or(Ok(Vec::new()), |text| {
            serde_json::from_str(&text).map_err(|error| StoreError::unreadable("outbox", error))
        })
    };
    Ok(OutboxRow {
        id: row.try_get("id")?,
        resource_id: word(row, "outbox", "resource_id")?,
        kind: word(row, "outbox", "kind")?,
        change: row.try_get("change")?,
        added: list("added")?,
        removed: list("removed")?,
        traceparent: row.try_get("traceparent")?,
    })
}
