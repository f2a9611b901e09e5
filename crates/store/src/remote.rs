//! What a listing of a provider showed: which accounts are ours, and which are candidates for adoption
//! (R15, R16).

use std::borrow::Cow;
use std::collections::HashMap;

use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind, RunId};
use serde::Serialize;
use sqlx::Row;

use crate::connect::Store;
use crate::drift::Linked;
use crate::error::StoreError;
use crate::sql::{Column, json, parsed, statement, unpack, word};

/// One account on a page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its id there.
    pub remote_id: RemoteId,
    /// Its `externalId`, if it has one.
    pub external_id: Option<String>,
    /// Its folded `userName` or `displayName`.
    pub name_key: Option<String>,
}

/// An account that no link names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id there.
    pub remote_id: RemoteId,
    /// Its `externalId`, if it has one.
    pub external_id: Option<String>,
    /// Its folded name.
    pub name_key: Option<String>,
}

#[derive(Serialize)]
struct Wish<'a> {
    external_id: Option<&'a str>,
    name_key: &'a str,
}

/// A link as a listing meets it: account, object, version, digests of what was shown and of the drift in it.
type Packed<'a> = (Cow<'a, str>, Cow<'a, str>, Option<String>, Option<String>, Option<String>);

fn linked(text: &str) -> Result<(RemoteId, Linked), StoreError> {
    let (remote_id, resource_id, version, shown, drift): Packed<'_> = unpack(text, "links")?;
    let linked = Linked { resource_id: parsed(&resource_id, "links")?, version, shown, drift };
    Ok((parsed(&remote_id, "links")?, linked))
}

const SEEN: [Column; 3] = [Column::Text("remote_id"), Column::Text("external_id"), Column::Text("name_key")];

impl Store {
    /// Records a page. Accounts that links name write no row (R15); the others become candidates.
    /// Returns the linked ones.
    pub async fn record_seen(
        &self,
        provider: ProviderId,
        kind: ResourceKind,
        run: RunId,
        page: &[Seen],
    ) -> Result<HashMap<RemoteId, Linked>, StoreError> {
        let batch = self.dialect().batch(3, &SEEN);
        let packed = self.dialect().packed("l.remote_id, l.resource_id, l.version, l.shown_digest, l.drift_digest");
        let sql = statement(format!(
            "SELECT {packed} AS link FROM {batch} \
             JOIN links l ON l.provider_id = $1 AND l.kind = $2 AND l.remote_id = b.remote_id"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(json(page))
            .fetch_all(self.read())
            .await?;
        let linked: HashMap<RemoteId, Linked> =
            rows.iter().map(|row| linked(row.try_get("link")?)).collect::<Result<_, _>>()?;
        let strangers: Vec<&Seen> = page.iter().filter(|seen| !linked.contains_key(&seen.remote_id)).collect();
        if !strangers.is_empty() {
            let sql = statement(format!(
                "INSERT INTO remote_resources (provider_id, kind, remote_id, external_id, name_key, seen_run) \
                 SELECT $1, $2, b.remote_id, b.external_id, b.name_key, $4 FROM {batch} WHERE true \
                 ON CONFLICT (provider_id, kind, remote_id) DO UPDATE SET external_id = excluded.external_id, \
                 name_key = excluded.name_key, seen_run = excluded.seen_run"
            ));
            sqlx::query(sql)
                .bind(provider.to_string())
                .bind(kind.as_str())
                .bind(json(&strangers))
                .bind(run.to_string())
                .execute(&self.inner.write)
                .await?;
        }
        Ok(linked)
    }

    /// A complete listing ended: what it did not show is no candidate any more.
    pub async fn forget_unseen(&self, provider: ProviderId, kind: ResourceKind, run: RunId) -> Result<(), StoreError> {
        let sql = "DELETE FROM remote_resources WHERE provider_id = $1 AND kind = $2 AND seen_run <> $3";
        sqlx::query(sql)
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(run.to_string())
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }

    /// Candidates for these objects, by externalId or folded name, less those that a link took since.
    pub async fn candidates(
        &self,
        provider: ProviderId,
        kind: ResourceKind,
        wishes: &[(Option<String>, String)],
    ) -> Result<Vec<Candidate>, StoreError> {
        let batch = self.dialect().batch(3, &[Column::Text("external_id"), Column::Text("name_key")]);
        let free = "NOT EXISTS (SELECT 1 FROM links l WHERE l.provider_id = $1 AND l.kind = $2 \
             AND l.remote_id = c.remote_id)";
        let columns = "c.remote_id AS remote_id, c.external_id AS external_id, c.name_key AS name_key";
        let sql = statement(format!(
            "SELECT {columns} FROM {batch} JOIN remote_resources c ON c.provider_id = $1 AND c.kind = $2 \
               AND c.external_id = b.external_id WHERE {free} \
             UNION SELECT {columns} FROM {batch} JOIN remote_resources c ON c.provider_id = $1 AND c.kind = $2 \
               AND c.name_key = b.name_key WHERE {free}"
        ));
        let wishes: Vec<Wish<'_>> = wishes
            .iter()
            .map(|(external_id, name_key)| Wish { external_id: external_id.as_deref(), name_key })
            .collect();
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(json(&wishes))
            .fetch_all(self.read())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Candidate {
                    remote_id: word(row, "remote_resources", "remote_id")?,
                    external_id: row.try_get("external_id")?,
                    name_key: row.try_get("name_key")?,
                })
            })
            .collect()
    }

    /// A complete listing did not show the accounts of these objects: what was sent to them does not count
    /// any more, so that the next task asks for them by id. Those that a person must look at first stay
    /// as they are. Returns how many.
    pub async fn mark_missing(&self, provider: ProviderId, resources: &[ResourceId]) -> Result<u64, StoreError> {
        if resources.is_empty() {
            return Ok(0);
        }
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "UPDATE links SET dirty = 1, marked = marked + 1, due_at = 0, sent_digest = NULL \
             WHERE provider_id = $1 AND resource_id IN (SELECT b.id FROM {texts}) AND lease_until <= $3 \
             AND (park_reason IS NULL OR park_reason <> 'unsafe')"
        ));
        let done = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(json(resources))
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(done.rows_affected())
    }

    /// Whether a link of this provider already names the account.
    pub async fn owner_of(
        &self,
        provider: ProviderId,
        kind: ResourceKind,
        remote_id: &RemoteId,
    ) -> Result<Option<ResourceId>, StoreError> {
        let sql = "SELECT resource_id FROM links WHERE provider_id = $1 AND kind = $2 AND remote_id = $3";
        let row = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(remote_id.as_str())
            .fetch_optional(self.read())
            .await?;
        row.map(|row| word(&row, "links", "resource_id")).transpose()
    }

    /// How many links of a kind have an account.
    pub async fn count_accounts(&self, provider: ProviderId, kind: ResourceKind) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(count(remote_id) AS BIGINT) FROM links WHERE provider_id = $1 AND kind = $2";
        let count: i64 =
            sqlx::query_scalar(sql).bind(provider.to_string()).bind(kind.as_str()).fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// Links with an account, by object id, after `after`: to find the ones that a listing did not show.
    pub async fn accounts_after(
        &self,
        provider: ProviderId,
        kind: ResourceKind,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<(ResourceId, RemoteId)>, StoreError> {
        let sql = "SELECT resource_id, remote_id FROM links WHERE provider_id = $1 AND kind = $2 \
             AND remote_id IS NOT NULL AND resource_id > $3 ORDER BY resource_id LIMIT $4";
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(kind.as_str())
            .bind(after.map_or("", ResourceId::as_str))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|row| Ok((word(row, "links", "resource_id")?, word(row, "links", "remote_id")?))).collect()
    }
}
