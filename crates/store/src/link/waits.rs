//! Who waits for whom (R24). Whoever will wait is alone at the provider ([`crate::lock::Lock::Waiting`]):
//! everybody who arrived before has committed and is seen, everybody who arrives later sees who waits. So
//! no wake-up is lost, and the two never lock each other's links.

use std::collections::{BTreeSet, HashSet};

use scimfleet_core::{ProviderId, ResourceId};
use serde::Serialize;
use sqlx::any::AnyRow;

use super::owed_members::owe;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::sql::{Column, Dialect, json, statement, word};

#[derive(Serialize)]
struct Wait<'a> {
    waiting_id: &'a ResourceId,
    needed_id: &'a ResourceId,
}

/// Notes that `waiting` lacks `needed`. Returns those that need not wait, with what they need: it is there by now.
/// Whoever was deleted is not, though the account stands until the relay comes by: a worker leaves them out.
pub(crate) async fn wait_for(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    waits: &[(ResourceId, ResourceId)],
) -> Result<Vec<(ResourceId, ResourceId)>, StoreError> {
    if waits.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Wait<'_>> = waits.iter().map(|(waiting_id, needed_id)| Wait { waiting_id, needed_id }).collect();
    let batch = dialect.batch(2, &[Column::Text("waiting_id"), Column::Text("needed_id")]);
    let sql = statement(format!(
        "INSERT INTO link_waits (provider_id, waiting_id, needed_id) SELECT $1, b.waiting_id, b.needed_id FROM {batch} \
         WHERE true ON CONFLICT (provider_id, waiting_id, needed_id) DO NOTHING"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(&rows)).execute(&mut *tx).await?;
    let sql = statement(format!(
        "SELECT l.resource_id AS resource_id FROM links l JOIN resources r ON r.id = l.resource_id \
         WHERE l.provider_id = $1 AND l.resource_id IN (SELECT b.needed_id FROM {batch}) \
         AND l.remote_id IS NOT NULL AND l.wanted = 'yes' AND r.deleted_at IS NULL"
    ));
    let there = sqlx::query(sql).bind(provider.to_string()).bind(json(&rows)).fetch_all(&mut *tx).await?;
    let there: HashSet<ResourceId> =
        there.iter().map(|row| word(row, "links", "resource_id")).collect::<Result<_, _>>()?;
    Ok(waits.iter().filter(|(_, needed)| there.contains(needed)).cloned().collect())
}

/// What `expected` names as `(waiting, needed)` and will not come after all: it is not wanted, or was settled without
/// an account. The conditions are those by which a worker decides whom to wait for, so that whoever is told of it
/// does not wait for it again.
pub(crate) async fn will_not_come(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    expected: &[(ResourceId, ResourceId)],
) -> Result<Vec<(ResourceId, ResourceId)>, StoreError> {
    if expected.is_empty() {
        return Ok(Vec::new());
    }
    let needed: BTreeSet<&ResourceId> = expected.iter().map(|(_, needed)| needed).collect();
    let texts = dialect.texts(2);
    let sql = statement(format!(
        "SELECT b.id AS resource_id FROM {texts} JOIN resources r ON r.id = b.id \
         LEFT JOIN links l ON l.provider_id = $1 AND l.resource_id = b.id \
         WHERE l.resource_id IS NULL OR l.wanted <> 'yes' OR r.deleted_at IS NOT NULL OR (l.remote_id IS NULL \
         AND (l.state IN ('parked', 'gone', 'kept') OR (r.kind = 'user' AND r.active = 0)))"
    ));
    let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(&needed)).fetch_all(&mut *tx).await?;
    let not_coming: HashSet<ResourceId> =
        rows.iter().map(|row| word(row, "links", "resource_id")).collect::<Result<_, _>>()?;
    Ok(expected.iter().filter(|(_, needed)| not_coming.contains(needed)).cloned().collect())
}

/// Tells whoever waits for one of these that it was settled without an account: they are looked at again, and no
/// longer wait for it. Who only left it out is not concerned. Returns who was told.
pub(crate) async fn wait_no_more(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    settled: &[&ResourceId],
) -> Result<Vec<ResourceId>, StoreError> {
    if settled.is_empty() {
        return Ok(Vec::new());
    }
    let texts = dialect.texts(2);
    let sql = statement(format!(
        "SELECT w.waiting_id AS waiting_id, w.needed_id AS needed_id FROM {texts} \
         JOIN link_waits w ON w.provider_id = $1 AND w.needed_id = b.id \
         JOIN links l ON l.provider_id = $1 AND l.resource_id = w.waiting_id WHERE l.state = 'waiting'"
    ));
    let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(settled)).fetch_all(&mut *tx).await?;
    let pairs = rows.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    look_again(tx, dialect, provider, &pairs).await
}

fn pair(row: &AnyRow) -> Result<(ResourceId, ResourceId), StoreError> {
    Ok((word(row, "link_waits", "waiting_id")?, word(row, "link_waits", "needed_id")?))
}

/// Wakes whoever waited for `arrived`; their links are marked, and keep the time since when they wait.
/// Returns who was woken.
pub(crate) async fn wake(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    arrived: &[&ResourceId],
) -> Result<Vec<ResourceId>, StoreError> {
    if arrived.is_empty() {
        return Ok(Vec::new());
    }
    let texts = dialect.texts(2);
    let sql = statement(format!(
        "DELETE FROM link_waits WHERE provider_id = $1 AND needed_id IN (SELECT b.id FROM {texts}) RETURNING waiting_id, needed_id"
    ));
    let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(arrived)).fetch_all(&mut *tx).await?;
    let pairs = rows.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    look_again(tx, dialect, provider, &pairs).await
}

/// Marks these, whatever they are owed already.
pub(crate) async fn mark_again(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    resources: &[ResourceId],
) -> Result<(), StoreError> {
    if resources.is_empty() {
        return Ok(());
    }
    let texts = dialect.texts(2);
    // The time since when they are owed something stays: it is their latency.
    let sql = statement(format!(
        "UPDATE links SET dirty = 1, marked = marked + 1, \
         queued_at = CASE WHEN dirty = 0 THEN NULL ELSE queued_at END WHERE provider_id = $1 \
         AND resource_id IN (SELECT b.id FROM {texts})"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(resources)).execute(tx).await?;
    Ok(())
}

/// Marks those who wait, and notes whom they lacked; returns them.
async fn look_again(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    pairs: &[(ResourceId, ResourceId)],
) -> Result<Vec<ResourceId>, StoreError> {
    let woken: BTreeSet<ResourceId> = pairs.iter().map(|(waiting, _)| waiting.clone()).collect();
    let woken: Vec<ResourceId> = woken.into_iter().collect();
    mark_again(tx, dialect, provider, &woken).await?;
    owe(tx, dialect, provider, pairs).await?;
    Ok(woken)
}

/// Wakes whoever waited for one of these, if it has an account: it was left out, and is wanted again.
pub(crate) async fn wake_for(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    wanted: &[&ResourceId],
) -> Result<(), StoreError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let texts = dialect.texts(2);
    let sql = statement(format!(
        "SELECT DISTINCT w.needed_id AS needed_id FROM {texts} JOIN link_waits w ON w.provider_id = $1 \
         AND w.needed_id = b.id JOIN links l ON l.provider_id = $1 AND l.resource_id = w.needed_id \
         WHERE l.remote_id IS NOT NULL AND l.wanted = 'yes'"
    ));
    let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(wanted)).fetch_all(&mut *tx).await?;
    wake_rows(tx, dialect, provider, &rows).await
}

/// The same for everybody at a provider.
pub(crate) async fn wake_for_all(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
) -> Result<(), StoreError> {
    let sql = "SELECT DISTINCT w.needed_id AS needed_id FROM link_waits w \
         JOIN links l ON l.provider_id = w.provider_id AND l.resource_id = w.needed_id \
         WHERE w.provider_id = $1 AND l.remote_id IS NOT NULL AND l.wanted = 'yes'";
    let rows = sqlx::query(sql).bind(provider.to_string()).fetch_all(&mut *tx).await?;
    wake_rows(tx, dialect, provider, &rows).await
}

async fn wake_rows(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    rows: &[AnyRow],
) -> Result<(), StoreError> {
    let needed: Vec<ResourceId> =
        rows.iter().map(|row| word(row, "link_waits", "needed_id")).collect::<Result<_, _>>()?;
    wake(tx, dialect, provider, &needed.iter().collect::<Vec<_>>()).await.map(drop)
}
