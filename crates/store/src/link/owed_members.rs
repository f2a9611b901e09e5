//! Members of groups of which a provider may have been told something else than what is so. Whoever changes a
//! membership, an account or a verdict notes the pairs that it concerns, and a task compares those and no
//! others: one member more costs the same in a group of any size (R1). The link is marked first and the pairs
//! are noted after it, in one transaction: so a task that ends meanwhile either is not the last one, or left
//! the pairs to be noted.

use std::collections::BTreeSet;

use scimfleet_core::{ProviderId, RemoteId, ResourceId, ResourceKind};
use serde::Serialize;
use sqlx::Row;

use super::{MARK_AGAIN, PARKED_NO_MORE};
use crate::connect::Store;
use crate::directory::group::{DIRECT, flattened};
use crate::error::StoreError;
use crate::pool::Connection;
use crate::relay::OutboxRow;
use crate::sql::{Column, Dialect, json, statement, word};

/// A member of a group that is to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwedMember {
    /// The group.
    pub group_id: ResourceId,
    /// The member.
    pub member_id: ResourceId,
    /// How often there was a reason: more of them now means that it is to be compared again.
    pub marked: i64,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Pair<'a> {
    group_id: &'a ResourceId,
    member_id: &'a ResourceId,
}

const PAIR: [Column; 2] = [Column::Text("group_id"), Column::Text("member_id")];
const OWED: &str = "INSERT INTO owed_memberships (provider_id, group_id, member_id, marked)";
/// Whether a member `m` with the link `l` is to be in its group: whoever is kept from leaving stays.
const BELONGS: &str = "m.member_id IS NOT NULL AND (l.wanted = 'yes' OR l.held_by IS NOT NULL)";
/// Whether the object of a link `l` is being written, or nobody knows what became of its last write.
const UNDER_WAY: &str = "(l.intent IS NOT NULL OR l.lease_holder IS NOT NULL)";
const AGAIN: &str = "ON CONFLICT (provider_id, group_id, member_id) DO UPDATE SET marked = owed_memberships.marked + 1";

impl Store {
    /// The members of these groups that are to be compared at a provider.
    pub async fn owed_members(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
    ) -> Result<Vec<OwedMember>, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "SELECT o.group_id AS group_id, o.member_id AS member_id, o.marked AS marked FROM {texts} \
             JOIN owed_memberships o ON o.provider_id = $1 AND o.group_id = b.id"
        ));
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(groups)).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                Ok(OwedMember {
                    group_id: word(row, "owed_memberships", "group_id")?,
                    member_id: word(row, "owed_memberships", "member_id")?,
                    marked: row.try_get("marked")?,
                })
            })
            .collect()
    }

    /// Of the members of these groups that are noted as owed, those that show no difference: whoever does not
    /// know what became of a write of theirs settles them again.
    pub async fn doubted_members(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
    ) -> Result<Vec<DoubtedMember>, StoreError> {
        self.doubted(provider, groups, DIRECT).await
    }

    /// The same where groups are never members, and the users inside them are.
    pub async fn doubted_flattened(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
    ) -> Result<Vec<DoubtedMember>, StoreError> {
        let (with, table) = flattened(&self.dialect().texts(2));
        let mut doubted = self.doubted(provider, groups, (&with, table)).await?;
        doubted.retain(|one| one.kind == ResourceKind::User);
        Ok(doubted)
    }

    async fn doubted(
        &self,
        provider: ProviderId,
        groups: &[ResourceId],
        (with, table): (&str, &str),
    ) -> Result<Vec<DoubtedMember>, StoreError> {
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "{with}SELECT o.group_id AS group_id, o.member_id AS member_id, l.kind AS kind, l.remote_id AS remote_id, \
             CAST(CASE WHEN {BELONGS} THEN 1 ELSE 0 END AS BIGINT) AS belongs FROM {texts} \
             JOIN owed_memberships o ON o.provider_id = $1 AND o.group_id = b.id \
             JOIN links l ON l.provider_id = $1 AND l.resource_id = o.member_id AND l.remote_id IS NOT NULL \
             LEFT JOIN {table} m ON m.group_id = o.group_id AND m.member_id = o.member_id \
             LEFT JOIN sent_memberships s ON s.provider_id = $1 AND s.group_id = o.group_id \
             AND s.member_id = o.member_id \
             WHERE ({BELONGS}) = (s.member_id IS NOT NULL)"
        ));
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(json(groups)).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                Ok(DoubtedMember {
                    group_id: word(row, "owed_memberships", "group_id")?,
                    member_id: word(row, "owed_memberships", "member_id")?,
                    kind: word(row, "links", "kind")?,
                    remote_id: word(row, "links", "remote_id")?,
                    belongs: row.try_get::<i64, _>("belongs")? == 1,
                })
            })
            .collect()
    }
}

/// A member of which a write of unknown outcome may have made something else than what counts as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubtedMember {
    /// The group.
    pub group_id: ResourceId,
    /// The member.
    pub member_id: ResourceId,
    /// User or group.
    pub kind: ResourceKind,
    /// Its account.
    pub remote_id: RemoteId,
    /// It belongs to the group.
    pub belongs: bool,
}

/// Notes these members of groups at a provider. A group that is compared as a whole needs none.
pub(crate) async fn owe(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    pairs: &[(ResourceId, ResourceId)],
) -> Result<(), StoreError> {
    let pairs: BTreeSet<Pair<'_>> = pairs.iter().map(|(group_id, member_id)| Pair { group_id, member_id }).collect();
    if pairs.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(2, &PAIR);
    let sql = statement(format!(
        "{OWED} SELECT $1, b.group_id, b.member_id, 1 FROM {batch} \
         JOIN links l ON l.provider_id = $1 AND l.resource_id = b.group_id \
         WHERE l.kind = 'group' AND l.wanted = 'yes' AND l.members_whole = 0 {AGAIN}"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(&pairs)).execute(tx).await?;
    Ok(())
}

/// Notes who joined and who left, at every provider that has the group, also where it is compared as a whole:
/// a write of unknown outcome may have been about them. Of a group that nobody wrote yet there is none.
pub(crate) async fn owe_changes(
    tx: &mut Connection,
    dialect: Dialect,
    changes: &[OutboxRow],
) -> Result<(), StoreError> {
    let pairs: BTreeSet<Pair<'_>> = changes
        .iter()
        .flat_map(|change| {
            let moved = change.added.iter().chain(&change.removed);
            moved.map(|member_id| Pair { group_id: &change.resource_id, member_id })
        })
        .collect();
    if pairs.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(1, &PAIR);
    let sql = statement(format!(
        "{OWED} SELECT l.provider_id, b.group_id, b.member_id, 1 FROM {batch} \
         JOIN links l ON l.resource_id = b.group_id WHERE l.wanted = 'yes' AND (l.members_whole = 0 \
         OR l.remote_id IS NOT NULL OR {UNDER_WAY}) {AGAIN}"
    ));
    sqlx::query(sql).bind(json(&pairs)).execute(&mut *tx).await?;
    owe_outer(tx, &batch, &pairs).await
}

/// A group that is being written, or of whose last write nobody knows, may have been sent who was inside another group
/// of it by then: flattened, those are its members. Whoever moved there is noted for it, too. SQLite guesses that a
/// recursion gives much: CROSS JOIN keeps it from reading the larger table first.
async fn owe_outer(tx: &mut Connection, batch: &str, pairs: &BTreeSet<Pair<'_>>) -> Result<(), StoreError> {
    let sql = statement(format!(
        "WITH RECURSIVE reach(inner_id, group_id) AS (SELECT b.group_id, b.group_id FROM {batch} UNION \
           SELECT r.inner_id, m.group_id FROM reach r CROSS JOIN memberships m WHERE m.member_id = r.group_id), \
         under_way(provider_id, group_id, inner_id) AS (SELECT l.provider_id, r.group_id, r.inner_id FROM reach r \
           CROSS JOIN links l WHERE l.resource_id = r.group_id AND l.wanted = 'yes' \
           AND {UNDER_WAY}), \
         inside(provider_id, group_id, member_id) AS (SELECT u.provider_id, u.group_id, b.member_id FROM under_way u \
           CROSS JOIN {batch} WHERE b.group_id = u.inner_id UNION \
           SELECT i.provider_id, i.group_id, m.member_id FROM inside i CROSS JOIN memberships m \
           WHERE m.group_id = i.member_id) \
         {OWED} SELECT i.provider_id, i.group_id, i.member_id, 1 FROM inside i WHERE TRUE {AGAIN}"
    ));
    sqlx::query(sql).bind(json(pairs)).execute(tx).await?;
    Ok(())
}

/// Marks the groups that hold one of these at the provider, and those that are being written with one of these or
/// were refused because of it, and notes it. Returns the groups.
pub(crate) async fn owe_left(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    left: &[&ResourceId],
    now: i64,
) -> Result<Vec<ResourceId>, StoreError> {
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let texts = dialect.texts(2);
    let sql = statement(format!(
        "UPDATE links SET {MARK_AGAIN} \
         WHERE provider_id = $1 AND wanted = 'yes' AND held_by IS NULL AND resource_id IN \
         (SELECT s.group_id FROM {texts} JOIN sent_memberships s ON s.provider_id = $1 AND s.member_id = b.id) \
         RETURNING resource_id"
    ));
    let query = sqlx::query(sql).bind(provider.to_string()).bind(json(left)).bind(now);
    let rows = query.fetch_all(&mut *tx).await?;
    let mut groups = rows.iter().map(|row| word(row, "links", "resource_id")).collect::<Result<Vec<_>, _>>()?;
    // A write that named somebody whose account was about to go is refused: of those under way it is not known yet.
    let sql = statement(format!(
        "UPDATE links SET {MARK_AGAIN}, {PARKED_NO_MORE}, due_at = 0 \
         WHERE provider_id = $1 AND kind = 'group' AND wanted = 'yes' AND held_by IS NULL \
         AND (park_reason = 'refused' OR lease_holder IS NOT NULL) AND resource_id IN \
         (SELECT m.group_id FROM {texts} JOIN memberships m ON m.member_id = b.id) RETURNING resource_id"
    ));
    let query = sqlx::query(sql).bind(provider.to_string()).bind(json(left)).bind(now);
    for row in &query.fetch_all(&mut *tx).await? {
        let group = word(row, "links", "resource_id")?;
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let sql = statement(format!(
        "{OWED} SELECT $1, s.group_id, s.member_id, 1 FROM {texts} \
         JOIN sent_memberships s ON s.provider_id = $1 AND s.member_id = b.id \
         JOIN links l ON l.provider_id = $1 AND l.resource_id = s.group_id WHERE l.members_whole = 0 {AGAIN}"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(left)).execute(&mut *tx).await?;
    owe_left_in_doubt(tx, dialect, provider, left).await?;
    Ok(groups)
}

/// A group that is being written, or of whose last write nobody knows, may hold one of these as well, by itself or,
/// flattened, by a group inside of it.
async fn owe_left_in_doubt(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    left: &[&ResourceId],
) -> Result<(), StoreError> {
    let texts = dialect.texts(2);
    let sql = statement(format!(
        "WITH RECURSIVE up(group_id, member_id) AS (SELECT m.group_id, m.member_id FROM {texts} \
           CROSS JOIN memberships m WHERE m.member_id = b.id UNION \
           SELECT n.group_id, u.member_id FROM up u CROSS JOIN memberships n WHERE n.member_id = u.group_id) \
         {OWED} SELECT $1, u.group_id, u.member_id, 1 FROM up u CROSS JOIN links l WHERE l.provider_id = $1 \
         AND l.resource_id = u.group_id AND l.wanted = 'yes' \
         AND {UNDER_WAY} {AGAIN}"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(left)).execute(tx).await?;
    Ok(())
}

/// Notes whom the groups that wait lack.
pub(crate) async fn owe_waited_for(tx: &mut Connection, provider: ProviderId) -> Result<(), StoreError> {
    let sql = statement(format!(
        "{OWED} SELECT $1, w.waiting_id, w.needed_id, 1 FROM link_waits w \
         JOIN links l ON l.provider_id = $1 AND l.resource_id = w.waiting_id \
         WHERE w.provider_id = $1 AND l.kind = 'group' AND l.state = 'waiting' AND l.members_whole = 0 {AGAIN}"
    ));
    sqlx::query(sql).bind(provider.to_string()).execute(tx).await?;
    Ok(())
}

/// Forgets what was compared, unless there was another reason meanwhile.
pub(crate) async fn forget_owed(
    tx: &mut Connection,
    dialect: Dialect,
    provider: ProviderId,
    compared: &[OwedMember],
    stale: &[ResourceId],
) -> Result<(), StoreError> {
    let ours: Vec<&OwedMember> = compared.iter().filter(|one| !stale.contains(&one.group_id)).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(2, &[PAIR[0], PAIR[1], Column::Int("marked")]);
    let sql = statement(format!(
        "DELETE FROM owed_memberships WHERE provider_id = $1 AND (group_id, member_id, marked) IN \
         (SELECT b.group_id, b.member_id, b.marked FROM {batch})"
    ));
    sqlx::query(sql).bind(provider.to_string()).bind(json(&ours)).execute(tx).await?;
    Ok(())
}
