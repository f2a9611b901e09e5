//! A sample directory, the same for the same seed everywhere: people with names as people have them, a
//! chain of managers, contractors, leavers, and groups that nest and overlap.
//!
//! It is made up, one document at a time; nothing is kept in memory and nothing is random.

mod names;

use std::io;

use scimfleet_core::scim::resource::{ENTERPRISE_URN, GROUP_URN, USER_URN};
use serde_json::{Value, json};

use names::{FAMILY, GIVEN, SITES, TITLES};

/// Departments; every employee is in one. The first two are the ones that examples push.
const DEPARTMENTS: &[&str] = &[
    "Engineering",
    "Sales",
    "Finance",
    "People & Culture",
    "Customer Success",
    "Forschung & Entwicklung",
    "Legal",
    "Operations",
];

/// People under one manager; a chain of five holds some thirty thousand.
const REPORTS_PER_MANAGER: usize = 8;

/// How large a sample directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleDirectory {
    /// Users.
    pub users: usize,
    /// Groups; the first nine are Staff and the departments, the rest teams and projects.
    pub groups: usize,
    /// Another seed gives other people.
    pub seed: u64,
    /// How many in a hundred have left: their users are there, `active` is false.
    pub inactive_percent: u64,
}

impl SampleDirectory {
    /// The directory of `scimfleet demo`.
    pub const fn demo() -> Self {
        Self { users: 1_250, groups: 40, seed: 7, inactive_percent: 0 }
    }

    /// The users, in the order of their `externalId`.
    pub fn users(self) -> impl Iterator<Item = Value> {
        (0..self.users).map(move |index| self.user(index))
    }

    /// The groups: teams before the departments that contain them, Staff last.
    pub fn groups(self) -> impl Iterator<Item = Value> {
        (0..self.groups).rev().map(move |index| self.group(index))
    }

    /// All users, then all groups.
    pub fn resources(self) -> impl Iterator<Item = Value> {
        self.users().chain(self.groups())
    }

    /// Writes one resource a line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_jsonl(self, out: &mut impl io::Write) -> io::Result<()> {
        for resource in self.resources() {
            serde_json::to_writer(&mut *out, &resource)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// A number that depends on nothing but the seed, the person and the purpose (SplitMix64).
    fn draw(self, index: usize, purpose: u64) -> u64 {
        let mut z = self.seed
            ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ purpose.wrapping_mul(0xD1B5_4A32_D192_ED03);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn pick<T>(self, list: &[T], index: usize, purpose: u64) -> &T {
        &list[usize::try_from(self.draw(index, purpose) % list.len() as u64).unwrap_or_default()]
    }

    fn chance(self, index: usize, purpose: u64, percent: u64) -> bool {
        self.draw(index, purpose) % 100 < percent
    }

    fn is_contractor(self, index: usize) -> bool {
        index >= REPORTS_PER_MANAGER && self.chance(index, 1, 9)
    }

    fn department(self, index: usize) -> usize {
        usize::try_from(self.draw(index, 2) % DEPARTMENTS.len() as u64).unwrap_or_default()
    }

    /// The `index`th user.
    fn user(self, index: usize) -> Value {
        let (given, given_plain) = *self.pick(GIVEN, index, 3);
        let (family, family_plain) = *self.pick(FAMILY, index, 4);
        let (site, locale, zone, prefix) = *self.pick(SITES, index, 5);
        let contractor = self.is_contractor(index);
        let user_name = format!("{given_plain}.{family_plain}{}", index + 1);
        let domain = if contractor { "partner.example" } else { "sample.example" };
        let mut user = json!({
            "schemas": [USER_URN, ENTERPRISE_URN],
            "externalId": user_external_id(index),
            "userName": user_name,
            "name": { "givenName": given, "familyName": family, "formatted": format!("{given} {family}") },
            "displayName": format!("{given} {family}"),
            "title": self.pick(TITLES, index, 6),
            "locale": locale,
            "preferredLanguage": locale,
            "timezone": zone,
            "active": !self.chance(index, 7, self.inactive_percent),
            "emails": [{ "value": format!("{user_name}@{domain}"), "type": "work", "primary": true }],
        });
        if self.chance(index, 8, 70) {
            let number = format!("{prefix} {:07}", self.draw(index, 9) % 10_000_000);
            user["phoneNumbers"] = json!([{ "value": number, "type": "work" }]);
        }
        user[ENTERPRISE_URN] = self.enterprise(index);
        user["attributes"] = json!({ "kind": if contractor { "contractor" } else { "employee" }, "site": site });
        if contractor {
            user["attributes"]["agency"] = format!("Agency {}", 1 + self.draw(index, 10) % 5).into();
        }
        user
    }

    fn enterprise(self, index: usize) -> Value {
        let department = self.department(index);
        let mut enterprise = json!({
            "employeeNumber": format!("{:06}", 100_000 + index),
            "costCenter": format!("CC-{}", 4_000 + department * 10),
            "department": DEPARTMENTS[department],
        });
        if let Some(manager) = index.checked_sub(1) {
            enterprise["manager"] = json!({ "value": user_external_id(manager / REPORTS_PER_MANAGER) });
        }
        enterprise
    }

    /// The `index`th group: 0 is Staff, then the departments, then teams and projects by turns.
    fn group(self, index: usize) -> Value {
        let members: Vec<Value> = match self.group_kind(index) {
            GroupKind::Staff => self.everybody(|user| !self.is_contractor(user)),
            GroupKind::Department(department) => {
                let teams = (0..self.groups).filter(|other| self.group_kind(*other) == GroupKind::Team(department));
                let direct = self.everybody(|user| self.department(user) == department && self.chance(user, 11, 40));
                direct.into_iter().chain(teams.map(|team| member(&group_external_id(team), "Group"))).collect()
            }
            GroupKind::Team(department) => {
                self.everybody(|user| self.department(user) == department && self.chance(user, 100 + index as u64, 30))
            }
            GroupKind::Project => self.everybody(|user| self.chance(user, 100 + index as u64, 4)),
        };
        json!({
            "schemas": [GROUP_URN],
            "externalId": group_external_id(index),
            "displayName": self.group_name(index),
            "members": members,
        })
    }

    fn everybody(self, belongs: impl Fn(usize) -> bool) -> Vec<Value> {
        (0..self.users).filter(|user| belongs(*user)).map(|user| member(&user_external_id(user), "User")).collect()
    }

    fn group_kind(self, index: usize) -> GroupKind {
        match index.checked_sub(1 + DEPARTMENTS.len()) {
            _ if index == 0 => GroupKind::Staff,
            None => GroupKind::Department(index - 1),
            Some(rest) if rest % 2 == 0 => GroupKind::Team(rest / 2 % DEPARTMENTS.len()),
            Some(_) => GroupKind::Project,
        }
    }

    fn group_name(self, index: usize) -> String {
        match self.group_kind(index) {
            GroupKind::Staff => "Staff".to_owned(),
            GroupKind::Department(department) => DEPARTMENTS[department].to_owned(),
            GroupKind::Team(department) => format!("{} – Team {index}", DEPARTMENTS[department]),
            GroupKind::Project => format!("Projekt Größe {index}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupKind {
    Staff,
    Department(usize),
    Team(usize),
    Project,
}

fn member(external_id: &str, kind: &str) -> Value {
    json!({ "value": external_id, "type": kind })
}

/// The `externalId` of the `index`th user, counted from 0.
pub fn user_external_id(index: usize) -> String {
    format!("u-{:06}", index + 1)
}

/// The `externalId` of the `index`th group, counted from 0; 0 is Staff.
pub fn group_external_id(index: usize) -> String {
    format!("g-{:04}", index + 1)
}

#[cfg(test)]
mod tests;
