//! What the service provider holds, with the indices that keep a create, a look-up by name and a change
//! of one member at the same cost however much there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::resource::fold;
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

/// A group's members in the order of their arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members {
    in_order: BTreeMap<u64, Value>,
    by_value: HashMap<String, u64>,
    next: u64,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.in_order.len()
    }

    pub(crate) fn contains(&self, value: &str) -> bool {
        self.by_value.contains_key(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.in_order.values()
    }

    fn add(&mut self, value: &str, member: Value) -> bool {
        if self.contains(value) {
            return false;
        }
        self.by_value.insert(value.to_owned(), self.next);
        self.in_order.insert(self.next, member);
        self.next += 1;
        true
    }

    fn remove(&mut self, value: &str) -> bool {
        self.by_value.remove(value).is_some_and(|position| self.in_order.remove(&position).is_some())
    }
}

/// One resource. `document` holds neither `id`, `meta`, `members` nor `password`.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) document: Map<String, Value>,
    pub(crate) members: Members,
    pub(crate) password: Option<String>,
    pub(crate) version: u64,
    pub(crate) created: SystemTime,
    pub(crate) modified: SystemTime,
    pub(crate) visible_from: Instant,
}

/// All resources of one kind, in the order of their creation.
#[derive(Debug)]
pub(crate) struct Table {
    kind: ResourceKind,
    slots: Vec<Option<Stored>>,
    by_id: HashMap<String, usize>,
    by_name: HashMap<String, BTreeSet<usize>>,
    by_external_id: HashMap<String, BTreeSet<usize>>,
}

impl Table {
    fn new(kind: ResourceKind) -> Self {
        Self { kind, slots: Vec::new(), by_id: HashMap::new(), by_name: HashMap::new(), by_external_id: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Stored> {
        self.by_id.get(id).and_then(|slot| self.slots[*slot].as_ref())
    }

    /// In the order of creation, from the `skip`th on.
    pub(crate) fn iter(&self, skip: usize) -> impl Iterator<Item = &Stored> {
        // With no gaps the position is known; else the gaps have to be counted.
        let (jump, count) = if self.slots.len() == self.len() { (skip, 0) } else { (0, skip) };
        self.slots.iter().skip(jump).flatten().skip(count)
    }

    pub(crate) fn named(&self, name: &str) -> Vec<&Stored> {
        self.at(self.by_name.get(&fold(name)))
    }

    pub(crate) fn ids_named(&self, name: &str) -> impl Iterator<Item = &str> {
        let slots = self.by_name.get(&fold(name)).into_iter().flatten();
        slots.filter_map(|slot| self.slots[*slot].as_ref().map(|stored| stored.id.as_str()))
    }

    pub(crate) fn with_external_id(&self, external_id: &str) -> Vec<&Stored> {
        self.at(self.by_external_id.get(external_id))
    }

    fn at(&self, slots: Option<&BTreeSet<usize>>) -> Vec<&Stored> {
        slots.into_iter().flatten().filter_map(|slot| self.slots[*slot].as_ref()).collect()
    }

    fn keys(&self, document: &Map<String, Value>) -> (Option<String>, Option<String>) {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        (text(self.kind.naming_attribute()).map(fold), text("externalId").map(str::to_owned))
    }

    fn index(&mut self, slot: usize, document: &Map<String, Value>, present: bool) {
        let (name, external_id) = self.keys(document);
        for (index, key) in [(&mut self.by_name, name), (&mut self.by_external_id, external_id)] {
            let Some(key) = key else { continue };
            if present {
                index.entry(key).or_default().insert(slot);
            } else if let Some(slots) = index.get_mut(&key) {
                slots.remove(&slot);
                if slots.is_empty() {
                    index.remove(&key);
                }
            }
        }
    }

    fn insert(&mut self, stored: Stored) {
        let slot = self.slots.len();
        self.index(slot, &stored.document, true);
        self.by_id.insert(stored.id.clone(), slot);
        self.slots.push(Some(stored));
    }

    fn take(&mut self, id: &str) -> Option<Stored> {
        let slot = self.by_id.remove(id)?;
        let stored = self.slots[slot].take()?;
        self.index(slot, &stored.document, false);
        Some(stored)
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Stored> {
        self.by_id.get(id).and_then(|slot| self.slots[*slot].as_mut())
    }
}

/// A resource that was deleted, for those who ask whether it came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// User or group.
    pub kind: ResourceKind,
    /// The provider's id.
    pub id: String,
    /// The `externalId`, if it had one.
    pub external_id: Option<String>,
    /// `userName` or `displayName`.
    pub name: Option<String>,
}

/// Everything that the service provider holds.
#[derive(Debug)]
pub(crate) struct Storage {
    users: Table,
    groups: Table,
    groups_of: HashMap<String, BTreeSet<String>>,
    pub(crate) deleted: Vec<Deleted>,
    /// The last id that was given out, where they are counted.
    serial: Option<u64>,
}

impl Storage {
    pub(crate) fn new() -> Self {
        Self {
            users: Table::new(ResourceKind::User),
            groups: Table::new(ResourceKind::Group),
            groups_of: HashMap::new(),
            deleted: Vec::new(),
            serial: None,
        }
    }

    /// The same, with ids that are counted: `r1`, `r2` and on, so that one play is as the other.
    pub(crate) fn counting() -> Self {
        Self { serial: Some(0), ..Self::new() }
    }

    /// An id that nobody has.
    pub(crate) fn fresh_id(&mut self) -> String {
        match &mut self.serial {
            Some(last) => {
                *last += 1;
                format!("r{last}")
            }
            None => Uuid::new_v4().to_string(),
        }
    }

    pub(crate) fn table(&self, kind: ResourceKind) -> &Table {
        match kind {
            ResourceKind::User => &self.users,
            ResourceKind::Group => &self.groups,
        }
    }

    fn table_mut(&mut self, kind: ResourceKind) -> &mut Table {
        match kind {
            ResourceKind::User => &mut self.users,
            ResourceKind::Group => &mut self.groups,
        }
    }

    /// The groups that have `member` in them.
    pub(crate) fn groups_of(&self, member: &str) -> impl Iterator<Item = &Stored> {
        self.groups_of.get(member).into_iter().flatten().filter_map(|id| self.groups.get(id))
    }

    pub(crate) fn insert(&mut self, kind: ResourceKind, id: String, document: Map<String, Value>, visible: Instant) {
        let now = SystemTime::now();
        self.table_mut(kind).insert(Stored {
            id,
            document,
            members: Members::default(),
            password: None,
            version: 1,
            created: now,
            modified: now,
            visible_from: visible,
        });
    }

    /// Exchanges the document of a resource and counts its version up.
    pub(crate) fn replace(&mut self, kind: ResourceKind, id: &str, document: Map<String, Value>) {
        let table = self.table_mut(kind);
        let Some(slot) = table.by_id.get(id).copied() else { return };
        let Some(old) = table.slots[slot].as_mut().map(|stored| std::mem::replace(&mut stored.document, document))
        else {
            return;
        };
        table.index(slot, &old, false);
        let new = table.slots[slot].as_ref().map(|stored| stored.document.clone()).unwrap_or_default();
        table.index(slot, &new, true);
        self.touch(kind, id);
    }

    /// Counts the version up.
    pub(crate) fn touch(&mut self, kind: ResourceKind, id: &str) {
        if let Some(stored) = self.table_mut(kind).get_mut(id) {
            stored.version += 1;
            stored.modified = SystemTime::now();
        }
    }

    pub(crate) fn set_password(&mut self, id: &str, password: String) {
        if let Some(stored) = self.users.get_mut(id) {
            stored.password = Some(password);
        }
    }

    /// Gives a resource another id, where ids follow names.
    pub(crate) fn rename(&mut self, kind: ResourceKind, id: &str, new_id: &str) {
        let table = self.table_mut(kind);
        if let Some(slot) = table.by_id.remove(id) {
            table.by_id.insert(new_id.to_owned(), slot);
            if let Some(stored) = table.slots[slot].as_mut() {
                stored.id = new_id.to_owned();
            }
        }
    }

    /// Removes a resource and its memberships.
    pub(crate) fn remove(&mut self, kind: ResourceKind, id: &str) -> bool {
        let Some(stored) = self.table_mut(kind).take(id) else { return false };
        for group in self.groups_of.remove(id).unwrap_or_default() {
            if let Some(group) = self.groups.get_mut(&group) {
                group.members.remove(id);
                group.version += 1;
            }
        }
        for member in stored.members.by_value.keys() {
            self.forget_membership(id, member);
        }
        let text = |name: &str| stored.document.get(name).and_then(Value::as_str).map(str::to_owned);
        let name = text(kind.naming_attribute());
        self.deleted.push(Deleted { kind, id: id.to_owned(), external_id: text("externalId"), name });
        true
    }

    fn forget_membership(&mut self, group: &str, member: &str) {
        if let Some(groups) = self.groups_of.get_mut(member) {
            groups.remove(group);
            if groups.is_empty() {
                self.groups_of.remove(member);
            }
        }
    }

    /// Adds one member; a repeat changes nothing.
    pub(crate) fn add_member(&mut self, group: &str, member: Value) {
        let Some(value) = member.get("value").and_then(Value::as_str).map(str::to_owned) else { return };
        if self.groups.get_mut(group).is_some_and(|stored| stored.members.add(&value, member)) {
            self.groups_of.entry(value).or_default().insert(group.to_owned());
        }
    }

    /// Removes one member; whoever is none changes nothing.
    pub(crate) fn remove_member(&mut self, group: &str, member: &str) {
        if self.groups.get_mut(group).is_some_and(|stored| stored.members.remove(member)) {
            self.forget_membership(group, member);
        }
    }

    /// Removes all members.
    pub(crate) fn clear_members(&mut self, group: &str) {
        let Some(stored) = self.groups.get_mut(group) else { return };
        for member in std::mem::take(&mut stored.members).by_value.into_keys() {
            self.forget_membership(group, &member);
        }
    }
}
