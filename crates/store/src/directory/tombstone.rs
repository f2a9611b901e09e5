//! The end of tombstones: what was deleted is forgotten once its accounts are gone everywhere and its name
//! was kept long enough for somebody to come back to it (R3).

use scimfleet_core::ResourceId;

use crate::connect::Store;
use crate::error::StoreError;
use crate::lock::Lock;
use crate::sql::{json, statement, word};

/// A tombstone whose accounts are all gone is kept this long: whoever comes back within it is the same person.
pub const TOMBSTONES_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

impl Store {
    /// Forgets up to `limit` resources that were deleted at least `kept_ms` ago and have no account left,
    /// with their links; none while changes wait, which may speak of them. The log of what was done to them
    /// stays. Returns how many.
    pub async fn purge_tombstones(&self, kept_ms: i64, limit: i64) -> Result<u64, StoreError> {
        let old = self.now_ms() - kept_ms;
        let select = "SELECT r.id AS id FROM resources r WHERE r.deleted_at IS NOT NULL AND r.deleted_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM links l WHERE l.resource_id = r.id \
             AND (l.state <> 'gone' OR l.remote_id IS NOT NULL OR l.lease_holder IS NOT NULL OR l.dirty = 1)) \
             AND NOT EXISTS (SELECT 1 FROM outbox) ORDER BY r.deleted_at LIMIT $2";
        // Most of the time there is nothing to do, and the one writer of SQLite is not asked.
        if sqlx::query(select).bind(old).bind(1_i64).fetch_optional(self.read()).await?.is_none() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        Lock::Directory.take(&mut tx, self.dialect()).await?;
        let rows = sqlx::query(select).bind(old).bind(limit).fetch_all(&mut *tx).await?;
        let ids = rows.iter().map(|row| word(row, "resources", "id")).collect::<Result<Vec<ResourceId>, _>>()?;
        let texts = self.dialect().texts(1);
        for (table, column) in [
            ("links", "resource_id"),
            ("membership_references", "group_id"),
            ("memberships", "member_id"),
            ("memberships", "group_id"),
            ("resources", "id"),
        ] {
            let sql = statement(format!("DELETE FROM {table} WHERE {column} IN (SELECT b.id FROM {texts})"));
            sqlx::query(sql).bind(json(&ids)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(ids.len() as u64)
    }
}
