//! Memberships: the only truth about who is in a group (R1), and members that were named before they
//! arrived.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use scimfleet_core::ResourceId;
use scimfleet_core::scim::resource::fold;
use serde::Serialize;
use sqlx::Row;

use super::change::Change;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::sql::{Column, Dialect, json, statement, word};

#[derive(Serialize)]
struct Reference<'a> {
    reference: &'a str,
    folded: String,
}

#[derive(Serialize)]
struct Pair<'a> {
    group_id: &'a ResourceId,
    other: &'a str,
}

#[derive(Serialize)]
struct Unresolved<'a> {
    group_id: &'a ResourceId,
    reference: &'a str,
    folded: String,
}

/// Sets the members of groups as named by reference, and returns the changes. References that nobody
/// answers to are kept until somebody does.
pub(crate) async fn set_members(
    tx: &mut Connection,
    dialect: Dialect,
    wanted: &HashMap<ResourceId, Vec<String>>,
) -> Result<Vec<Change>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let references: BTreeSet<&str> = wanted.values().flatten().map(String::as_str).collect();
    let resolved = resolve(tx, dialect, &references).await?;
    let groups: Vec<&ResourceId> = wanted.keys().collect();
    let mut existing = members_of(tx, dialect, &groups).await?;
    let mut moves = Moves::default();
    let mut unresolved = Vec::new();
    for (group, names) in wanted {
        let before = existing.remove(group).unwrap_or_default();
        let after: BTreeSet<ResourceId> =
            names.iter().filter_map(|name| resolved.get(name.as_str())).filter(|id| *id != group).cloned().collect();
        let missing = names.iter().filter(|name| !resolved.contains_key(name.as_str()));
        unresolved.extend(missing.map(|name| (group.clone(), name.clone())));
        moves.add(group, after.difference(&before), before.difference(&after));
    }
    replace_references(tx, dialect, &groups, &unresolved).await?;
    moves.write(tx, dialect).await
}

/// Who joins and who leaves which groups.
#[derive(Default)]
pub(crate) struct Moves {
    groups: BTreeMap<ResourceId, GroupMoves>,
}

#[derive(Default)]
struct GroupMoves {
    joined: Vec<ResourceId>,
    left: Vec<ResourceId>,
}

impl Moves {
    /// Adds the moves of one group.
    pub(crate) fn add<'a>(
        &mut self,
        group: &ResourceId,
        joined: impl Iterator<Item = &'a ResourceId>,
        left: impl Iterator<Item = &'a ResourceId>,
    ) {
        let moves = self.groups.entry(group.clone()).or_default();
        moves.joined.extend(joined.cloned());
        moves.left.extend(left.cloned());
    }

    /// Writes them, and returns them as changes.
    pub(crate) async fn write(self, tx: &mut Connection, dialect: Dialect) -> Result<Vec<Change>, StoreError> {
        let (mut added, mut removed, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for (group, moves) in self.groups {
            added.extend(moves.joined.iter().map(|id| (group.clone(), id.clone())));
            removed.extend(moves.left.iter().map(|id| (group.clone(), id.clone())));
            if !moves.joined.is_empty() || !moves.left.is_empty() {
                changes.push(Change::of_members(group, &moves.joined, &moves.left));
            }
        }
        insert_memberships(tx, dialect, &added).await?;
        delete_memberships(tx, dialect, &removed).await?;
        Ok(changes)
    }
}

/// Resources that arrived, or have another name now, take the places that were kept for them: by the same
/// preference as [`resolve`], and never in themselves.
pub(crate) async fn claim_references(
    tx: &mut Connection,
    dialect: Dialect,
    arrived: &[ResourceId],
) -> Result<Vec<Change>, StoreError> {
    if arrived.is_empty() {
        return Ok(Vec::new());
    }
    let texts = dialect.texts(1);
    let select = |preference: u8, condition: &str| {
        format!(
            "SELECT m.group_id AS group_id, m.reference AS reference, r.id AS id, {preference} AS preference \
             FROM {texts} JOIN resources r ON r.id = b.id JOIN membership_references m ON {condition}"
        )
    };
    let sql = statement(format!(
        "{} UNION ALL {} UNION ALL {} UNION ALL {} ORDER BY 4",
        select(1, "r.kind = 'user' AND m.reference = r.external_id"),
        select(2, "r.kind = 'group' AND m.reference = r.external_id"),
        select(3, "r.kind = 'user' AND m.folded = r.name_key"),
        select(4, "m.reference = r.id"),
    ));
    let mut claimed = BTreeSet::new();
    let mut moves = Moves::default();
    for row in &sqlx::query(sql).bind(json(arrived)).fetch_all(&mut *tx).await? {
        let group: ResourceId = word(row, "membership_references", "group_id")?;
        let member: ResourceId = word(row, "resources", "id")?;
        if claimed.insert((group.clone(), row.try_get::<String, _>("reference")?)) && member != group {
            moves.add(&group, [member].iter(), [].iter());
        }
    }
    delete_references(tx, dialect, &claimed.into_iter().collect::<Vec<_>>()).await?;
    moves.write(tx, dialect).await
}

/// Takes deleted resources out of all groups, and deleted groups' members out of them. Whoever was inside of a group that
/// was deleted left the groups around it, too: flattened, they were its members.
pub(crate) async fn forget(
    tx: &mut Connection,
    dialect: Dialect,
    deleted: &[ResourceId],
) -> Result<Vec<Change>, StoreError> {
    let texts = dialect.texts(1);
    let sql = statement(format!(
        "SELECT m.group_id AS group_id, m.member_id AS member_id FROM {texts} JOIN memberships m ON m.member_id = b.id"
    ));
    let inside = statement(format!(
        "WITH RECURSIVE inside(group_id, member_id) AS (SELECT o.group_id, m.member_id FROM {texts} \
           CROSS JOIN memberships o CROSS JOIN memberships m WHERE o.member_id = b.id AND m.group_id = b.id UNION \
           SELECT i.group_id, m.member_id FROM inside i CROSS JOIN memberships m WHERE m.group_id = i.member_id) \
         SELECT group_id, member_id FROM inside"
    ));
    let mut rows = sqlx::query(sql).bind(json(deleted)).fetch_all(&mut *tx).await?;
    rows.extend(sqlx::query(inside).bind(json(deleted)).fetch_all(&mut *tx).await?);
    let mut left = BTreeMap::<ResourceId, Vec<ResourceId>>::new();
    for row in &rows {
        left.entry(word(row, "memberships", "group_id")?).or_default().push(word(row, "memberships", "member_id")?);
    }
    for sql in [
        format!("DELETE FROM memberships WHERE member_id IN (SELECT b.id FROM {texts})"),
        format!("DELETE FROM memberships WHERE group_id IN (SELECT b.id FROM {texts})"),
        format!("DELETE FROM membership_references WHERE group_id IN (SELECT b.id FROM {texts})"),
    ] {
        sqlx::query(statement(sql)).bind(json(deleted)).execute(&mut *tx).await?;
    }
    Ok(left.into_iter().map(|(group, ids)| Change::of_members(group, &[], &ids)).collect())
}

/// Who is meant by each reference: externalId first, then userName, then id.
async fn resolve(
    tx: &mut Connection,
    dialect: Dialect,
    references: &BTreeSet<&str>,
) -> Result<HashMap<String, ResourceId>, StoreError> {
    if references.is_empty() {
        return Ok(HashMap::new());
    }
    let batch = dialect.batch(1, &[Column::Text("reference"), Column::Text("folded")]);
    let live = "r.deleted_at IS NULL";
    let sql = statement(format!(
        "SELECT b.reference AS reference, r.id AS id, 1 AS preference FROM {batch} \
           JOIN resources r ON r.kind = 'user' AND r.external_id = b.reference AND {live} \
         UNION ALL SELECT b.reference, r.id, 2 FROM {batch} \
           JOIN resources r ON r.kind = 'group' AND r.external_id = b.reference AND {live} \
         UNION ALL SELECT b.reference, r.id, 3 FROM {batch} \
           JOIN resources r ON r.kind = 'user' AND r.name_key = b.folded AND {live} \
         UNION ALL SELECT b.reference, r.id, 4 FROM {batch} JOIN resources r ON r.id = b.reference AND {live} \
         ORDER BY 3"
    ));
    let list: Vec<_> = references.iter().map(|name| Reference { reference: name, folded: fold(name) }).collect();
    let rows = sqlx::query(sql).bind(json(&list)).fetch_all(&mut *tx).await?;
    let mut resolved = HashMap::with_capacity(rows.len());
    for row in &rows {
        let id: ResourceId = word(row, "resources", "id")?;
        resolved.entry(row.try_get::<String, _>("reference")?).or_insert(id);
    }
    Ok(resolved)
}

async fn members_of(
    tx: &mut Connection,
    dialect: Dialect,
    groups: &[&ResourceId],
) -> Result<HashMap<ResourceId, BTreeSet<ResourceId>>, StoreError> {
    let texts = dialect.texts(1);
    let sql = statement(format!(
        "SELECT m.group_id AS group_id, m.member_id AS member_id FROM {texts} JOIN memberships m ON m.group_id = b.id"
    ));
    let rows = sqlx::query(sql).bind(json(groups)).fetch_all(&mut *tx).await?;
    let mut members = HashMap::<ResourceId, BTreeSet<ResourceId>>::new();
    for row in &rows {
        members.entry(word(row, "memberships", "group_id")?).or_default().insert(word(
            row,
            "memberships",
            "member_id",
        )?);
    }
    Ok(members)
}

fn pairs<T: AsRef<str>>(list: &[(ResourceId, T)]) -> String {
    json(&list.iter().map(|(group_id, other)| Pair { group_id, other: other.as_ref() }).collect::<Vec<_>>())
}

const PAIR: [Column; 2] = [Column::Text("group_id"), Column::Text("other")];

async fn insert_memberships(
    tx: &mut Connection,
    dialect: Dialect,
    list: &[(ResourceId, ResourceId)],
) -> Result<(), StoreError> {
    if list.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(1, &PAIR);
    let sql = statement(format!(
        "INSERT INTO memberships (group_id, member_id) SELECT b.group_id, b.other FROM {batch} WHERE true \
         ON CONFLICT (group_id, member_id) DO NOTHING"
    ));
    sqlx::query(sql).bind(pairs(list)).execute(tx).await?;
    Ok(())
}

async fn delete_memberships(
    tx: &mut Connection,
    dialect: Dialect,
    list: &[(ResourceId, ResourceId)],
) -> Result<(), StoreError> {
    if list.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(1, &PAIR);
    let sql = statement(format!(
        "DELETE FROM memberships WHERE (group_id, member_id) IN (SELECT b.group_id, b.other FROM {batch})"
    ));
    sqlx::query(sql).bind(pairs(list)).execute(tx).await?;
    Ok(())
}

async fn replace_references(
    tx: &mut Connection,
    dialect: Dialect,
    groups: &[&ResourceId],
    unresolved: &[(ResourceId, String)],
) -> Result<(), StoreError> {
    let texts = dialect.texts(1);
    let sql = statement(format!("DELETE FROM membership_references WHERE group_id IN (SELECT b.id FROM {texts})"));
    sqlx::query(sql).bind(json(groups)).execute(&mut *tx).await?;
    if unresolved.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = unresolved
        .iter()
        .map(|(group_id, reference)| Unresolved { group_id, reference, folded: fold(reference) })
        .collect();
    let batch = dialect.batch(1, &["group_id", "reference", "folded"].map(Column::Text));
    let sql = statement(format!(
        "INSERT INTO membership_references (group_id, reference, folded) \
         SELECT b.group_id, b.reference, b.folded FROM {batch} WHERE true \
         ON CONFLICT (group_id, reference) DO NOTHING"
    ));
    sqlx::query(sql).bind(json(&rows)).execute(tx).await?;
    Ok(())
}

async fn delete_references(
    tx: &mut Connection,
    dialect: Dialect,
    list: &[(ResourceId, String)],
) -> Result<(), StoreError> {
    if list.is_empty() {
        return Ok(());
    }
    let batch = dialect.batch(1, &PAIR);
    let sql = statement(format!(
        "DELETE FROM membership_references WHERE (group_id, reference) IN (SELECT b.group_id, b.other FROM {batch})"
    ));
    sqlx::query(sql).bind(pairs(list)).execute(tx).await?;
    Ok(())
}
