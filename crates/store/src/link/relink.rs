//! Linking again by a listing (R34): what a restored database believes of a provider's accounts is
//! replaced by what the provider shows, and nothing that would give access back happens by itself.

use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind};
use serde::Serialize;
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;
use crate::signal::Signal;
use crate::sql::{Column, json, statement, word};

/// An account that a link names, beside what the directory says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedAccount {
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Its account.
    pub remote_id: RemoteId,
    /// It shall be there.
    pub wanted: bool,
    /// It is active in the directory.
    pub active: bool,
}

/// What a link shall be after the listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relink {
    /// The object.
    pub resource_id: ResourceId,
    /// Why a person must look at it first; `None`: it is compared and written by the next task.
    pub unsafe_because: Option<String>,
}

/// A member that a provider shows in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownMember {
    /// The group.
    pub group_id: ResourceId,
    /// The member.
    pub member_id: ResourceId,
    /// The member's account.
    pub remote_id: RemoteId,
}

impl Store {
    /// Links of a provider that name an account, by object id, after `after`.
    pub async fn linked_accounts(
        &self,
        provider: ProviderId,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<LinkedAccount>, StoreError> {
        let sql = "SELECT l.resource_id AS resource_id, l.kind AS kind, l.remote_id AS remote_id, \
             CASE WHEN l.wanted = 'yes' AND r.deleted_at IS NULL THEN 1 ELSE 0 END AS wanted, \
             r.active AS active FROM links l JOIN resources r ON r.id = l.resource_id \
             WHERE l.provider_id = $1 AND l.remote_id IS NOT NULL AND l.resource_id > $2 \
             ORDER BY l.resource_id LIMIT $3";
        let query = sqlx::query(sql).bind(provider.to_string()).bind(after.map_or("", ResourceId::as_str)).bind(limit);
        let rows = query.fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                Ok(LinkedAccount {
                    resource_id: word(row, "links", "resource_id")?,
                    kind: word(row, "links", "kind")?,
                    remote_id: word(row, "links", "remote_id")?,
                    wanted: row.try_get::<i64, _>("wanted")? != 0,
                    active: row.try_get::<i64, _>("active")? != 0,
                })
            })
            .collect()
    }

    /// Forgets what was sent to these objects' accounts: the next task compares with the account itself.
    /// Those that are unsafe are parked instead, and keep their account.
    pub async fn relink(&self, provider: ProviderId, links: &[Relink]) -> Result<(), StoreError> {
        let batch = self.dialect().batch(2, &[Column::Text("resource_id"), Column::Text("unsafe_because")]);
        let sql = statement(format!(
            "UPDATE links SET sent_digest = NULL, sent_document = NULL, version = NULL, shown_digest = NULL, \
             repaired_digest = NULL, drift_digest = NULL, intent = NULL, attempts = 0, due_at = 0, queued_at = NULL, marked = marked + 1, \
             marked_at = $3, updated_at = $3, members_whole = 1, held_by = NULL, fencing = fencing + 1, lease_until = 0, \
             lease_holder = NULL, last_error = b.unsafe_because, \
             dirty = CASE WHEN b.unsafe_because IS NULL THEN 1 ELSE 0 END, \
             park_reason = CASE WHEN b.unsafe_because IS NULL THEN NULL ELSE 'unsafe' END, \
             state = CASE WHEN b.unsafe_because IS NOT NULL THEN 'parked' WHEN wanted = 'yes' THEN 'pending' \
               ELSE 'leaving' END \
             FROM {batch} WHERE provider_id = $1 AND links.resource_id = b.resource_id"
        ));
        let query = sqlx::query(sql).bind(provider.to_string()).bind(json(links)).bind(self.now_ms());
        query.execute(&self.inner.write).await?;
        Ok(())
    }

    /// Takes what a provider shows for what it was sent: memberships of these groups.
    pub async fn relink_members(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
        members: &[ShownMember],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "DELETE FROM sent_memberships WHERE provider_id = $1 AND group_id IN (SELECT b.id FROM {texts})"
        ));
        sqlx::query(sql).bind(provider.to_string()).bind(json(groups)).execute(&mut *tx).await?;
        let columns = [Column::Text("group_id"), Column::Text("member_id"), Column::Text("remote_id")];
        let batch = self.dialect().batch(2, &columns);
        let sql = statement(format!(
            "INSERT INTO sent_memberships (provider_id, group_id, member_id, remote_id) \
             SELECT $1, b.group_id, b.member_id, b.remote_id FROM {batch} WHERE true \
             ON CONFLICT (provider_id, group_id, member_id) DO NOTHING"
        ));
        sqlx::query(sql).bind(provider.to_string()).bind(json(members)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The provider is linked again: it takes part from now on, and every verdict of its scope is due.
    pub async fn reconciled(&self, provider: ProviderId) -> Result<(), StoreError> {
        let sql = "UPDATE providers SET state = 'active', state_reason = 'reconciled', state_since = $2, \
             reconcile_due = 0, scope_due = 1 WHERE id = $1";
        sqlx::query(sql).bind(provider.to_string()).bind(self.now_ms()).execute(&self.inner.write).await?;
        self.fire(Signal::Providers).await
    }
}
