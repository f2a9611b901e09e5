//! Writing resources into the directory, a batch a transaction, each with its source (R2, R3, R4). What a
//! batch means is decided by [`super::desk`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use scimfleet_core::directory::Identity;
use scimfleet_core::scim::resource::{Document, ENTERPRISE_URN, fold};
use scimfleet_core::{ResourceId, ResourceKind};
use serde::Serialize;
use serde_json::Value;
use sqlx::Row;

use super::change::{Change, write_outbox};
use super::desk::{Desk, Known, settle};
use super::membership::{claim_references, forget, set_members};
use super::read::{ResourceRow, resource_row};
use crate::connect::Store;
use crate::error::StoreError;
use crate::lock::Lock;
use crate::password::{Password, erase, keep};
use crate::pool::Connection;
use crate::signal::Signal;
use crate::sql::{Column, Dialect, json, statement};

/// One resource that arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingResource {
    /// User or group.
    pub kind: ResourceKind,
    /// The id that it claims, if any.
    pub id: Option<ResourceId>,
    /// Attributes: absent keeps, `null` clears. Without `members`, `id`, `schemas`, `meta`.
    pub attributes: Document,
    /// The members by externalId, userName or id; `None` keeps them as they are.
    pub members: Option<Vec<String>>,
    /// A password, to be delivered and erased.
    pub password: Option<Password>,
}

/// What it means that an incoming resource lacks an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absent {
    /// The attribute stays as it is (R4): people write files with what they know.
    #[default]
    Keeps,
    /// The attribute goes: the source shows its resources whole.
    Clears,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// It is new.
    Created(ResourceId),
    /// It differs from before.
    Updated(ResourceId),
    /// It is as it was.
    Unchanged(ResourceId),
    /// It was refused; nothing of it was written.
    Rejected(Rejection),
}

impl Imported {
    /// The resource, unless it was refused.
    pub fn id(&self) -> Option<&ResourceId> {
        match self {
            Self::Created(id) | Self::Updated(id) | Self::Unchanged(id) => Some(id),
            Self::Rejected(_) => None,
        }
    }
}

/// Why a resource was refused, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejection(pub String);

#[derive(Serialize)]
pub(crate) struct NewRow<'a> {
    id: &'a ResourceId,
    kind: ResourceKind,
    external_id: Option<&'a str>,
    name_key: &'a str,
    display_key: Option<String>,
    manager_key: Option<String>,
    active: i64,
    service_account: i64,
    document: String,
    source: &'a str,
}

const NEW_ROW: [Column; 10] = [
    Column::Text("id"),
    Column::Text("kind"),
    Column::Text("external_id"),
    Column::Text("name_key"),
    Column::Text("display_key"),
    Column::Text("manager_key"),
    Column::Int("active"),
    Column::Int("service_account"),
    Column::Text("document"),
    Column::Text("source"),
];

#[derive(Serialize)]
struct Key<'a> {
    kind: ResourceKind,
    id: Option<&'a str>,
    external_id: Option<&'a str>,
    name_key: Option<String>,
}

impl Store {
    /// Writes a batch in one transaction; the outcomes come in the order of the batch.
    pub async fn import(&self, source: &str, batch: Vec<IncomingResource>) -> Result<Vec<Imported>, StoreError> {
        self.import_as(source, Absent::Keeps, batch).await
    }

    /// The same, saying what it means that a resource lacks an attribute.
    pub async fn import_as(
        &self,
        source: &str,
        absent: Absent,
        batch: Vec<IncomingResource>,
    ) -> Result<Vec<Imported>, StoreError> {
        let mut tx = self.begin().await?;
        Lock::Directory.take(&mut tx, self.dialect()).await?;
        let now = self.now_ms();
        let overlay = self.is_overlay(source);
        let mut outcomes = import_within(&mut tx, self.dialect(), source, overlay, absent, &batch, now).await?;
        self.keep_passwords(&mut tx, &batch, &mut outcomes, now).await?;
        tx.commit().await?;
        self.fire(Signal::Outbox).await?;
        Ok(outcomes)
    }

    /// Seals the passwords of a batch. Whoever was as before but for the password was updated.
    async fn keep_passwords(
        &self,
        tx: &mut Connection,
        batch: &[IncomingResource],
        outcomes: &mut [Imported],
        now: i64,
    ) -> Result<(), StoreError> {
        // The last one of a line that comes twice counts.
        let mut passwords = BTreeMap::new();
        for (incoming, outcome) in batch.iter().zip(outcomes.iter()) {
            if let (Some(password), Some(id)) = (&incoming.password, outcome.id()) {
                passwords.insert(id.clone(), password);
            }
        }
        let list: Vec<_> = passwords.iter().map(|(id, password)| (id, *password)).collect();
        if !keep(tx, self.dialect(), self.inner.sealer.as_ref(), &list, now).await? {
            return Ok(());
        }
        let changes: Vec<Change> =
            passwords.keys().map(|id| Change::new(id.clone(), ResourceKind::User, "password")).collect();
        write_outbox(tx, self.dialect(), &changes, now).await?;
        for outcome in outcomes {
            if let Imported::Unchanged(id) = outcome
                && passwords.contains_key(id)
            {
                *outcome = Imported::Updated(id.clone());
            }
        }
        Ok(())
    }

    /// Deletes resources: each becomes a tombstone until its accounts are gone (R3). Returns how many.
    pub async fn delete_resources(&self, ids: &[ResourceId]) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        Lock::Directory.take(&mut tx, self.dialect()).await?;
        let deleted = delete_within(&mut tx, self.dialect(), ids, self.now_ms()).await?;
        tx.commit().await?;
        self.fire(Signal::Outbox).await?;
        Ok(deleted)
    }
}

/// Deletes within a transaction that holds the directory's lock; returns how many. The groups that lost a
/// member are other versions of themselves from then on.
pub(crate) async fn delete_within(
    tx: &mut Connection,
    dialect: Dialect,
    ids: &[ResourceId],
    now: i64,
) -> Result<u64, StoreError> {
    let texts = dialect.texts(1);
    let sql = statement(format!(
        "UPDATE resources SET deleted_at = $2, updated_at = $2, generation = generation + 1 \
         WHERE deleted_at IS NULL AND id IN (SELECT b.id FROM {texts}) RETURNING id, kind"
    ));
    let rows = sqlx::query(sql).bind(json(ids)).bind(now).fetch_all(&mut *tx).await?;
    erase(tx, dialect, ids).await?;
    let mut changes = forget(tx, dialect, ids).await?;
    let reports = reports_to(tx, dialect, ids).await?;
    let groups: Vec<&ResourceId> = changes.iter().map(Change::resource).collect();
    bump(tx, dialect, &groups, now).await?;
    for row in &rows {
        let id = crate::sql::word(row, "resources", "id")?;
        changes.push(Change::new(id, crate::sql::word(row, "resources", "kind")?, "deleted"));
    }
    changes.extend(reports);
    write_outbox(tx, dialect, &changes, now).await?;
    Ok(rows.len() as u64)
}

/// Makes live resources other versions of themselves: their members changed, which are no part of their
/// documents (R1).
pub(crate) async fn bump(
    tx: &mut Connection,
    dialect: Dialect,
    ids: &[&ResourceId],
    now: i64,
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let texts = dialect.texts(1);
    let sql = statement(format!(
        "UPDATE resources SET updated_at = $2, generation = generation + 1 \
         WHERE deleted_at IS NULL AND id IN (SELECT b.id FROM {texts})"
    ));
    sqlx::query(sql).bind(json(ids)).bind(now).execute(tx).await?;
    Ok(())
}

/// Writes a batch within a transaction that holds the directory's lock.
pub(crate) async fn import_within(
    tx: &mut Connection,
    dialect: Dialect,
    source: &str,
    is_overlay: bool,
    absent: Absent,
    batch: &[IncomingResource],
    now: i64,
) -> Result<Vec<Imported>, StoreError> {
    let rows = load(tx, dialect, batch).await?;
    let (desk, mut outcomes) = settle(source, is_overlay, absent, &rows, batch);
    let changed_groups = write(tx, dialect, desk, now).await?;
    // A group whose only change is its members was changed all the same.
    for outcome in &mut outcomes {
        if let Imported::Unchanged(id) = outcome
            && changed_groups.contains(id)
        {
            *outcome = Imported::Updated(id.clone());
        }
    }
    Ok(outcomes)
}

/// Everything that a line of the batch can mean, tombstones included. An id counts whatever its kind: it
/// is the key of the table.
async fn load(
    tx: &mut Connection,
    dialect: Dialect,
    batch: &[IncomingResource],
) -> Result<Vec<ResourceRow>, StoreError> {
    let keys = json(&batch.iter().map(Key::of).collect::<Vec<_>>());
    let columns = ["kind", "id", "external_id", "name_key"].map(Column::Text);
    let table = dialect.batch(1, &columns);
    let select = "SELECT r.id, r.kind, r.external_id, r.active, r.service_account, r.document, r.source, \
         r.generation, r.created_at, r.updated_at, r.deleted_at";
    let mut rows = Vec::new();
    for condition in [
        "r.id = b.id",
        "r.kind = b.kind AND r.external_id = b.external_id",
        "r.kind = b.kind AND r.name_key = b.name_key",
    ] {
        let sql = statement(format!("{select} FROM {table} JOIN resources r ON {condition}"));
        for row in &sqlx::query(sql).bind(keys.as_str()).fetch_all(&mut *tx).await? {
            rows.push(resource_row(row)?);
        }
    }
    Ok(rows)
}

/// Writes what was touched; returns the groups whose members changed.
async fn write(
    tx: &mut Connection,
    dialect: Dialect,
    desk: Desk<'_>,
    now: i64,
) -> Result<HashSet<ResourceId>, StoreError> {
    let touched = desk.touched();
    write_rows(tx, dialect, &touched, now).await?;
    let arrived: Vec<ResourceId> = touched.iter().map(|known| known.row.id.clone()).collect();
    let mut member_changes = set_members(tx, dialect, &desk.members).await?;
    let changed = member_changes.iter().map(|change| change.resource().clone()).collect();
    member_changes.extend(claim_references(tx, dialect, &arrived).await?);
    let named: Vec<ResourceId> =
        touched.iter().filter(|known| known.is_newly_named()).map(|known| known.row.id.clone()).collect();
    let reports = reports_to(tx, dialect, &named).await?;
    let mut changes: Vec<Change> = touched.iter().map(|known| known.change()).collect();
    changes.extend(member_changes);
    changes.extend(reports);
    write_outbox(tx, dialect, &changes, now).await?;
    Ok(changed)
}

impl<'a> Key<'a> {
    fn of(incoming: &'a IncomingResource) -> Self {
        let text = |name: &str| incoming.attributes.get(name).and_then(Value::as_str);
        Self {
            kind: incoming.kind,
            id: incoming.id.as_ref().map(ResourceId::as_str),
            external_id: text("externalId"),
            name_key: text(incoming.kind.naming_attribute()).map(fold),
        }
    }
}

async fn write_rows(tx: &mut Connection, dialect: Dialect, touched: &[&Known], now: i64) -> Result<(), StoreError> {
    if touched.is_empty() {
        return Ok(());
    }
    // Names may change hands within a batch, and unique indices are checked row by row: let go first.
    let existing: Vec<&ResourceId> = touched.iter().filter(|known| !known.fresh).map(|known| &known.row.id).collect();
    if !existing.is_empty() {
        let texts = dialect.texts(1);
        let sql = statement(format!(
            "UPDATE resources SET name_key = id, external_id = NULL WHERE id IN (SELECT b.id FROM {texts})"
        ));
        sqlx::query(sql).bind(json(&existing)).execute(&mut *tx).await?;
    }
    let rows: Vec<NewRow<'_>> = touched.iter().filter_map(|known| NewRow::of(known)).collect();
    put_rows(tx, dialect, &rows, now).await
}

/// Inserts rows, or puts them in the place of those with the same id, tombstones included.
pub(crate) async fn put_rows(
    tx: &mut Connection,
    dialect: Dialect,
    rows: &[NewRow<'_>],
    now: i64,
) -> Result<(), StoreError> {
    let batch = dialect.batch(1, &NEW_ROW);
    let sql = statement(format!(
        "INSERT INTO resources (id, kind, external_id, name_key, display_key, manager_key, active, service_account, document, source, \
         generation, created_at, updated_at) \
         SELECT b.id, b.kind, b.external_id, b.name_key, b.display_key, b.manager_key, b.active, b.service_account, \
         b.document, b.source, 1, $2, $2 FROM {batch} WHERE true \
         ON CONFLICT (id) DO UPDATE SET external_id = excluded.external_id, name_key = excluded.name_key, \
         display_key = excluded.display_key, manager_key = excluded.manager_key, active = excluded.active, service_account = excluded.service_account, document = excluded.document, \
         source = excluded.source, generation = resources.generation + 1, updated_at = excluded.updated_at, \
         deleted_at = NULL"
    ));
    sqlx::query(sql).bind(json(rows)).bind(now).execute(tx).await?;
    Ok(())
}

impl<'a> NewRow<'a> {
    fn of(known: &'a Known) -> Option<Self> {
        let identity = known.identity.as_ref()?;
        Some(Self::new(&known.row.id, known.row.kind, &known.row.source, identity, &known.row.document))
    }

    pub(crate) fn new(
        id: &'a ResourceId,
        kind: ResourceKind,
        source: &'a str,
        identity: &'a Identity,
        document: &Document,
    ) -> Self {
        Self {
            id,
            kind,
            external_id: identity.external_id.as_deref(),
            name_key: &identity.name_key,
            display_key: key_of(document.get("displayName")).filter(|_| kind == ResourceKind::User),
            manager_key: manager_of(document),
            active: i64::from(identity.active),
            service_account: i64::from(identity.service_account),
            document: json(document),
            source,
        }
    }
}

/// What a text is looked up by, without regard to case.
fn key_of(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(fold)
}

/// Whom a user names as manager: by externalId, userName or id.
fn manager_of(document: &Document) -> Option<String> {
    key_of(document.get(ENTERPRISE_URN)?.get("manager")?.get("value"))
}

/// The outbox rows of those who report to these users, whatever they name them by; one more than that harms nobody.
/// What they are to be sent changes when the manager comes, goes, or goes by another name.
pub(crate) async fn reports_to(
    tx: &mut Connection,
    dialect: Dialect,
    managers: &[ResourceId],
) -> Result<Vec<Change>, StoreError> {
    let reports = reports_of(tx, dialect, managers).await?;
    Ok(reports.into_iter().map(|id| Change::new(id, ResourceKind::User, "modified")).collect())
}

/// Those who report to these users.
pub(crate) async fn reports_of<I: Serialize>(
    tx: &mut Connection,
    dialect: Dialect,
    managers: &[I],
) -> Result<Vec<ResourceId>, StoreError> {
    if managers.is_empty() {
        return Ok(Vec::new());
    }
    let texts = dialect.texts(1);
    let sql = statement(format!(
        "SELECT r.id AS id, r.external_id AS external_id, r.name_key AS name_key FROM {texts} \
         JOIN resources r ON r.id = b.id WHERE r.kind = 'user'"
    ));
    let mut keys = BTreeSet::new();
    for row in &sqlx::query(sql).bind(json(managers)).fetch_all(&mut *tx).await? {
        keys.insert(fold(row.try_get("id")?));
        keys.insert(row.try_get("name_key")?);
        keys.extend(row.try_get::<Option<String>, _>("external_id")?.map(|text| fold(&text)));
    }
    let sql = statement(format!(
        "SELECT DISTINCT r.id AS id FROM {texts} JOIN resources r ON r.manager_key = b.id WHERE r.deleted_at IS NULL"
    ));
    let rows = sqlx::query(sql).bind(json(&keys)).fetch_all(tx).await?;
    rows.iter().map(|row| crate::sql::word(row, "resources", "id")).collect()
}
