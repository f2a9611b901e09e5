//! Writing resources into the directory, a batch a transaction, each with its source (R2, R3, R4).

use std::collections::HashMap;

use scimfleet_core::directory::{Identity, overlay};
use scimfleet_core::scim::resource::{Document, fold};
use scimfleet_core::{ResourceId, ResourceKind};
use serde::Serialize;
use serde_json::Value;
use sqlx::AnyConnection;

use super::change::{Change, write_outbox};
use super::membership::{claim_references, forget, set_members};
use super::read::{ResourceRow, resource_row};
use crate::connect::Store;
use crate::error::StoreError;
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

/// Why a resource was refused, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejection(pub String);

#[derive(Serialize)]
struct NewRow<'a> {
    id: &'a ResourceId,
    kind: ResourceKind,
    external_id: Option<&'a str>,
    name_key: &'a str,
    active: i64,
    service_account: i64,
    document: String,
}

const NEW_ROW: [Column; 7] = [
    Column::Text("id"),
    Column::Text("kind"),
    Column::Text("external_id"),
    Column::Text("name_key"),
    Column::Int("active"),
    Column::Int("service_account"),
    Column::Text("document"),
];

#[derive(Serialize)]
struct Key<'a> {
    kind: ResourceKind,
    id: Option<&'a str>,
    external_id: Option<&'a str>,
    name_key: Option<String>,
}

struct Known {
    row: ResourceRow,
    identity: Option<Identity>,
    touched: bool,
    fresh: bool,
    revived: bool,
    was_active: bool,
}

/// The part of the directory that a batch can meet, and what it becomes.
struct Desk<'a> {
    source: &'a str,
    known: HashMap<ResourceId, Known>,
    by_external_id: HashMap<(ResourceKind, String), ResourceId>,
    by_name: HashMap<(ResourceKind, String), Vec<ResourceId>>,
    members: Vec<(ResourceId, Vec<String>)>,
}

impl Store {
    /// Writes a batch in one transaction; the outcomes come in the order of the batch.
    pub async fn import(&self, source: &str, batch: Vec<IncomingResource>) -> Result<Vec<Imported>, StoreError> {
        let mut tx = self.begin().await?;
        let mut desk = Desk::load(&mut tx, self.dialect(), source, &batch).await?;
        let mut outcomes: Vec<Imported> = batch.into_iter().map(|incoming| desk.take(incoming)).collect();
        let changes = desk.write(&mut tx, self.dialect(), self.now_ms()).await?;
        // A group whose only change is its members was changed all the same.
        for outcome in &mut outcomes {
            if let Imported::Unchanged(id) = outcome
                && changes.iter().any(|group| group == id)
            {
                *outcome = Imported::Updated(id.clone());
            }
        }
        tx.commit().await?;
        self.fire(Signal::Outbox).await?;
        Ok(outcomes)
    }

    /// Deletes resources: each becomes a tombstone until its accounts are gone (R3). Returns how many.
    pub async fn delete_resources(&self, ids: &[ResourceId]) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let now = self.now_ms();
        let texts = self.dialect().texts(1);
        let sql = statement(format!(
            "UPDATE resources SET deleted_at = $2, updated_at = $2, generation = generation + 1 \
             WHERE deleted_at IS NULL AND id IN (SELECT b.id FROM {texts}) RETURNING id, kind"
        ));
        let rows = sqlx::query(sql).bind(json(ids)).bind(now).fetch_all(&mut *tx).await?;
        let mut changes = forget(&mut tx, self.dialect(), ids).await?;
        for row in &rows {
            let id = crate::sql::word(row, "resources", "id")?;
            changes.push(Change::new(id, crate::sql::word(row, "resources", "kind")?, "deleted"));
        }
        write_outbox(&mut tx, self.dialect(), &changes, now).await?;
        tx.commit().await?;
        self.fire(Signal::Outbox).await?;
        Ok(rows.len() as u64)
    }
}

impl<'a> Desk<'a> {
    async fn load(
        tx: &mut AnyConnection,
        dialect: Dialect,
        source: &'a str,
        batch: &[IncomingResource],
    ) -> Result<Self, StoreError> {
        let keys: Vec<Key<'_>> = batch.iter().map(Key::of).collect();
        let columns = ["kind", "id", "external_id", "name_key"].map(Column::Text);
        let table = dialect.batch(1, &columns);
        let select = "SELECT r.id, r.kind, r.external_id, r.active, r.service_account, r.document, r.source, \
             r.generation, r.created_at, r.updated_at, r.deleted_at";
        let mut desk = Self {
            source,
            known: HashMap::new(),
            by_external_id: HashMap::new(),
            by_name: HashMap::new(),
            members: Vec::new(),
        };
        // Live rows come last, so that a tombstone never hides one of the same name.
        for condition in ["r.id = b.id", "r.external_id = b.external_id", "r.name_key = b.name_key"] {
            let sql = statement(format!(
                "{select} FROM {table} JOIN resources r ON r.kind = b.kind AND {condition} \
                 ORDER BY CASE WHEN r.deleted_at IS NULL THEN 1 ELSE 0 END, r.deleted_at"
            ));
            for row in &sqlx::query(sql).bind(json(&keys)).fetch_all(&mut *tx).await? {
                desk.learn(resource_row(row)?);
            }
        }
        Ok(desk)
    }

    fn learn(&mut self, row: ResourceRow) {
        if self.known.contains_key(&row.id) {
            return;
        }
        let identity = Identity::of(row.kind, &row.document).ok();
        self.index(&row.id, row.kind, row.external_id.as_deref(), identity.as_ref(), row.deleted);
        let was_active = row.active;
        let known = Known { row, identity, touched: false, fresh: false, revived: false, was_active };
        self.known.insert(known.row.id.clone(), known);
    }

    fn index(
        &mut self,
        id: &ResourceId,
        kind: ResourceKind,
        external_id: Option<&str>,
        identity: Option<&Identity>,
        deleted: bool,
    ) {
        if let Some(external_id) = external_id {
            let slot = self.by_external_id.entry((kind, external_id.to_owned())).or_insert_with(|| id.clone());
            if !deleted {
                *slot = id.clone();
            }
        }
        if let Some(identity) = identity {
            let list = self.by_name.entry((kind, identity.name_key.clone())).or_default();
            if !list.contains(id) {
                list.push(id.clone());
            }
        }
    }

    fn take(&mut self, incoming: IncomingResource) -> Imported {
        match self.try_take(incoming) {
            Ok(outcome) => outcome,
            Err(reason) => Imported::Rejected(Rejection(reason)),
        }
    }

    fn try_take(&mut self, incoming: IncomingResource) -> Result<Imported, String> {
        let IncomingResource { kind, id, attributes, members } = incoming;
        let existing = self.find(kind, id.as_ref(), &attributes)?;
        let before = existing.as_ref().and_then(|id| self.known.get(id)).filter(|known| !known.row.deleted);
        if let Some(known) = before
            && known.row.source != self.source
        {
            return Err(format!(
                "it belongs to the source `{}`; import it with `--source`, or let that source change it",
                known.row.source
            ));
        }
        let mut document = before.map(|known| known.row.document.clone()).unwrap_or_default();
        overlay(&mut document, attributes);
        // A new resource has nothing to clear, but nulls inside it must not stay.
        scimfleet_core::mapping::merge::remove_nulls(&mut document);
        let identity = Identity::of(kind, &document).map_err(|refusal| refusal.to_string())?;
        let target = existing.unwrap_or_else(|| id.unwrap_or_else(new_resource_id));
        self.refuse_taken(kind, &target, &identity)?;
        let outcome = self.place(kind, target.clone(), document, identity);
        if let Some(members) = members {
            self.members.push((target, members));
        }
        Ok(outcome)
    }

    /// Who is meant: externalId, else id, else the name (R4). A tombstone of the same identity is revived,
    /// so that a re-joiner takes over what is leaving (R3).
    fn find(
        &self,
        kind: ResourceKind,
        id: Option<&ResourceId>,
        attributes: &Document,
    ) -> Result<Option<ResourceId>, String> {
        let external_id = attributes.get("externalId").and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(found) = external_id.and_then(|text| self.by_external_id.get(&(kind, text.to_owned()))) {
            return Ok(Some(found.clone()));
        }
        if let Some(found) = id.filter(|id| self.known.get(id).is_some_and(|known| known.row.kind == kind)) {
            return Ok(Some(found.clone()));
        }
        let Some(name) = attributes.get(kind.naming_attribute()).and_then(Value::as_str) else { return Ok(None) };
        let namesakes = self.by_name.get(&(kind, fold(name))).map(Vec::as_slice).unwrap_or_default();
        // With an externalId only a namesake without one can be meant; anybody else is another person.
        let mut fitting = namesakes.iter().filter(|id| {
            self.known
                .get(id)
                .is_some_and(|known| known.row.external_id.is_none() || external_id.is_none() && !known.row.deleted)
        });
        match (fitting.next(), fitting.next()) {
            (Some(_), Some(_)) => Err(format!("more than one {kind} is called `{name}`: give its externalId or id")),
            (one, _) => Ok(one.cloned()),
        }
    }

    fn refuse_taken(&self, kind: ResourceKind, target: &ResourceId, identity: &Identity) -> Result<(), String> {
        if kind != ResourceKind::User {
            return Ok(());
        }
        let namesakes = self.by_name.get(&(kind, identity.name_key.clone())).map(Vec::as_slice).unwrap_or_default();
        let taken = namesakes.iter().filter(|id| *id != target).filter_map(|id| self.known.get(id)).find(|known| {
            !known.row.deleted && known.identity.as_ref().is_some_and(|other| other.name_key == identity.name_key)
        });
        match taken {
            None => Ok(()),
            Some(known) => Err(format!(
                "userName `{}` is taken by {}",
                identity.name,
                known.row.external_id.as_ref().map_or_else(
                    || format!("id `{}`", known.row.id),
                    |external_id| format!("externalId `{external_id}`")
                )
            )),
        }
    }

    fn place(&mut self, kind: ResourceKind, id: ResourceId, document: Document, identity: Identity) -> Imported {
        self.index(&id, kind, identity.external_id.as_deref(), Some(&identity), false);
        if let Some(known) = self.known.get_mut(&id) {
            let revived = known.row.deleted;
            if !revived && known.row.document == document {
                return Imported::Unchanged(id);
            }
            known.revived |= revived;
            known.touched = true;
            known.row.deleted = false;
            known.row.source = self.source.to_owned();
            known.row.document = document;
            known.row.external_id.clone_from(&identity.external_id);
            known.identity = Some(identity);
            return if revived { Imported::Created(id) } else { Imported::Updated(id) };
        }
        let row = ResourceRow {
            id: id.clone(),
            kind,
            external_id: identity.external_id.clone(),
            active: identity.active,
            service_account: identity.service_account,
            document,
            source: self.source.to_owned(),
            generation: 0,
            created_at_ms: 0,
            updated_at_ms: 0,
            deleted: false,
        };
        let known =
            Known { row, identity: Some(identity), touched: true, fresh: true, revived: false, was_active: true };
        self.known.insert(id.clone(), known);
        Imported::Created(id)
    }

    /// Writes what was touched; returns the groups whose members changed.
    async fn write(self, tx: &mut AnyConnection, dialect: Dialect, now: i64) -> Result<Vec<ResourceId>, StoreError> {
        let touched: Vec<&Known> = self.known.values().filter(|known| known.touched).collect();
        write_rows(tx, dialect, self.source, &touched, now).await?;
        let arrived: Vec<ResourceId> =
            touched.iter().filter(|known| known.fresh || known.revived).map(|known| known.row.id.clone()).collect();
        let mut member_changes = set_members(tx, dialect, &self.members).await?;
        member_changes.extend(claim_references(tx, dialect, &arrived).await?);
        let changed_groups = self.members.iter().map(|(group, _)| group.clone());
        let groups = changed_groups.filter(|group| member_changes.iter().any(|change| change.is_of(group))).collect();
        let mut changes: Vec<Change> = touched.iter().map(|known| known.change()).collect();
        changes.extend(member_changes);
        write_outbox(tx, dialect, &changes, now).await?;
        Ok(groups)
    }
}

impl Known {
    fn change(&self) -> Change {
        let active = self.identity.as_ref().is_none_or(|identity| identity.active);
        let change = match (self.fresh || self.revived, self.was_active && !active) {
            (true, _) => "created",
            (false, true) => "deactivated",
            (false, false) => "modified",
        };
        Change::new(self.row.id.clone(), self.row.kind, change)
    }
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

async fn write_rows(
    tx: &mut AnyConnection,
    dialect: Dialect,
    source: &str,
    touched: &[&Known],
    now: i64,
) -> Result<(), StoreError> {
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
    let batch = dialect.batch(1, &NEW_ROW);
    let sql = statement(format!(
        "INSERT INTO resources (id, kind, external_id, name_key, active, service_account, document, source, \
         generation, created_at, updated_at) \
         SELECT b.id, b.kind, b.external_id, b.name_key, b.active, b.service_account, b.document, $2, 1, $3, $3 \
         FROM {batch} WHERE true \
         ON CONFLICT (id) DO UPDATE SET external_id = excluded.external_id, name_key = excluded.name_key, \
         active = excluded.active, service_account = excluded.service_account, document = excluded.document, \
         source = excluded.source, generation = resources.generation + 1, updated_at = excluded.updated_at, \
         deleted_at = NULL"
    ));
    sqlx::query(sql).bind(json(&rows)).bind(source).bind(now).execute(tx).await?;
    Ok(())
}

impl<'a> NewRow<'a> {
    fn of(known: &'a Known) -> Option<Self> {
        let identity = known.identity.as_ref()?;
        Some(Self {
            id: &known.row.id,
            kind: known.row.kind,
            external_id: identity.external_id.as_deref(),
            name_key: &identity.name_key,
            active: i64::from(identity.active),
            service_account: i64::from(identity.service_account),
            document: json(&known.row.document),
        })
    }
}

fn new_resource_id() -> ResourceId {
    let text = uuid::Uuid::now_v7().to_string();
    #[expect(clippy::expect_used, reason = "a hyphenated UUID is 36 visible ASCII characters")]
    ResourceId::parse(text).expect("a UUID is a resource id")
}
