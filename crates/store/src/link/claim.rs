//! Claiming objects: a lease by conditional UPDATE, with a fencing token that grows (R19), and the intent
//! that precedes every write (R20).

use std::borrow::Cow;
use std::time::Duration;

use scimfleet_core::state::{LinkState, Ownership};
use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::verdict::Wanted;
use crate::connect::Store;
use crate::error::StoreError;
use crate::lock::past_deadlocks;
use crate::sql::{Column, json, parsed, statement, unpack, word};

/// A link that is ours to work on until the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedLink {
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Whether it shall be there.
    pub wanted: Wanted,
    /// The state before this attempt.
    pub state: LinkState,
    /// The account, if one is known.
    pub remote_id: Option<RemoteId>,
    /// How it came to be ours.
    pub ownership: Option<Ownership>,
    /// The version that the provider gave it last.
    pub version: Option<String>,
    /// Digest of what was sent last.
    pub sent_digest: Option<String>,
    /// What was sent last, as JSON text.
    pub sent_document: Option<String>,
    /// The generation of the resource that was synced last.
    pub synced_generation: i64,
    /// A person approved taking it away (R29).
    pub approved: bool,
    /// Failed attempts since the last success.
    pub attempts: u32,
    /// A write that somebody began and nobody finished, as JSON text.
    pub intent: Option<String>,
    /// Something is owed.
    pub dirty: bool,
    /// Counts the marks; equal on recording means that nothing happened meanwhile.
    pub marked: i64,
    /// When it was marked last, milliseconds since 1970: the start of its latency.
    pub marked_at_ms: i64,
    /// Our token: a result is recorded only while it is the current one.
    pub fencing: i64,
    /// The last run that counted it.
    pub last_run: Option<String>,
    /// A listing showed that somebody changed it there (R22).
    pub drifted: bool,
    /// A group whose members are to be compared as a whole, not only those of which something was noted.
    pub members_whole: bool,
}

/// An intent as it is recorded before a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct IntentRow<'a> {
    resource_id: &'a ResourceId,
    fencing: i64,
    intent: String,
}

/// A link as it is read: the columns of [`CLAIMED`], in their order.
#[derive(Deserialize)]
struct Packed<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
    Option<String>,
    i64,
    Option<i64>,
    Option<String>,
    i64,
);

const CLAIMED: &str = "resource_id, kind, wanted, state, remote_id, ownership, version, sent_digest, attempts, intent, \
     dirty, marked, marked_at, fencing, last_run, synced_generation, approved_mark, drift_digest, \
     members_whole";

fn claimed(row: &AnyRow) -> Result<ClaimedLink, StoreError> {
    let text: String = row.try_get("link")?;
    let Packed(
        resource_id,
        kind,
        wanted,
        state,
        remote_id,
        ownership,
        version,
        sent_digest,
        attempts,
        intent,
        dirty,
        marked,
        marked_at_ms,
        fencing,
        last_run,
        synced_generation,
        approved_mark,
        drift_digest,
        members_whole,
    ) = unpack(&text, "links")?;
    Ok(ClaimedLink {
        resource_id: parsed(&resource_id, "links")?,
        kind: parsed(&kind, "links")?,
        wanted: parsed(&wanted, "links")?,
        state: parsed(&state, "links")?,
        remote_id: remote_id.map(|text| parsed(&text, "links")).transpose()?,
        ownership: ownership.map(|text| parsed(&text, "links")).transpose()?,
        version,
        sent_digest,
        sent_document: row.try_get("sent_document")?,
        synced_generation,
        approved: approved_mark == Some(marked),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        intent,
        dirty: dirty != 0,
        marked,
        marked_at_ms,
        fencing,
        last_run,
        drifted: drift_digest.is_some(),
        members_whole: members_whole != 0,
    })
}

impl Store {
    /// Claims what nobody holds. The second part is what somebody holds, `holder` itself included (its
    /// other task), with the milliseconds until that lease ends; objects without a link are in neither.
    pub async fn claim(
        &self,
        provider: ProviderId,
        holder: &str,
        resources: &[ResourceId],
        ttl: Duration,
    ) -> Result<(Vec<ClaimedLink>, Vec<(ResourceId, i64)>), StoreError> {
        let now = self.lease_clock_ms().await?;
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "UPDATE links SET lease_holder = $3, lease_until = $4, fencing = fencing + 1 \
             WHERE provider_id = $1 AND lease_until <= $5 AND resource_id IN (SELECT b.id FROM {texts}) \
             RETURNING {} AS link, sent_document",
            self.dialect().packed(CLAIMED)
        ));
        let (provider_text, ids) = (provider.to_string(), json(resources));
        let until = now + i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2);
        let rows = past_deadlocks(|| async {
            let query = sqlx::query(sql.clone()).bind(provider_text.as_str()).bind(ids.as_str()).bind(holder);
            Ok(query.bind(until).bind(now).fetch_all(&self.inner.write).await?)
        })
        .await?;
        let ours: Vec<ClaimedLink> = rows.iter().map(claimed).collect::<Result<_, _>>()?;
        let missing: Vec<&ResourceId> =
            resources.iter().filter(|id| !ours.iter().any(|link| link.resource_id == **id)).collect();
        let held = if missing.is_empty() { Vec::new() } else { self.held(provider, &missing, now).await? };
        Ok((ours, held))
    }

    async fn held(
        &self,
        provider: ProviderId,
        resources: &[&ResourceId],
        now: i64,
    ) -> Result<Vec<(ResourceId, i64)>, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "SELECT resource_id, lease_until FROM links WHERE provider_id = $1 AND lease_until > $3 AND resource_id IN (SELECT b.id FROM {texts})"
        ));
        let rows =
            sqlx::query(sql).bind(provider.to_string()).bind(json(resources)).bind(now).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| Ok((word(row, "links", "resource_id")?, row.try_get::<i64, _>("lease_until")? - now)))
            .collect()
    }

    /// Extends the leases that are still ours; returns whose.
    pub async fn renew(
        &self,
        provider: ProviderId,
        holder: &str,
        links: &[ClaimedLink],
        ttl: Duration,
    ) -> Result<Vec<ResourceId>, StoreError> {
        let now = self.lease_clock_ms().await?;
        let rows: Vec<IntentRow<'_>> = links.iter().map(|link| intent_row(link, String::new())).collect();
        let batch = self.dialect().batch(2, &[Column::Text("resource_id"), Column::Int("fencing")]);
        let sql = statement(format!(
            "UPDATE links SET lease_until = $3 FROM {batch} WHERE links.provider_id = $1 \
             AND links.resource_id = b.resource_id AND links.fencing = b.fencing AND links.lease_holder = $4 \
             RETURNING links.resource_id AS resource_id"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(json(&rows))
            .bind(now + i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2))
            .bind(holder)
            .fetch_all(&self.inner.write)
            .await?;
        rows.iter().map(|row| word(row, "links", "resource_id")).collect()
    }

    /// Records what is about to be written, and extends the leases. Only what is returned may be sent.
    pub async fn intend(
        &self,
        provider: ProviderId,
        intents: &[(&ClaimedLink, String)],
        ttl: Duration,
    ) -> Result<Vec<ResourceId>, StoreError> {
        let now = self.lease_clock_ms().await?;
        let rows: Vec<IntentRow<'_>> = intents.iter().map(|(link, intent)| intent_row(link, intent.clone())).collect();
        let columns = [Column::Text("resource_id"), Column::Int("fencing"), Column::Text("intent")];
        let batch = self.dialect().batch(2, &columns);
        let sql = statement(format!(
            "UPDATE links SET intent = b.intent, lease_until = $3 FROM {batch} WHERE links.provider_id = $1 \
             AND links.resource_id = b.resource_id AND links.fencing = b.fencing \
             RETURNING links.resource_id AS resource_id"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(json(&rows))
            .bind(now + i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2))
            .fetch_all(&self.inner.write)
            .await?;
        rows.iter().map(|row| word(row, "links", "resource_id")).collect()
    }
}

fn intent_row(link: &ClaimedLink, intent: String) -> IntentRow<'_> {
    IntentRow { resource_id: &link.resource_id, fencing: link.fencing, intent }
}
