//! Memberships told from the side of the member: a table of people names each one's groups. Only groups
//! of the same source are touched (R2); those that nobody has heard of are created.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use scimfleet_core::scim::resource::{Document, fold};
use scimfleet_core::{ResourceId, ResourceKind};
use serde::Serialize;
use serde_json::Value;
use sqlx::Row;

use super::change::write_outbox;
use super::import::{Absent, Imported, IncomingResource, import_within};
use super::membership::Moves;
use crate::connect::Store;
use crate::error::StoreError;
use crate::lock::Lock;
use crate::pool::Connection;
use crate::signal::Signal;
use crate::sql::{Column, Dialect, json, statement, word};

/// What became of the groups that were named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupsSet {
    /// The groups of this source that were named, whether or not they changed.
    pub named: Vec<ResourceId>,
    /// Names of groups that were created.
    pub created: Vec<String>,
    /// Members whose groups changed.
    pub changed: Vec<ResourceId>,
    /// Names that were left out, with the reason.
    pub refused: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Asked<'a> {
    name: &'a str,
    folded: String,
}

impl Store {
    /// Sets which of a source's groups these resources are in: exactly the named ones, by externalId or
    /// displayName. Groups of other sources are left as they are.
    pub async fn set_groups(
        &self,
        source: &str,
        wanted: &[(ResourceId, Vec<String>)],
    ) -> Result<GroupsSet, StoreError> {
        let mut tx = self.begin().await?;
        Lock::Directory.take(&mut tx, self.dialect()).await?;
        let mut set = GroupsSet::default();
        let names: BTreeSet<&str> = wanted.iter().flat_map(|(_, names)| names).map(String::as_str).collect();
        let groups = self.groups_named(&mut tx, source, &names, &mut set).await?;
        let members: Vec<&ResourceId> = wanted.iter().map(|(member, _)| member).collect();
        let mut before = groups_of_source(&mut tx, self.dialect(), source, &members).await?;
        let mut moves = Moves::default();
        // The last word on a member counts.
        for (member, names) in wanted.iter().map(|(member, names)| (member, names)).collect::<BTreeMap<_, _>>() {
            let before = before.remove(member).unwrap_or_default();
            let after: BTreeSet<ResourceId> =
                names.iter().filter_map(|name| groups.get(name.as_str())).filter(|id| *id != member).cloned().collect();
            let this = std::slice::from_ref(member);
            after.difference(&before).for_each(|group| moves.add(group, this.iter(), [].iter()));
            before.difference(&after).for_each(|group| moves.add(group, [].iter(), this.iter()));
            if before != after {
                set.changed.push(member.clone());
            }
        }
        let changes = moves.write(&mut tx, self.dialect()).await?;
        write_outbox(&mut tx, self.dialect(), &changes, self.now_ms()).await?;
        tx.commit().await?;
        self.fire(Signal::Outbox).await?;
        Ok(set)
    }

    /// The groups behind the names; those of the source, and new ones.
    async fn groups_named<'a>(
        &self,
        tx: &mut Connection,
        source: &str,
        names: &BTreeSet<&'a str>,
        set: &mut GroupsSet,
    ) -> Result<HashMap<&'a str, ResourceId>, StoreError> {
        let mut found = look_up(tx, self.dialect(), names).await?;
        let mut groups = HashMap::new();
        let mut missing = BTreeMap::new();
        for name in names {
            match found.remove(*name).unwrap_or_default().as_slice() {
                [] => missing.entry(fold(name)).or_insert_with(Vec::new).push(*name),
                [(id, owner)] if owner == source => {
                    groups.insert(*name, id.clone());
                }
                [(_, owner)] => {
                    set.refused.push(((*name).to_owned(), format!("the group belongs to the source `{owner}`")));
                }
                _ => {
                    let reason = "more than one group is called that: name its externalId";
                    set.refused.push(((*name).to_owned(), reason.to_owned()));
                }
            }
        }
        let batch: Vec<_> = missing.values().map(|spellings| new_group(spellings[0])).collect();
        let outcomes = import_within(tx, self.dialect(), source, false, Absent::Keeps, &batch, self.now_ms()).await?;
        for (spellings, outcome) in missing.into_values().zip(outcomes) {
            match outcome {
                Imported::Rejected(rejection) => set.refused.push((spellings[0].to_owned(), rejection.0)),
                Imported::Created(id) | Imported::Updated(id) | Imported::Unchanged(id) => {
                    set.created.push(spellings[0].to_owned());
                    groups.extend(spellings.into_iter().map(|name| (name, id.clone())));
                }
            }
        }
        set.named = groups.values().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        Ok(groups)
    }
}

fn new_group(name: &str) -> IncomingResource {
    let mut attributes = Document::new();
    attributes.insert("displayName".to_owned(), Value::from(name));
    IncomingResource { kind: ResourceKind::Group, id: None, attributes, members: None, password: None }
}

/// Live groups by externalId, else by name, each with its source.
async fn look_up(
    tx: &mut Connection,
    dialect: Dialect,
    names: &BTreeSet<&str>,
) -> Result<HashMap<String, Vec<(ResourceId, String)>>, StoreError> {
    let asked: Vec<_> = names.iter().map(|name| Asked { name, folded: fold(name) }).collect();
    let batch = dialect.batch(1, &[Column::Text("name"), Column::Text("folded")]);
    let select = |preference: u8, condition: &str| {
        format!(
            "SELECT b.name AS name, r.id AS id, r.source AS source, CAST({preference} AS BIGINT) AS preference FROM {batch} \
             JOIN resources r ON r.kind = 'group' AND {condition} AND r.deleted_at IS NULL"
        )
    };
    let by_external_id = select(1, "r.external_id = b.name");
    let sql = statement(format!("{by_external_id} UNION ALL {} ORDER BY 4", select(2, "r.name_key = b.folded")));
    let mut found = HashMap::<String, (i64, Vec<(ResourceId, String)>)>::new();
    for row in &sqlx::query(sql).bind(json(&asked)).fetch_all(&mut *tx).await? {
        let preference = row.try_get::<i64, _>("preference")?;
        let slot = found.entry(row.try_get("name")?).or_insert_with(|| (preference, Vec::new()));
        if slot.0 == preference {
            slot.1.push((word(row, "resources", "id")?, row.try_get("source")?));
        }
    }
    Ok(found.into_iter().map(|(name, (_, groups))| (name, groups)).collect())
}

async fn groups_of_source(
    tx: &mut Connection,
    dialect: Dialect,
    source: &str,
    members: &[&ResourceId],
) -> Result<HashMap<ResourceId, BTreeSet<ResourceId>>, StoreError> {
    let texts = dialect.texts(1);
    let sql = statement(format!(
        "SELECT m.member_id AS member_id, m.group_id AS group_id FROM {texts} \
         JOIN memberships m ON m.member_id = b.id JOIN resources g ON g.id = m.group_id AND g.source = $2"
    ));
    let mut groups = HashMap::<ResourceId, BTreeSet<ResourceId>>::new();
    for row in &sqlx::query(sql).bind(json(members)).bind(source).fetch_all(&mut *tx).await? {
        let member = word(row, "memberships", "member_id")?;
        groups.entry(member).or_default().insert(word(row, "memberships", "group_id")?);
    }
    Ok(groups)
}
