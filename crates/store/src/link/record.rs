//! Recording what became of a task's objects: links, sent members, log rows and the run's counters in
//! one transaction, each link only while our fencing token is the current one (R19, R20).

use std::collections::HashSet;

use scimfleet_core::state::{LinkState, Ownership, ParkReason};
use scimfleet_core::{ProviderId, RemoteId, ResourceId, RunId};
use serde::Serialize;
use sqlx::Row;

use super::owed_members::{OwedMember, forget_owed, owe, owe_left};
use super::waits::{mark_again, wait_for, wait_no_more, wake, will_not_come};
use super::{MARK_AGAIN, PARKED_NO_MORE};
use crate::connect::Store;
use crate::directory::import::reports_of;
use crate::error::StoreError;
use crate::lock::{Lock, past_deadlocks};
use crate::log::{LogEntry, write_log};
use crate::password::{DeliveredPassword, settle};
use crate::pool::Connection;
use crate::run::task::{TaskClose, close_task};
use crate::signal::Signal;
use crate::sql::{Column, Dialect, json, statement, word};

/// The new content of one link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkResult {
    /// The object.
    pub resource_id: ResourceId,
    /// Our token.
    pub fencing: i64,
    /// The marks that we saw; more of them now means that it stays dirty.
    pub marked: i64,
    /// The state that it reached.
    pub state: LinkState,
    /// Why it is parked, if it is.
    pub park_reason: Option<ParkReason>,
    /// The account.
    pub remote_id: Option<RemoteId>,
    /// How it came to be ours.
    pub ownership: Option<Ownership>,
    /// The version that the provider gave it.
    pub version: Option<String>,
    /// Digest of what was sent last.
    pub sent_digest: Option<String>,
    /// What was sent last, as JSON text.
    pub sent_document: Option<String>,
    /// The generation of the resource that this rests on.
    pub synced_generation: i64,
    /// Still owed although nothing new happened (a failed attempt, a snooze).
    #[serde(serialize_with = "as_int")]
    pub still_dirty: bool,
    /// Failed attempts since the last success.
    pub attempts: u32,
    /// Not before this time, milliseconds since 1970; 0 for at once.
    pub due_at_ms: i64,
    /// The words of mapping or provider.
    pub last_error: Option<String>,
    /// An intent that stays open: nobody knows whether the write was applied.
    pub intent: Option<String>,
    /// The run that counted it.
    pub last_run: Option<RunId>,
    /// The provider took a write: what it shows next is the new baseline (R22).
    #[serde(serialize_with = "as_int")]
    pub rewritten: bool,
    /// The members of this group were compared as a whole, and what differed was sent.
    #[serde(serialize_with = "as_int")]
    pub members_compared: bool,
}

impl LinkResult {
    /// It has no account, and none is about to come.
    fn settles_without_account(&self) -> bool {
        self.remote_id.is_none() && !self.still_dirty
    }
}

fn as_int<S: serde::Serializer>(value: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(i64::from(*value))
}

/// Members that a provider was sent, or that it lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MembershipChange {
    /// The group.
    pub group_id: ResourceId,
    /// The member.
    pub member_id: ResourceId,
    /// Its account; `None` when it was removed.
    pub remote_id: Option<RemoteId>,
}

/// A link that is given back as it was: nothing was owed, or nothing was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    /// The object.
    pub resource_id: ResourceId,
    /// Our token.
    pub fencing: i64,
    /// The run that counted it.
    pub last_run: Option<RunId>,
}

/// Everything that a task leaves behind.
#[derive(Debug, Clone, Default)]
pub struct TaskRecord {
    /// Links.
    pub results: Vec<LinkResult>,
    /// Links that are given back as they were.
    pub released: Vec<Released>,
    /// Members sent and removed.
    pub memberships: Vec<MembershipChange>,
    /// Members of groups that were compared, and what differed of them was sent.
    pub compared: Vec<OwedMember>,
    /// Objects whose account is gone or another one, and objects that are not wanted and were dealt with: the
    /// groups that hold them there are looked at.
    pub left: Vec<ResourceId>,
    /// Groups that are gone there: none of their members is there any more.
    pub emptied: Vec<ResourceId>,
    /// `(waiting, needed)`.
    pub waits: Vec<(ResourceId, ResourceId)>,
    /// Those of the waits for what was about to come; the others are for what was left out.
    pub expected: Vec<(ResourceId, ResourceId)>,
    /// Objects that have an account since this task.
    pub arrived: Vec<ResourceId>,
    /// One row for every write.
    pub log: Vec<LogEntry>,
    /// Passwords that the provider has now; those of objects whose token we had lost do not count.
    pub passwords: Vec<DeliveredPassword>,
    /// The run's task, if it belongs to one.
    pub close: Option<TaskClose>,
}

/// What the recording showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Objects that moved on meanwhile: to be looked at again at once.
    pub again: Vec<ResourceId>,
    /// Objects that waited for one of these, and groups that still hold one that left.
    pub woken: Vec<ResourceId>,
    /// Objects whose token we had lost; nothing was recorded for them.
    pub stale: Vec<ResourceId>,
}

const RESULT: [Column; 19] = [
    Column::Text("resource_id"),
    Column::Int("fencing"),
    Column::Int("marked"),
    Column::Text("state"),
    Column::Text("park_reason"),
    Column::Text("remote_id"),
    Column::Text("ownership"),
    Column::Text("version"),
    Column::Text("sent_digest"),
    Column::Text("sent_document"),
    Column::Int("synced_generation"),
    Column::Int("still_dirty"),
    Column::Int("attempts"),
    Column::Int("due_at_ms"),
    Column::Text("last_error"),
    Column::Text("intent"),
    Column::Text("last_run"),
    Column::Int("rewritten"),
    Column::Int("members_compared"),
];

impl Store {
    /// Records a task in one transaction. Nothing is acknowledged before this returned. An object whose
    /// account belongs to another one already is parked as a conflict instead.
    pub async fn record(&self, provider: ProviderId, record: &TaskRecord) -> Result<Recorded, StoreError> {
        match past_deadlocks(|| self.record_once(provider, record)).await {
            Err(StoreError::Refused(sqlx::Error::Database(error))) if error.is_unique_violation() => {
                match self.without_twins(provider, record).await? {
                    Some(parked) => past_deadlocks(|| self.record_once(provider, &parked)).await,
                    None => Err(sqlx::Error::Database(error).into()),
                }
            }
            other => other,
        }
    }

    async fn record_once(&self, provider: ProviderId, record: &TaskRecord) -> Result<Recorded, StoreError> {
        let now = self.now_ms();
        let dialect = self.dialect();
        let mut tx = self.begin().await?;
        // Taken before any row is locked, so that waiting for it cannot close a circle.
        if !record.waits.is_empty() {
            Lock::Waiting(provider).take(&mut tx, dialect).await?;
        } else if !record.arrived.is_empty() || record.results.iter().any(LinkResult::settles_without_account) {
            Lock::Arriving(provider).take(&mut tx, dialect).await?;
        }
        let mut recorded = update_links(&mut tx, dialect, provider, &record.results, now).await?;
        release_links(&mut tx, dialect, provider, &record.released).await?;
        empty_groups(&mut tx, dialect, provider, &record.emptied).await?;
        write_memberships(&mut tx, dialect, provider, &record.memberships, &recorded.stale).await?;
        forget_owed(&mut tx, dialect, provider, &record.compared, &recorded.stale).await?;
        let mut there = wait_for(&mut tx, dialect, provider, &record.waits).await?;
        there.extend(will_not_come(&mut tx, dialect, provider, &record.expected).await?);
        let again: Vec<ResourceId> = there.iter().map(|(waiting, _)| waiting.clone()).collect();
        mark_again(&mut tx, dialect, provider, &again).await?;
        owe(&mut tx, dialect, provider, &there).await?;
        recorded.again.extend(again);
        let arrived: Vec<&ResourceId> = record.arrived.iter().collect();
        recorded.woken = wake(&mut tx, dialect, provider, &arrived).await?;
        let without: Vec<&ResourceId> = record
            .results
            .iter()
            .filter(|result| result.settles_without_account() && !recorded.stale.contains(&result.resource_id))
            .map(|result| &result.resource_id)
            .collect();
        recorded.woken.extend(wait_no_more(&mut tx, dialect, provider, &without).await?);
        let left: Vec<&ResourceId> = record.left.iter().filter(|id| !recorded.stale.contains(id)).collect();
        recorded.woken.extend(owe_left(&mut tx, dialect, provider, &left, now).await?);
        recorded.woken.extend(mark_reports(&mut tx, dialect, provider, &left, now).await?);
        let passwords: Vec<DeliveredPassword> =
            record.passwords.iter().filter(|one| !recorded.stale.contains(&one.resource_id)).cloned().collect();
        settle(&mut tx, dialect, provider, &passwords).await?;
        write_log(&mut tx, dialect, provider, &record.log, now).await?;
        let phase_ended = match &record.close {
            Some(close) => close_task(&mut tx, close, now).await?,
            None => false,
        };
        tx.commit().await?;
        if phase_ended {
            self.fire(Signal::Runs).await?;
        }
        Ok(recorded)
    }
}

async fn update_links(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    results: &[LinkResult],
    now: i64,
) -> Result<Recorded, StoreError> {
    if results.is_empty() {
        return Ok(Recorded::default());
    }
    // Parked is what needs a change, and whoever was marked meanwhile was changed: it is owed as before.
    let batch = dialect.batch(2, &RESULT);
    let sql = statement(format!(
        "UPDATE links SET state = CASE WHEN b.state = 'parked' AND links.marked <> b.marked \
         THEN CASE WHEN links.wanted = 'yes' THEN 'pending' ELSE 'leaving' END ELSE b.state END, \
         park_reason = CASE WHEN links.marked = b.marked THEN b.park_reason END, remote_id = b.remote_id, \
         ownership = b.ownership, version = b.version, sent_digest = b.sent_digest, sent_document = b.sent_document, \
         synced_generation = b.synced_generation, attempts = b.attempts, due_at = b.due_at_ms, \
         last_error = b.last_error, intent = b.intent, last_run = COALESCE(b.last_run, links.last_run), \
         shown_digest = CASE WHEN b.rewritten = 1 THEN NULL ELSE links.shown_digest END, \
         repaired_digest = CASE WHEN b.rewritten = 1 THEN COALESCE(links.drift_digest, links.repaired_digest) \
         ELSE links.repaired_digest END, \
         drift_digest = CASE WHEN b.rewritten = 1 THEN NULL ELSE links.drift_digest END, \
         dirty = CASE WHEN links.marked = b.marked AND b.still_dirty = 0 THEN 0 ELSE 1 END, \
         members_whole = CASE WHEN links.marked = b.marked AND b.members_compared = 1 THEN 0 \
         ELSE links.members_whole END, \
         queued_at = NULL, lease_holder = NULL, lease_until = 0, updated_at = $3 \
         FROM {batch} WHERE links.provider_id = $1 AND links.resource_id = b.resource_id \
         AND links.fencing = b.fencing \
         RETURNING links.resource_id AS resource_id, links.marked AS marked"
    ));
    let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(results)).bind(now).fetch_all(&mut *tx).await?;
    let mut current = HashSet::with_capacity(rows.len());
    let mut recorded = Recorded::default();
    for row in &rows {
        let id: ResourceId = word(row, "links", "resource_id")?;
        let marked: i64 = row.try_get("marked")?;
        if results.iter().any(|result| result.resource_id == id && result.marked != marked) {
            recorded.again.push(id.clone());
        }
        current.insert(id);
    }
    recorded.stale =
        results.iter().map(|result| &result.resource_id).filter(|id| !current.contains(*id)).cloned().collect();
    mark_again(tx, dialect, provider, &recorded.stale).await?;
    Ok(recorded)
}

async fn release_links(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    released: &[Released],
) -> Result<(), StoreError> {
    if released.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(2, &[Column::Text("resource_id"), Column::Int("fencing"), Column::Text("last_run")]);
    let sql = statement(format!(
        "UPDATE links SET lease_holder = NULL, lease_until = 0, queued_at = NULL, \
         last_run = COALESCE(b.last_run, links.last_run) FROM {batch} \
         WHERE links.provider_id = $1 AND links.resource_id = b.resource_id AND links.fencing = b.fencing"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(released)).execute(tx).await?;
    Ok(())
}

/// Marks the users who name one of these as their manager, by an account that may be gone or another one; also those
/// who were refused, perhaps for that. Returns them.
async fn mark_reports(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    left: &[&ResourceId],
    now: i64,
) -> Result<Vec<ResourceId>, StoreError> {
    let reports = reports_of(tx, dialect, left).await?;
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    let texts = dialect.texts(2);
    let sql = statement(format!(
        "UPDATE links SET {MARK_AGAIN}, {PARKED_NO_MORE}, due_at = CASE WHEN dirty = 0 THEN 0 ELSE due_at END \
         WHERE provider_id = $1 AND kind = 'user' AND wanted = 'yes' AND held_by IS NULL \
         AND (park_reason IS NULL OR park_reason = 'refused') \
         AND resource_id IN (SELECT b.id FROM {texts}) RETURNING resource_id"
    ));
    let query = sqlx::query(sql).bind(provider.to_string()).bind(json(&reports)).bind(now);
    query.fetch_all(tx).await?.iter().map(|row| word(row, "links", "resource_id")).collect()
}

async fn empty_groups(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    groups: &[ResourceId],
) -> Result<(), StoreError> {
    if groups.is_empty() {
        return Ok(());
    }
    let texts = dialect.texts(2);
    for sql in [
        format!("DELETE FROM sent_memberships WHERE provider_id = $1 AND group_id IN (SELECT b.id FROM {texts})"),
        format!("DELETE FROM owed_memberships WHERE provider_id = $1 AND group_id IN (SELECT b.id FROM {texts})"),
        format!(
            "UPDATE links SET members_whole = 1 WHERE provider_id = $1 AND resource_id IN (SELECT b.id FROM {texts})"
        ),
    ] {
        sqlx::query(statement(sql)).bind(provider.to_string()).bind(json(groups)).execute(&mut *tx).await?;
    }
    Ok(())
}

async fn write_memberships(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    changes: &[MembershipChange],
    stale: &[ResourceId],
) -> Result<(), StoreError> {
    let ours: Vec<&MembershipChange> = changes.iter().filter(|change| !stale.contains(&change.group_id)).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(2, &["group_id", "member_id", "remote_id"].map(Column::Text));
    let sql = statement(format!(
        "INSERT INTO sent_memberships (provider_id, group_id, member_id, remote_id) \
         SELECT $1, b.group_id, b.member_id, b.remote_id FROM {batch} WHERE b.remote_id IS NOT NULL \
         ON CONFLICT (provider_id, group_id, member_id) DO UPDATE SET remote_id = excluded.remote_id"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(&ours)).execute(&mut *tx).await?;
    if ours.iter().any(|change| change.remote_id.is_none()) {
        let sql = statement(format!(
            "DELETE FROM sent_memberships WHERE provider_id = $1 AND (group_id, member_id) IN \
             (SELECT b.group_id, b.member_id FROM {batch} WHERE b.remote_id IS NULL)"
        ));
        sqlx::query(sql).bind(provider.to_string()).bind(json(&ours)).execute(&mut *tx).await?;
    }
    Ok(())
}
