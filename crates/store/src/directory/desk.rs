//! What a batch makes of the part of the directory that it can meet: decided in memory, line by line, and
//! written by [`super::import`]. Reads and writes nothing itself.

use std::collections::HashMap;

use scimfleet_core::directory::{Identity, overlay};
use scimfleet_core::scim::resource::{Document, fold};
use scimfleet_core::{ResourceId, ResourceKind};
use serde_json::Value;

use super::change::Change;
use super::import::{Absent, Imported, IncomingResource, Rejection};
use super::read::ResourceRow;

/// A resource on the desk: as it was, and as it will be.
pub(crate) struct Known {
    pub(crate) row: ResourceRow,
    pub(crate) identity: Option<Identity>,
    /// It differs from what the database holds.
    pub(crate) touched: bool,
    /// It is not in the database yet.
    pub(crate) fresh: bool,
    /// It was a tombstone.
    pub(crate) revived: bool,
    was_active: bool,
    name_before: Option<String>,
    external_id_before: Option<String>,
    /// The line that gave it the name it has; `None` while it has the one it came with.
    named_by: Option<usize>,
}

type Index = HashMap<(ResourceKind, String), Vec<ResourceId>>;

/// The part of the directory that a batch can meet, and what it becomes.
pub(crate) struct Desk<'a> {
    source: &'a str,
    /// It may change what others brought, which stays theirs.
    is_overlay: bool,
    absent: Absent,
    pub(crate) known: HashMap<ResourceId, Known>,
    by_external_id: Index,
    by_name: Index,
    /// The members that each group shall have, by reference.
    pub(crate) members: HashMap<ResourceId, Vec<String>>,
}

/// Takes a batch in; the outcomes come in its order.
///
/// Names may change hands within a batch, so that only its end shows whether two users want one name.
/// The lines that lose are left out, and the others are taken in again as if those had never come.
pub(crate) fn settle<'a>(
    source: &'a str,
    is_overlay: bool,
    absent: Absent,
    rows: &[ResourceRow],
    batch: &[IncomingResource],
) -> (Desk<'a>, Vec<Imported>) {
    let mut refused: HashMap<usize, String> = HashMap::new();
    loop {
        let mut desk = Desk::of(source, is_overlay, absent, rows);
        let outcomes = batch
            .iter()
            .enumerate()
            .map(|(line, incoming)| match refused.get(&line) {
                Some(reason) => Imported::Rejected(Rejection(reason.clone())),
                None => desk.take(line, incoming),
            })
            .collect();
        let losers = desk.losers();
        if losers.is_empty() {
            return (desk, outcomes);
        }
        refused.extend(losers);
    }
}

impl<'a> Desk<'a> {
    fn of(source: &'a str, is_overlay: bool, absent: Absent, rows: &[ResourceRow]) -> Self {
        let mut desk = Self {
            source,
            is_overlay,
            absent,
            known: HashMap::new(),
            by_external_id: Index::new(),
            by_name: Index::new(),
            members: HashMap::new(),
        };
        for row in rows {
            if !desk.known.contains_key(&row.id) {
                desk.learn(row.clone());
            }
        }
        desk
    }

    fn learn(&mut self, row: ResourceRow) {
        let identity = Identity::of(row.kind, &row.document).ok();
        let name_before = identity.as_ref().filter(|_| !row.deleted).map(|identity| identity.name_key.clone());
        let was_active = row.active;
        let external_id_before = row.external_id.clone().filter(|_| !row.deleted);
        let known = Known {
            external_id_before,
            identity,
            touched: false,
            fresh: false,
            revived: false,
            was_active,
            name_before,
            named_by: None,
            row,
        };
        self.index(&known);
        self.known.insert(known.row.id.clone(), known);
    }

    fn index(&mut self, known: &Known) {
        let id = &known.row.id;
        if let Some(external_id) = &known.row.external_id {
            self.by_external_id.entry((known.row.kind, external_id.clone())).or_default().push(id.clone());
        }
        if let Some(identity) = &known.identity {
            self.by_name.entry((known.row.kind, identity.name_key.clone())).or_default().push(id.clone());
        }
    }

    fn unindex(&mut self, id: &ResourceId) {
        let Some(known) = self.known.get(id) else { return };
        let external_id = known.row.external_id.as_ref().map(|text| (known.row.kind, text.clone()));
        let name = known.identity.as_ref().map(|identity| (known.row.kind, identity.name_key.clone()));
        if let Some(list) = external_id.and_then(|key| self.by_external_id.get_mut(&key)) {
            list.retain(|other| other != id);
        }
        if let Some(list) = name.and_then(|key| self.by_name.get_mut(&key)) {
            list.retain(|other| other != id);
        }
    }

    fn take(&mut self, line: usize, incoming: &IncomingResource) -> Imported {
        match self.try_take(line, incoming) {
            Ok(outcome) => outcome,
            Err(reason) => Imported::Rejected(Rejection(reason)),
        }
    }

    fn try_take(&mut self, line: usize, incoming: &IncomingResource) -> Result<Imported, String> {
        let IncomingResource { kind, id, attributes, members, .. } = incoming;
        if members.iter().flatten().any(|reference| reference.contains('\0')) {
            return Err("a member's reference contains U+0000".to_owned());
        }
        let existing = self.find(*kind, id.as_ref(), attributes)?;
        let before = existing.as_ref().and_then(|id| self.known.get(id)).filter(|known| !known.row.deleted);
        if let Some(known) = before
            && known.row.source != self.source
            && !self.is_overlay
        {
            return Err(format!(
                "it belongs to the source `{}`; import it with `--source`, or let that source change it",
                known.row.source
            ));
        }
        let mut document = match self.absent {
            Absent::Keeps => before.map(|known| known.row.document.clone()).unwrap_or_default(),
            Absent::Clears => Document::new(),
        };
        overlay(&mut document, attributes.clone());
        // A new resource has nothing to clear, but nulls inside it must not stay.
        scimfleet_core::mapping::merge::remove_nulls(&mut document);
        let identity = Identity::of(*kind, &document).map_err(|refusal| refusal.to_string())?;
        let target = existing.unwrap_or_else(|| id.clone().unwrap_or_else(new_resource_id));
        let outcome = self.place(line, *kind, target.clone(), document, identity);
        if let Some(members) = members {
            self.members.insert(target, members.clone());
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
        if let Some(found) = external_id.and_then(|text| self.one_of(&self.by_external_id, kind, text)) {
            return Ok(Some(found.row.id.clone()));
        }
        if let Some(found) = id.and_then(|id| self.known.get(id)) {
            let other = found.row.kind;
            return if other == kind {
                Ok(Some(found.row.id.clone()))
            } else {
                Err(format!("the id `{}` is a {other}'s: give another, or none", found.row.id))
            };
        }
        let Some(name) = attributes.get(kind.naming_attribute()).and_then(Value::as_str) else { return Ok(None) };
        // With an externalId only a namesake without one can be meant; anybody else is another person.
        let key = fold(name);
        let live = self.all_of(&self.by_name, kind, &key).filter(|known| !known.row.deleted);
        let mut fitting = live.filter(|known| external_id.is_none() || known.row.external_id.is_none());
        match (fitting.next(), fitting.next()) {
            (Some(_), Some(_)) => Err(format!("more than one {kind} is called `{name}`: give its externalId or id")),
            (Some(one), None) => Ok(Some(one.row.id.clone())),
            (None, _) => {
                let gone = self.all_of(&self.by_name, kind, &key).filter(|known| known.row.deleted);
                let gone = gone.filter(|known| known.row.external_id.is_none());
                Ok(gone.max_by_key(|known| known.row.updated_at_ms).map(|known| known.row.id.clone()))
            }
        }
    }

    fn all_of<'b>(&'b self, index: &'b Index, kind: ResourceKind, key: &str) -> impl Iterator<Item = &'b Known> {
        let ids = index.get(&(kind, key.to_owned())).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.known.get(id))
    }

    /// A live one hides every tombstone, a later tombstone an earlier one.
    fn one_of<'b>(&'b self, index: &'b Index, kind: ResourceKind, key: &str) -> Option<&'b Known> {
        self.all_of(index, kind, key).max_by_key(|known| (!known.row.deleted, known.row.updated_at_ms))
    }

    fn place(
        &mut self,
        line: usize,
        kind: ResourceKind,
        id: ResourceId,
        document: Document,
        identity: Identity,
    ) -> Imported {
        self.unindex(&id);
        let mut known = self.known.remove(&id).unwrap_or_else(|| Known::fresh(id.clone(), kind, self.source));
        let revived = known.row.deleted;
        let was_there = !known.fresh || known.touched;
        let outcome = match (was_there && !revived, known.row.document == document) {
            (true, true) => Imported::Unchanged(id),
            (true, false) => Imported::Updated(id),
            (false, _) => Imported::Created(id),
        };
        known.revived |= revived;
        known.touched |= !matches!(outcome, Imported::Unchanged(_));
        known.rename(line, &identity.name_key);
        known.row.deleted = false;
        if revived || !self.is_overlay {
            self.source.clone_into(&mut known.row.source);
        }
        known.row.document = document;
        known.row.external_id.clone_from(&identity.external_id);
        known.identity = Some(identity);
        self.index(&known);
        self.known.insert(known.row.id.clone(), known);
        outcome
    }

    /// The lines that gave a user the name of another one, with the reason. Who had the name before this
    /// batch keeps it, else who came first.
    fn losers(&self) -> Vec<(usize, String)> {
        let mut losers = Vec::new();
        for ((kind, _), ids) in self.by_name.iter().filter(|(_, ids)| ids.len() > 1) {
            let live = ids.iter().filter_map(|id| self.known.get(id)).filter(|known| !known.row.deleted);
            let mut claims: Vec<&Known> = live.collect();
            claims.sort_by_key(|known| known.named_by);
            if *kind == ResourceKind::User
                && let Some((keeper, others)) = claims.split_first()
            {
                let lines = others.iter().filter_map(|known| Some((known.named_by?, keeper.has_the_name_of(known))));
                losers.extend(lines);
            }
        }
        losers
    }

    /// What was touched, by id.
    pub(crate) fn touched(&self) -> Vec<&Known> {
        let mut touched: Vec<&Known> = self.known.values().filter(|known| known.touched).collect();
        touched.sort_by(|one, other| one.row.id.cmp(&other.row.id));
        touched
    }
}

impl Known {
    fn fresh(id: ResourceId, kind: ResourceKind, source: &str) -> Self {
        let row = ResourceRow {
            id,
            kind,
            external_id: None,
            active: true,
            service_account: false,
            document: Document::new(),
            source: source.to_owned(),
            generation: 0,
            created_at_ms: 0,
            updated_at_ms: 0,
            deleted: false,
        };
        Self {
            row,
            identity: None,
            touched: false,
            fresh: true,
            revived: false,
            was_active: true,
            name_before: None,
            external_id_before: None,
            named_by: None,
        }
    }

    /// Whether it is named as it was not before: those who named it, and nobody was there, mean it now.
    pub(crate) fn is_newly_named(&self) -> bool {
        let name = self.identity.as_ref().map(|identity| identity.name_key.as_str());
        self.fresh
            || self.revived
            || self.name_before.as_deref() != name
            || self.external_id_before != self.row.external_id
    }

    fn rename(&mut self, line: usize, name_key: &str) {
        if self.name_before.as_deref() == Some(name_key) {
            self.named_by = None;
        } else if self.named_by.is_none() || self.identity.as_ref().is_none_or(|before| before.name_key != name_key) {
            self.named_by = Some(line);
        }
    }

    fn has_the_name_of(&self, other: &Self) -> String {
        let name = other.identity.as_ref().map_or("", |identity| identity.name.as_str());
        let owner = match &self.row.external_id {
            Some(external_id) => format!("externalId `{external_id}`"),
            None => format!("id `{}`", self.row.id),
        };
        format!("userName `{name}` is taken by {owner}")
    }

    /// The outbox row for what became of it.
    pub(crate) fn change(&self) -> Change {
        let active = self.identity.as_ref().is_none_or(|identity| identity.active);
        let change = match (self.fresh || self.revived, self.was_active && !active) {
            (true, _) => "created",
            (false, true) => "deactivated",
            (false, false) => "modified",
        };
        Change::new(self.row.id.clone(), self.row.kind, change)
    }
}

pub(crate) fn new_resource_id() -> ResourceId {
    let text = uuid::Uuid::now_v7().to_string();
    #[expect(clippy::expect_used, reason = "a hyphenated UUID is 36 visible ASCII characters")]
    ResourceId::parse(text).expect("a UUID is a resource id")
}
