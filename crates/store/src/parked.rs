//! Parked objects: by their trouble, one by one, and what a person does about them: try again, or give up.

use scimfleet_core::state::ParkReason;
use scimfleet_core::{ProviderId, ResourceId};
use sqlx::{Row, SqlStr};

use crate::connect::Store;
use crate::error::StoreError;
use crate::link::read::{COLUMNS, LinkRow, link_row};
use crate::sql::{statement, word};

/// Which parked objects are meant; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parked {
    /// At one provider.
    pub provider: Option<ProviderId>,
    /// One object.
    pub object: Option<ResourceId>,
    /// For one reason.
    pub reason: Option<ParkReason>,
    /// With exactly these words of mapping or provider.
    pub words: Option<String>,
}

/// Parked objects of one provider that have the same trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedGroup {
    /// Why they are parked.
    pub reason: ParkReason,
    /// The words of mapping or provider.
    pub words: Option<String>,
    /// How many.
    pub objects: u64,
}

/// The rows that a [`Parked`] means, as parameters 1 to 4.
const MEANT: &str = "park_reason IS NOT NULL AND ($1 = '' OR provider_id = $1) AND ($2 = '' OR resource_id = $2) \
     AND ($3 = '' OR park_reason = $3) AND ($4 = '' OR last_error = $4)";

impl Store {
    /// Parked objects of a provider in the order of their ids, after `after`; for one reason if given.
    pub async fn parked_after(
        &self,
        provider: ProviderId,
        reason: Option<ParkReason>,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<LinkRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM links WHERE provider_id = $1 AND park_reason IS NOT NULL \
             AND ($2 = '' OR park_reason = $2) AND resource_id > $3 ORDER BY resource_id LIMIT $4"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(reason.map_or("", ParkReason::as_str))
            .bind(after.map_or("", ResourceId::as_str))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(link_row).collect()
    }

    /// A provider's parked objects by their trouble, the most frequent first.
    pub async fn parked_groups(&self, provider: ProviderId, limit: i64) -> Result<Vec<ParkedGroup>, StoreError> {
        let sql = "SELECT park_reason, last_error, CAST(count(*) AS BIGINT) AS objects FROM links \
             WHERE provider_id = $1 AND park_reason IS NOT NULL GROUP BY park_reason, last_error \
             ORDER BY count(*) DESC, park_reason, last_error LIMIT $2";
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(limit).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                Ok(ParkedGroup {
                    reason: word(row, "links", "park_reason")?,
                    words: row.try_get("last_error")?,
                    objects: row.try_get::<i64, _>("objects")?.unsigned_abs(),
                })
            })
            .collect()
    }

    /// Parked objects get another chance. Returns how many.
    pub async fn retry_parked(&self, which: &Parked) -> Result<u64, StoreError> {
        let sql = statement(format!(
            "UPDATE links SET dirty = 1, marked = marked + 1, marked_at = $5, due_at = 0, attempts = 0, \
             state = CASE WHEN wanted = 'yes' THEN 'pending' ELSE 'leaving' END, park_reason = NULL WHERE {MEANT}"
        ));
        self.settle_parked(sql, which).await
    }

    /// Parked objects are given up until they, a mapping or the provider's settings change: they become
    /// `kept`, with the account as it is. Whoever is to lose access is never given up and stays parked.
    /// Returns how many were given up.
    pub async fn drop_parked(&self, which: &Parked) -> Result<u64, StoreError> {
        // An open intent may have made an account that nobody knows of yet.
        let sql = statement(format!(
            "UPDATE links SET state = 'kept', park_reason = NULL, dirty = 0, queued_at = NULL, due_at = 0, \
             attempts = 0, updated_at = $5 WHERE {MEANT} AND ((remote_id IS NULL AND intent IS NULL) \
             OR (wanted = 'yes' AND EXISTS (SELECT 1 FROM resources r WHERE r.id = links.resource_id AND r.active = 1)))"
        ));
        self.settle_parked(sql, which).await
    }

    async fn settle_parked(&self, sql: SqlStr, which: &Parked) -> Result<u64, StoreError> {
        let done = sqlx::query(sql)
            .bind(which.provider.map(|id| id.to_string()).unwrap_or_default())
            .bind(which.object.as_ref().map_or("", ResourceId::as_str))
            .bind(which.reason.map_or("", ParkReason::as_str))
            .bind(which.words.as_deref().unwrap_or_default())
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(done.rows_affected())
    }
}
