//! The directory as it should be, kept beside the product: what the oracle compares with.

use std::collections::{BTreeMap, BTreeSet};

use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::IncomingResource;
use serde_json::{Map, Value, json};

/// The extension that holds a manager (RFC 7643 §4.3).
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `userName`.
    pub name: String,
    /// `title`: what most edits change.
    pub title: String,
    /// `active`.
    pub active: bool,
    /// Another user, by id.
    pub manager: Option<String>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `displayName`.
    pub name: String,
    /// Users and groups, by id.
    pub members: BTreeSet<String>,
}

/// All of it. Ids are `externalId`s as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Users by id.
    pub users: BTreeMap<String, User>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Ids of what was deleted and did not come again.
    pub gone: BTreeSet<String>,
}

impl Directory {
    /// A user as it is written into the directory: whole, so that what is absent goes.
    pub fn user_line(&self, id: &str) -> Option<IncomingResource> {
        let user = self.users.get(id)?;
        let mut attributes = Map::from_iter([
            ("userName".to_owned(), json!(user.name)),
            ("externalId".to_owned(), json!(id)),
            ("title".to_owned(), json!(user.title)),
            ("active".to_owned(), json!(user.active)),
            ("name".to_owned(), json!({ "givenName": "User", "familyName": id })),
        ]);
        if let Some(manager) = &user.manager {
            attributes.insert(ENTERPRISE.to_owned(), json!({ "manager": { "value": manager } }));
        }
        Some(line(ResourceKind::User, id, attributes, None))
    }

    /// A group as it is written into the directory, with all its members.
    pub fn group_line(&self, id: &str) -> Option<IncomingResource> {
        let group = self.groups.get(id)?;
        let attributes =
            Map::from_iter([("displayName".to_owned(), json!(group.name)), ("externalId".to_owned(), json!(id))]);
        Some(line(ResourceKind::Group, id, attributes, Some(group.members.iter().cloned().collect())))
    }

    /// Takes an object out, and out of every group.
    pub fn delete(&mut self, id: &str) {
        self.users.remove(id);
        self.groups.remove(id);
        for group in self.groups.values_mut() {
            group.members.remove(id);
        }
        self.gone.insert(id.to_owned());
    }

    /// Users in this group and in the groups inside it.
    pub fn users_under(&self, group: &str) -> BTreeSet<String> {
        let (mut found, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![group.to_owned()]);
        while let Some(next) = open.pop() {
            let Some(group) = self.groups.get(&next).filter(|_| seen.insert(next)) else { continue };
            for member in &group.members {
                if self.users.contains_key(member) {
                    found.insert(member.clone());
                } else {
                    open.push(member.clone());
                }
            }
        }
        found
    }
}

fn line(
    kind: ResourceKind,
    id: &str,
    attributes: Map<String, Value>,
    members: Option<Vec<String>>,
) -> IncomingResource {
    IncomingResource { kind, id: ResourceId::parse(id).ok(), attributes, members, password: None }
}
