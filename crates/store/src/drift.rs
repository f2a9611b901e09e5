//! What listings show of accounts that are ours: the baseline after our last write, and drift from it (R22).

use scimfleet_core::{ProviderId, RemoteId, ResourceId};
use serde::Serialize;

use crate::connect::Store;
use crate::error::StoreError;
use crate::link::owed_members::owe;
use crate::sql::{Column, json, statement, word};

/// An account on a page of a listing that a link names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Whose it is.
    pub resource_id: ResourceId,
    /// The version that our last write returned.
    pub version: Option<String>,
    /// The baseline, as text.
    pub shown: Option<String>,
    /// What was seen to differ from it.
    pub drift: Option<String>,
}

/// What a listing showed of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownRow {
    /// Whose it is.
    pub resource_id: ResourceId,
    /// The digests, as text.
    pub shown: String,
}

/// Whoever was written to after the page was asked for is not what the page shows.
const AS_THE_PAGE: &str = "links.provider_id = $1 AND links.resource_id = b.resource_id AND links.lease_until <= $4 \
     AND links.updated_at <= $3 AND links.sent_digest IS NOT NULL";

impl Store {
    /// Keeps what a page that was asked for at `asked_at_ms` shows as the baseline.
    pub async fn keep_shown(
        &self,
        provider: ProviderId,
        rows: &[ShownRow],
        asked_at_ms: i64,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let batch = self.dialect().batch(2, &[Column::Text("resource_id"), Column::Text("shown")]);
        let sql = statement(format!(
            "UPDATE links SET shown_digest = b.shown, drift_digest = NULL FROM {batch} WHERE {AS_THE_PAGE}"
        ));
        let query = sqlx::query(sql).bind(provider.to_string()).bind(json(rows)).bind(asked_at_ms);
        query.bind(self.now_ms()).execute(&self.inner.write).await?;
        Ok(())
    }

    /// Notes drift, and marks the objects to be repaired if `repair`; each observed state once. Returns those
    /// of which it is news.
    pub async fn note_drift(
        &self,
        provider: ProviderId,
        rows: &[ShownRow],
        asked_at_ms: i64,
        repair: bool,
    ) -> Result<Vec<ResourceId>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let batch = self.dialect().batch(2, &[Column::Text("resource_id"), Column::Text("shown")]);
        let once = "COALESCE(links.repaired_digest, '') <> b.shown AND links.state = 'in_sync'";
        let mark = if repair {
            format!(
                ", dirty = CASE WHEN {once} THEN 1 ELSE links.dirty END, \
                 marked = CASE WHEN {once} THEN links.marked + 1 ELSE links.marked END, \
                 marked_at = CASE WHEN {once} THEN $4 ELSE links.marked_at END, \
                 due_at = CASE WHEN {once} THEN 0 ELSE links.due_at END"
            )
        } else {
            String::new()
        };
        let sql = statement(format!(
            "UPDATE links SET drift_digest = b.shown{mark} FROM {batch} WHERE {AS_THE_PAGE} \
             AND COALESCE(links.drift_digest, '') <> b.shown RETURNING links.resource_id AS resource_id"
        ));
        let query = sqlx::query(sql).bind(provider.to_string()).bind(json(rows)).bind(asked_at_ms);
        let rows = query.bind(self.now_ms()).fetch_all(&self.inner.write).await?;
        rows.iter().map(|row| word(row, "links", "resource_id")).collect()
    }

    /// The drift of these objects is over: they show again what they did after our last write.
    pub async fn forget_drift(&self, provider: ProviderId, resources: &[ResourceId]) -> Result<(), StoreError> {
        if resources.is_empty() {
            return Ok(());
        }
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "UPDATE links SET drift_digest = NULL WHERE provider_id = $1 AND resource_id IN (SELECT b.id FROM {texts})"
        ));
        sqlx::query(sql).bind(provider.to_string()).bind(json(resources)).execute(&self.inner.write).await?;
        Ok(())
    }

    /// The members that a provider was sent for a group.
    pub async fn sent_members(
        &self,
        provider: ProviderId,
        group: &ResourceId,
    ) -> Result<Vec<(ResourceId, RemoteId)>, StoreError> {
        let sql = "SELECT member_id, remote_id FROM sent_memberships WHERE provider_id = $1 AND group_id = $2";
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(group.as_str()).fetch_all(self.read()).await?;
        let member =
            |row| Ok((word(row, "sent_memberships", "member_id")?, word(row, "sent_memberships", "remote_id")?));
        rows.iter().map(member).collect()
    }

    /// Whether a provider was sent more memberships than `limit`.
    pub async fn has_more_memberships(&self, provider: ProviderId, limit: i64) -> Result<bool, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM \
             (SELECT 1 AS one FROM sent_memberships WHERE provider_id = $1 LIMIT $2) AS first_ones";
        let count: i64 =
            sqlx::query_scalar(sql).bind(provider.to_string()).bind(limit + 1).fetch_one(self.read()).await?;
        Ok(count > limit)
    }

    /// Somebody took these members out at the provider: they count as not sent.
    pub async fn forget_sent_members(
        &self,
        provider: ProviderId,
        group: &ResourceId,
        members: &[ResourceId],
    ) -> Result<(), StoreError> {
        if members.is_empty() {
            return Ok(());
        }
        let texts = self.dialect().texts(3);
        let sql = statement(format!(
            "DELETE FROM sent_memberships WHERE provider_id = $1 AND group_id = $2 \
             AND member_id IN (SELECT b.id FROM {texts})"
        ));
        let mut tx = self.begin().await?;
        let query = sqlx::query(sql).bind(provider.to_string()).bind(group.as_str());
        query.bind(json(members)).execute(&mut *tx).await?;
        let pairs: Vec<_> = members.iter().map(|member| (group.clone(), member.clone())).collect();
        owe(&mut tx, self.dialect(), provider, &pairs).await?;
        tx.commit().await?;
        Ok(())
    }
}
