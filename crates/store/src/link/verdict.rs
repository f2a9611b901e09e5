//! Whether an object is wanted at a provider, and marking links that must be looked at again.

use scimfleet_core::state::UnknownWord;
use scimfleet_core::{ProviderId, ResourceId, ResourceKind};
use serde::Serialize;

use super::waits::{wake_for, wake_for_all};
use crate::connect::Store;
use crate::error::StoreError;
use crate::lock::{Lock, past_deadlocks};
use crate::pool::Connection;
use crate::sql::{Column, Dialect, json, statement};

/// Whether an object shall be at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It is in scope.
    Yes,
    /// It exists, but the scope leaves it out.
    OutOfScope,
    /// It was deleted from the directory.
    Deleted,
}

impl Wanted {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::OutOfScope => "out_of_scope",
            Self::Deleted => "deleted",
        }
    }
}

impl std::str::FromStr for Wanted {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "yes" => Ok(Self::Yes),
            "out_of_scope" => Ok(Self::OutOfScope),
            "deleted" => Ok(Self::Deleted),
            _ => Err(UnknownWord { what: "verdict", word: word.to_owned() }),
        }
    }
}

/// The verdict on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Whether it shall be there.
    pub wanted: Wanted,
    /// It changed in the directory: look at it even if the verdict is the same.
    #[serde(serialize_with = "as_int")]
    pub changed: bool,
}

fn as_int<S: serde::Serializer>(value: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(i64::from(*value))
}

impl Store {
    /// Records verdicts: makes the links that are missing, marks those that moved. One transaction.
    pub async fn apply_verdicts(&self, provider: ProviderId, verdicts: &[Verdict]) -> Result<(), StoreError> {
        past_deadlocks(|| async {
            let mut tx = self.begin().await?;
            apply(&mut tx, self.dialect(), provider, verdicts, self.now_ms()).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Parks objects on which the scope gave no verdict (R11). Their verdict stays; who has none gets a link
    /// that is not wanted, so that it is seen. Who is inactive is not kept from being turned off.
    pub async fn park_unjudged(
        &self,
        provider: ProviderId,
        objects: &[(ResourceId, ResourceKind, String)],
    ) -> Result<(), StoreError> {
        if objects.is_empty() {
            return Ok(());
        }
        let rows: Vec<Unjudged<'_>> = objects
            .iter()
            .map(|(resource_id, kind, reason)| Unjudged {
                resource_id,
                kind: *kind,
                words: format!("{UNJUDGED}: {reason}"),
            })
            .collect();
        let columns = [Column::Text("resource_id"), Column::Text("kind"), Column::Text("words")];
        let batch = self.dialect().batch(3, &columns);
        let parked = "'parked', 'invalid', b.words";
        let sql = statement(format!(
            "INSERT INTO links (provider_id, resource_id, kind, wanted, leaving, state, park_reason, last_error, \
             synced_generation, dirty, marked, marked_at, attempts, due_at, lease_until, fencing, created_at, updated_at) \
             SELECT $1, b.resource_id, b.kind, 'out_of_scope', 0, {parked}, 0, 0, 1, $2, 0, 0, 0, 0, $2, $2 FROM {batch} \
             WHERE true ON CONFLICT (provider_id, resource_id) DO UPDATE SET state = 'parked', park_reason = 'invalid', \
             last_error = excluded.last_error, dirty = 0, queued_at = NULL, updated_at = $2 \
             WHERE links.state <> 'gone' AND NOT EXISTS \
             (SELECT 1 FROM resources r WHERE r.id = links.resource_id AND r.active = 0)"
        ));
        let query = sqlx::query(sql).bind(provider.to_string()).bind(self.now_ms()).bind(json(&rows));
        query.execute(&self.inner.write).await?;
        Ok(())
    }

    /// The scope's verdicts are up to date.
    pub async fn scope_is_current(&self, provider: ProviderId) -> Result<(), StoreError> {
        let sql = "UPDATE providers SET scope_due = 0 WHERE id = $1";
        sqlx::query(sql).bind(provider.to_string()).execute(&self.inner.write).await?;
        Ok(())
    }

    /// Wants everybody: for a provider without a scope this takes three statements however large the
    /// directory is. Links of what was deleted are marked as leaving.
    pub async fn want_everything(&self, provider: ProviderId) -> Result<(), StoreError> {
        let now = self.now_ms();
        let mut tx = self.begin().await?;
        Lock::Arriving(provider).take(&mut tx, self.dialect()).await?;
        let sql = statement(format!(
            "INSERT INTO links ({INSERTED}) SELECT $1, r.id, r.kind, 1 - r.active, {FRESH} FROM resources r \
             WHERE r.deleted_at IS NULL AND NOT EXISTS \
             (SELECT 1 FROM links l WHERE l.provider_id = $1 AND l.resource_id = r.id) \
             ON CONFLICT (provider_id, resource_id) DO NOTHING"
        ));
        sqlx::query(sql).bind(provider.to_string()).bind(now).execute(&mut *tx).await?;
        let sql = statement(format!(
            "UPDATE links SET wanted = 'yes', leaving = {INACTIVE}, state = 'pending', park_reason = NULL, \
             members_whole = 1, held_by = NULL, {MARKED} WHERE provider_id = $1 AND (wanted <> 'yes' \
             OR (park_reason = 'invalid' AND last_error LIKE '{UNJUDGED}%')) AND resource_id IN \
             (SELECT id FROM resources WHERE deleted_at IS NULL)"
        ));
        sqlx::query(sql).bind(provider.to_string()).bind(now).execute(&mut *tx).await?;
        wake_for_all(&mut tx, self.dialect(), provider).await?;
        mark_deleted(&mut tx, provider, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Links of tombstones are marked as leaving: the net below the relay.
    pub async fn want_no_tombstones(&self, provider: ProviderId) -> Result<(), StoreError> {
        let now = self.now_ms();
        let mut tx = self.begin().await?;
        mark_deleted(&mut tx, provider, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Marks links whose object moved past what was synced, whatever became of its change's message.
    pub async fn mark_moved(&self, provider: ProviderId) -> Result<u64, StoreError> {
        let sql = statement(format!(
            "UPDATE links SET dirty = 1, marked = marked + 1, marked_at = $2, queued_at = NULL, leaving = {INACTIVE} \
             WHERE provider_id = $1 AND dirty = 0 AND wanted = 'yes' AND park_reason IS NULL AND synced_generation < \
             (SELECT r.generation FROM resources r WHERE r.id = links.resource_id)"
        ));
        past_deadlocks(|| async {
            let query = sqlx::query(sql.clone()).bind(provider.to_string()).bind(self.now_ms());
            Ok(query.execute(&self.inner.write).await?.rows_affected())
        })
        .await
    }

    /// Marks objects to be looked at again now: by hand, or because a listing showed something.
    pub async fn mark(&self, provider: ProviderId, resources: &[ResourceId]) -> Result<u64, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "UPDATE links SET dirty = 1, marked = marked + 1, marked_at = $3, due_at = 0, queued_at = NULL, \
             state = CASE WHEN state <> 'parked' THEN state WHEN wanted = 'yes' THEN 'pending' ELSE 'leaving' END, \
             members_whole = 1, park_reason = NULL WHERE provider_id = $1 AND resource_id IN (SELECT b.id FROM {texts})"
        ));
        let done = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(json(resources))
            .bind(self.now_ms())
            .execute(&self.inner.write)
            .await?;
        Ok(done.rows_affected())
    }
}

/// How the words begin of whoever is parked because the scope gave no verdict.
const UNJUDGED: &str = "the scope gave no verdict";

#[derive(Serialize)]
struct Unjudged<'a> {
    resource_id: &'a ResourceId,
    kind: ResourceKind,
    words: String,
}

/// Columns of a fresh link; `$2` is the time.
const INSERTED: &str = "provider_id, resource_id, kind, leaving, wanted, state, synced_generation, dirty, marked, marked_at, \
     attempts, due_at, lease_until, fencing, created_at, updated_at";
const FRESH: &str = "'yes', 'pending', 0, 1, 1, $2, 0, 0, 0, 0, $2, $2";

/// Whether a link's object is inactive: then it is to lose its access, too (R8).
const INACTIVE: &str =
    "CASE WHEN EXISTS (SELECT 1 FROM resources r WHERE r.id = links.resource_id AND r.active = 0) THEN 1 ELSE 0 END";

/// Owed at once and with fresh attempts; `$2` is the time. Nothing in a queue speaks of what was clean.
const MARKED: &str = "dirty = 1, marked = links.marked + 1, marked_at = $2, due_at = 0, attempts = 0, \
     queued_at = CASE WHEN links.dirty = 0 THEN NULL ELSE links.queued_at END";

/// It has no account and nobody is about to make one: who is not wanted any more needs nothing there.
const AT_REST: &str =
    "links.state = 'gone' AND links.dirty = 0 AND links.lease_holder IS NULL AND links.intent IS NULL";

/// Inserted a statement ago, owed as it is: `$2` is the time.
const JUST_MADE: &str = "links.created_at = $2 AND links.marked = 1 AND links.fencing = 0";

async fn mark_deleted(tx: &mut Connection, provider: ProviderId, now: i64) -> Result<(), StoreError> {
    let sql = statement(format!(
        "UPDATE links SET wanted = 'deleted', leaving = 1, state = 'leaving', park_reason = NULL, held_by = NULL, {MARKED} \
         WHERE provider_id = $1 AND wanted <> 'deleted' AND NOT ({AT_REST}) AND resource_id IN \
         (SELECT id FROM resources WHERE deleted_at IS NOT NULL)"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(now).execute(tx).await?;
    Ok(())
}

pub(crate) async fn apply(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    verdicts: &[Verdict],
    now: i64,
) -> Result<(), StoreError> {
    Lock::Arriving(provider).take(tx, dialect).await?;
    let columns = [Column::Text("resource_id"), Column::Text("kind"), Column::Text("wanted"), Column::Int("changed")];
    let batch = dialect.batch(3, &columns);
    let sql = statement(format!(
        "INSERT INTO links ({INSERTED}) SELECT $1, b.resource_id, b.kind, 1 - r.active, {FRESH} FROM {batch} \
         JOIN resources r ON r.id = b.resource_id WHERE b.wanted = 'yes' ON CONFLICT (provider_id, resource_id) DO NOTHING"
    ));
    let text = json(verdicts);
    sqlx::query(sql).bind(provider.to_string()).bind(now).bind(text.as_str()).execute(&mut *tx).await?;
    let sql = statement(format!(
        "UPDATE links SET wanted = b.wanted, leaving = CASE WHEN b.wanted <> 'yes' THEN 1 ELSE {INACTIVE} END, \
         held_by = NULL, {MARKED}, \
         state = CASE WHEN links.wanted = b.wanted AND links.state <> 'parked' THEN links.state \
         WHEN b.wanted = 'yes' THEN 'pending' ELSE 'leaving' END, park_reason = NULL, \
         members_whole = CASE WHEN links.wanted = b.wanted THEN links.members_whole ELSE 1 END \
         FROM {batch} WHERE links.provider_id = $1 AND links.resource_id = b.resource_id \
         AND (links.wanted <> b.wanted OR (b.changed = 1 AND NOT ({JUST_MADE})) \
         OR (links.park_reason = 'invalid' AND links.last_error LIKE '{UNJUDGED}%')) \
         AND NOT ({AT_REST} AND b.wanted <> 'yes')"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(now).bind(text.as_str()).execute(&mut *tx).await?;
    if verdicts.iter().any(|one| one.wanted != Wanted::Yes) {
        let batch = dialect.batch(2, &columns);
        let sql = statement(format!(
            "UPDATE links SET wanted = b.wanted FROM {batch} WHERE links.provider_id = $1 \
             AND links.resource_id = b.resource_id AND {AT_REST} AND b.wanted <> 'yes' AND links.wanted <> b.wanted"
        ));
        sqlx::query(sql).bind(provider.to_string()).bind(text).execute(&mut *tx).await?;
    }
    let wanted: Vec<&ResourceId> =
        verdicts.iter().filter(|one| one.wanted == Wanted::Yes).map(|one| &one.resource_id).collect();
    wake_for(tx, dialect, provider, &wanted).await
}
