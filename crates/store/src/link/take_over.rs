//! Links that another sync kept until now, and links that get another externalId.

use std::collections::HashMap;

use scimfleet_core::scim::Document;
use scimfleet_core::scim::resource::fold;
use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind};
use serde::Serialize;
use sqlx::Row;

use crate::connect::Store;
use crate::error::StoreError;
use crate::lock::past_deadlocks;
use crate::sql::{Column, json, statement, word};

/// A link to take over, its account confirmed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakenLink {
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// The account.
    pub remote_id: RemoteId,
    /// Digest of what counts as sent.
    pub sent_digest: String,
    /// What counts as sent, as JSON text.
    pub sent_document: String,
}

#[derive(Serialize)]
struct Asked<'a> {
    reference: &'a str,
    folded: String,
}

#[derive(Serialize)]
struct SentMember<'a> {
    group_id: &'a ResourceId,
    remote_id: &'a RemoteId,
}

impl Store {
    /// Which live object each reference means: by externalId, else by name, else by id. What fits none, or
    /// more than one, is left out.
    pub async fn identify(
        &self,
        kind: ResourceKind,
        references: &[String],
    ) -> Result<HashMap<String, ResourceId>, StoreError> {
        let asked: Vec<Asked<'_>> =
            references.iter().map(|reference| Asked { reference, folded: fold(reference) }).collect();
        let batch = self.dialect().batch(2, &[Column::Text("reference"), Column::Text("folded")]);
        let select = |preference: u8, condition: &str| {
            format!(
                "SELECT b.reference AS reference, r.id AS id, CAST({preference} AS BIGINT) AS preference FROM {batch} \
                 JOIN resources r ON r.kind = $1 AND {condition} AND r.deleted_at IS NULL"
            )
        };
        let sql = statement(format!(
            "{} UNION ALL {} UNION ALL {} ORDER BY 3",
            select(1, "r.external_id = b.reference"),
            select(2, "r.name_key = b.folded"),
            select(3, "r.id = b.reference"),
        ));
        let mut found = HashMap::<String, (i64, Vec<ResourceId>)>::new();
        for row in &sqlx::query(sql).bind(kind.as_str()).bind(json(&asked)).fetch_all(self.read()).await? {
            let preference = row.try_get::<i64, _>("preference")?;
            let slot = found.entry(row.try_get("reference")?).or_insert_with(|| (preference, Vec::new()));
            if slot.0 == preference {
                slot.1.push(word(row, "resources", "id")?);
            }
        }
        let single = |(reference, (_, mut ids)): (String, (i64, Vec<ResourceId>))| match ids.len() {
            1 => ids.pop().map(|id| (reference, id)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(single).collect())
    }

    /// Records confirmed accounts as adopted; each is looked at by the next sync. A link that has an account
    /// already, or is being worked on, stays as it is. Returns whose links were recorded.
    pub async fn take_over(&self, provider: ProviderId, links: &[TakenLink]) -> Result<Vec<ResourceId>, StoreError> {
        let columns = ["resource_id", "kind", "remote_id", "sent_digest", "sent_document"].map(Column::Text);
        let batch = self.dialect().batch(3, &columns);
        let sql = statement(format!(
            "INSERT INTO links (provider_id, resource_id, kind, wanted, state, synced_generation, dirty, marked, \
             marked_at, attempts, due_at, lease_until, fencing, created_at, updated_at, remote_id, ownership, \
             sent_digest, sent_document) \
             SELECT $1, b.resource_id, b.kind, 'yes', 'pending', 0, 1, 1, $2, 0, 0, 0, 0, $2, $2, b.remote_id, \
             'adopted', b.sent_digest, b.sent_document FROM {batch} WHERE true \
             ON CONFLICT (provider_id, resource_id) DO UPDATE SET remote_id = excluded.remote_id, \
             ownership = excluded.ownership, sent_digest = excluded.sent_digest, \
             sent_document = excluded.sent_document, intent = NULL, members_whole = 1, dirty = 1, marked = links.marked + 1, \
             marked_at = $2, due_at = 0, attempts = 0, updated_at = $2, park_reason = NULL, \
             state = CASE WHEN links.wanted = 'yes' THEN 'pending' ELSE 'leaving' END \
             WHERE links.remote_id IS NULL AND links.lease_until <= $2 RETURNING resource_id"
        ));
        past_deadlocks(|| async {
            let mut tx = self.begin().await?;
            let rows = sqlx::query(sql.clone())
                .bind(provider.to_string())
                .bind(self.now_ms())
                .bind(json(links))
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            rows.iter().map(|row| word(row, "links", "resource_id")).collect()
        })
        .await
    }

    /// Notes which members a group was seen to have; accounts that no link names are others'. Returns how
    /// many are ours.
    pub async fn note_members(
        &self,
        provider: ProviderId,
        group: &ResourceId,
        accounts: &[RemoteId],
    ) -> Result<u64, StoreError> {
        let rows: Vec<_> = accounts.iter().map(|remote_id| SentMember { group_id: group, remote_id }).collect();
        let batch = self.dialect().batch(2, &["group_id", "remote_id"].map(Column::Text));
        let sql = statement(format!(
            "INSERT INTO sent_memberships (provider_id, group_id, member_id, remote_id) \
             SELECT $1, b.group_id, l.resource_id, l.remote_id FROM {batch} \
             JOIN links l ON l.provider_id = $1 AND l.remote_id = b.remote_id AND l.resource_id <> b.group_id \
             WHERE true ON CONFLICT (provider_id, group_id, member_id) DO NOTHING"
        ));
        let done = sqlx::query(sql).bind(provider.to_string()).bind(json(&rows)).execute(&self.inner.write).await?;
        Ok(done.rows_affected())
    }

    /// Forgets which externalId was sent, so that the next look at the object sends the one it has now (R25).
    /// False: there is no account to send it to.
    pub async fn forget_external_id(&self, provider: ProviderId, resource: &ResourceId) -> Result<bool, StoreError> {
        let links = self.links_at(provider, std::slice::from_ref(resource)).await?;
        let Some(link) = links.into_iter().find(|link| link.remote_id.is_some()) else { return Ok(false) };
        let mut sent: Document =
            link.sent_document.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        sent.shift_remove("externalId");
        let sql = "UPDATE links SET sent_document = $3, sent_digest = $4, dirty = 1, marked = marked + 1, \
             marked_at = $5, due_at = 0, attempts = 0, park_reason = NULL, \
             state = CASE WHEN state = 'parked' THEN 'pending' ELSE state END \
             WHERE provider_id = $1 AND resource_id = $2";
        let done = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(resource.as_str())
            .bind(json(&sent))
            .bind(scimfleet_core::plan::digest(&sent))
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
