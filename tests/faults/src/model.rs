//! The directory as it should be: kept beside the product and compared with what the target holds. Nothing
//! here asks the product anything.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Users and groups by `externalId`, and what was deleted.
#[derive(Debug, Clone)]
pub struct Model {
    /// Documents of users.
    pub users: BTreeMap<String, Value>,
    /// Groups: display name and members.
    pub groups: BTreeMap<String, (String, BTreeSet<String>)>,
    /// `externalId`s that must not be there any more.
    pub gone: BTreeSet<String>,
    /// Everything random comes from here.
    pub random: StdRng,
    /// The number of the last edit; it is written into what is edited.
    pub edits: u64,
}

impl Model {
    /// Users `u0…` and groups `g0…` with members drawn by the seed.
    pub fn new(seed: u64, users: usize, groups: usize) -> Self {
        let mut model = Self {
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            gone: BTreeSet::new(),
            random: StdRng::seed_from_u64(seed),
            edits: 0,
        };
        for n in 0..users {
            model.add_user(&format!("u{n}"));
        }
        let all: Vec<String> = model.users.keys().cloned().collect();
        for n in 0..groups {
            let many = model.random.random_range(1..=all.len().clamp(1, 40));
            let members = all.choose_multiple(&mut model.random, many).cloned().collect();
            model.groups.insert(format!("g{n}"), (format!("Group {n}"), members));
        }
        model
    }

    /// Objects that should be there.
    pub fn len(&self) -> usize {
        self.users.len() + self.groups.len()
    }

    /// Whether nothing should be there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new user.
    pub fn add_user(&mut self, id: &str) {
        self.gone.remove(id);
        let document = json!({
            "schemas": [USER], "externalId": id, "userName": format!("{id}@example.com"), "active": true,
            "displayName": format!("Person {id}"), "title": "0",
            "name": {"givenName": "Person", "familyName": id},
            "emails": [{"value": format!("{id}@example.com"), "type": "work", "primary": true}],
        });
        self.users.insert(id.to_owned(), document);
    }

    /// Gives a user another title, and says which.
    pub fn edit_user(&mut self, id: &str) {
        self.edits += 1;
        if let Some(user) = self.users.get_mut(id) {
            user["title"] = json!(self.edits.to_string());
        }
    }

    /// Edits `n` users by lot.
    pub fn edit_some(&mut self, n: usize) -> Vec<String> {
        let ids: Vec<String> = self.users.keys().cloned().collect();
        let ids: Vec<String> = ids.choose_multiple(&mut self.random, n).cloned().collect();
        for id in &ids {
            self.edit_user(id);
        }
        ids
    }

    /// Deletes a user, and so takes it out of its groups.
    pub fn delete_user(&mut self, id: &str) {
        if self.users.remove(id).is_some() {
            self.gone.insert(id.to_owned());
            for (_, members) in self.groups.values_mut() {
                members.remove(id);
            }
        }
    }

    /// Lines of JSON for the import: these users, or all, and all groups if asked for.
    pub fn lines(&self, users: Option<&[String]>, groups: bool) -> String {
        let mut lines: Vec<String> = match users {
            Some(ids) => ids.iter().filter_map(|id| self.users.get(id)).map(Value::to_string).collect(),
            None => self.users.values().map(Value::to_string).collect(),
        };
        if groups {
            lines.extend(self.groups.iter().map(|(id, (name, members))| {
                let members: Vec<Value> = members.iter().map(|member| json!({"value": member})).collect();
                json!({"schemas": [GROUP], "externalId": id, "displayName": name, "members": members}).to_string()
            }));
        }
        let mut text = lines.join("\n");
        text.push('\n');
        text
    }

    /// The same lines in an order drawn by the seed.
    pub fn shuffled_lines(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = self.lines(None, true).lines().map(str::to_owned).collect();
        lines.shuffle(&mut self.random);
        lines
    }
}
