//! Reading links: for people, and for the scheduler that cuts them into tasks.

use std::collections::BTreeMap;

use scimfleet_core::state::{LinkState, Ownership, ParkReason};
use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind, RunId};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::owed_members::owe_waited_for;
use super::verdict::Wanted;
use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{json, optional_word, statement, word};

/// A link as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRow {
    /// The provider.
    pub provider_id: ProviderId,
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Whether it shall be there.
    pub wanted: Wanted,
    /// Its state.
    pub state: LinkState,
    /// Why it is parked.
    pub park_reason: Option<ParkReason>,
    /// The account.
    pub remote_id: Option<RemoteId>,
    /// How it came to be ours.
    pub ownership: Option<Ownership>,
    /// Digest of what was sent last.
    pub sent_digest: Option<String>,
    /// What was sent last, as JSON text.
    pub sent_document: Option<String>,
    /// Something is owed.
    pub dirty: bool,
    /// Failed attempts since the last success.
    pub attempts: i64,
    /// Not before this time, milliseconds since 1970.
    pub due_at_ms: i64,
    /// The words of mapping or provider.
    pub last_error: Option<String>,
    /// Milliseconds since 1970.
    pub updated_at_ms: i64,
    /// A listing showed that somebody changed it there since our last write (R22).
    pub drifted: bool,
}

/// Links of a provider by state, and how many are owed something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// By state.
    pub by_state: BTreeMap<LinkState, u64>,
    /// Dirty ones.
    pub dirty: u64,
    /// Accounts that we created or adopted.
    pub owned: u64,
}

pub(crate) const COLUMNS: &str = "provider_id, resource_id, kind, wanted, state, park_reason, remote_id, ownership, sent_digest, \
     sent_document, dirty, attempts, due_at, last_error, updated_at, drift_digest";

pub(crate) fn link_row(row: &AnyRow) -> Result<LinkRow, StoreError> {
    Ok(LinkRow {
        provider_id: word(row, "links", "provider_id")?,
        resource_id: word(row, "links", "resource_id")?,
        kind: word(row, "links", "kind")?,
        wanted: word(row, "links", "wanted")?,
        state: word(row, "links", "state")?,
        park_reason: optional_word(row, "links", "park_reason")?,
        remote_id: optional_word(row, "links", "remote_id")?,
        ownership: optional_word(row, "links", "ownership")?,
        sent_digest: row.try_get("sent_digest")?,
        sent_document: row.try_get("sent_document")?,
        dirty: row.try_get::<i64, _>("dirty")? != 0,
        attempts: row.try_get("attempts")?,
        due_at_ms: row.try_get("due_at")?,
        last_error: row.try_get("last_error")?,
        updated_at_ms: row.try_get("updated_at")?,
        drifted: row.try_get::<Option<String>, _>("drift_digest")?.is_some(),
    })
}

/// Which dirty links a phase takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Objects that shall be there.
    Wanted,
    /// Objects that shall not.
    Leaving,
}

impl Store {
    /// The links of one object, in the order of the providers' ids.
    pub async fn links_of(&self, resource: &ResourceId) -> Result<Vec<LinkRow>, StoreError> {
        let sql = statement(format!("SELECT {COLUMNS} FROM links WHERE resource_id = $1 ORDER BY provider_id"));
        sqlx::query(sql).bind(resource.as_str()).fetch_all(self.read()).await?.iter().map(link_row).collect()
    }

    /// Links of some objects at one provider.
    pub async fn links_at(&self, provider: ProviderId, resources: &[ResourceId]) -> Result<Vec<LinkRow>, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM links WHERE provider_id = $1 AND resource_id IN (SELECT b.id FROM {texts})"
        ));
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(resources)).fetch_all(self.read()).await?;
        rows.iter().map(link_row).collect()
    }

    /// Links of a provider, by object id, after `after`; of one state if given.
    pub async fn links(
        &self,
        provider: ProviderId,
        state: Option<LinkState>,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<LinkRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM links WHERE provider_id = $1 AND ($2 = '' OR state = $2) AND resource_id > $3 \
             ORDER BY resource_id LIMIT $4"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(state.map_or("", LinkState::as_str))
            .bind(after.map_or("", ResourceId::as_str))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(link_row).collect()
    }

    /// Counts of a provider's links.
    pub async fn link_counts(&self, provider: ProviderId) -> Result<LinkCounts, StoreError> {
        let sql = "SELECT state, CAST(count(*) AS BIGINT) AS links, CAST(sum(dirty) AS BIGINT) AS dirty, \
             CAST(count(remote_id) AS BIGINT) AS owned FROM links WHERE provider_id = $1 GROUP BY state";
        let mut counts = LinkCounts::default();
        for row in &sqlx::query(sql).bind(provider.to_string()).fetch_all(self.read()).await? {
            let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
            counts.by_state.insert(word(row, "links", "state")?, count("links")?);
            counts.dirty += count("dirty")?;
            counts.owned += count("owned")?;
        }
        Ok(counts)
    }

    /// How many accounts at a provider are known, counted up to `enough`: what the guard needs does not grow
    /// with the directory.
    pub async fn count_owned(&self, provider: ProviderId, enough: u64) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM \
             (SELECT 1 FROM links WHERE provider_id = $1 AND remote_id IS NOT NULL LIMIT $2) owned";
        let enough = i64::try_from(enough).unwrap_or(i64::MAX);
        let count: i64 = sqlx::query_scalar(sql).bind(provider.to_string()).bind(enough).fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// Ids of dirty links that are due, in the order of their ids, after `after`.
    pub async fn dirty_after(
        &self,
        provider: ProviderId,
        kind: ResourceKind,
        share: Share,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<ResourceId>, StoreError> {
        let condition = match share {
            Share::Wanted => "wanted = 'yes'",
            // A person who was disabled leaves, too, if there is an account to take away (R13).
            Share::Leaving => "leaving = 1 AND (wanted <> 'yes' OR remote_id IS NOT NULL)",
        };
        let sql = statement(format!(
            "SELECT resource_id FROM links WHERE provider_id = $1 AND kind = $2 AND dirty = 1 AND resource_id > $3 \
             AND {condition} AND due_at <= $4 ORDER BY resource_id LIMIT $5"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(after.map_or("", ResourceId::as_str))
            .bind(self.now_ms())
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|row| word(row, "links", "resource_id")).collect()
    }

    /// How many links of a kind need nothing: they are wanted, in step and not dirty, and the run has not
    /// counted them yet.
    pub async fn count_settled(&self, provider: ProviderId, kind: ResourceKind, run: RunId) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM links WHERE provider_id = $1 AND kind = $2 AND dirty = 0 \
             AND wanted = 'yes' AND state IN ('in_sync', 'kept', 'gone') AND (last_run IS NULL OR last_run <> $3)";
        let query = sqlx::query_scalar(sql).bind(provider.to_string()).bind(kind.as_str()).bind(run.to_string());
        let count: i64 = query.fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// Objects that wait for others are looked at again: the net below the wake-ups.
    pub async fn mark_waiting(&self, provider: ProviderId) -> Result<u64, StoreError> {
        let sql = "UPDATE links SET dirty = 1, marked = marked + 1, marked_at = $2, queued_at = NULL \
             WHERE provider_id = $1 AND state = 'waiting' AND dirty = 0";
        let mut tx = self.begin().await?;
        let done = sqlx::query(sql).bind(provider.to_string()).bind(self.now_ms()).execute(&mut *tx).await?;
        owe_waited_for(&mut tx, provider).await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Parks an object that nobody could work on, whoever holds it.
    pub async fn park(&self, provider: ProviderId, resource: &ResourceId, words: &str) -> Result<(), StoreError> {
        let sql = "UPDATE links SET state = 'parked', park_reason = 'exhausted', last_error = $3, dirty = 0, \
             lease_until = 0, lease_holder = NULL, updated_at = $4 WHERE provider_id = $1 AND resource_id = $2";
        sqlx::query(sql)
            .bind(provider.to_string())
            .bind(resource.as_str())
            .bind(words)
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }
}
