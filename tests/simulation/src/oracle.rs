//! The oracle: at rest the target shows what the directory in scope maps to, nothing is there twice, nothing deleted
//! came back, each object is in step or parked with a reason, nothing waits, and every write that the target saw has
//! a row in the log. It asks the product nothing but what it owes.

use std::collections::{BTreeMap, BTreeSet};

use scimfleet_core::ProviderId;
use scimfleet_core::provider::LeaverAction;
use scimfleet_core::state::LinkState;
use scimfleet_store::{LinkRow, LogRow, Store, TrailFilter};
use scimfleet_testkit::provider::Content;
use serde_json::Value;

use crate::directory::{Directory, ENTERPRISE, User};
use crate::failure::Told;
use crate::network::Host;
use crate::script::{Habit, ProviderPlan, SCOPE_GROUP};

/// Outcomes in the log of writes of which nobody knows whether they arrived.
const UNCERTAIN: [&str; 3] = [ANNOUNCED, "unknown", "transient"];
/// The outcome of what was announced by a worker that died.
const ANNOUNCED: &str = "uncertain";

/// What the target and the database say, to be judged.
pub struct Evidence<'a> {
    /// What should be there.
    pub directory: &'a Directory,
    /// How the provider behaves, and who is in scope.
    pub plan: &'a ProviderPlan,
    /// What the target holds.
    pub content: Content,
    /// All links.
    pub links: Vec<LinkRow>,
    /// Writes that were asked of the target.
    pub writes: u64,
    /// All rows of the log.
    pub log: Vec<LogRow>,
}

/// Writes that arrived, or were refused on their way in the provider's name.
pub fn writes_of(host: &Host) -> u64 {
    let journal = host.provider().journal();
    let single = journal.entries.iter().filter(|entry| entry.method != "GET" && entry.path != "/Bulk");
    single.count() as u64 + journal.counts.bulk_operations + host.refused_writes()
}

/// The provider's log, oldest first.
///
/// # Errors
/// Those of the store.
pub async fn log_of(store: &Store, provider: ProviderId) -> Told<Vec<LogRow>> {
    let filter = TrailFilter { provider: Some(provider), ..TrailFilter::default() };
    Ok(store.trail_after(&filter, None, 100_000).await?.into_iter().map(|row| row.row).collect())
}

/// Everything that is not as it should be, in words.
pub fn judge(evidence: &Evidence<'_>) -> Vec<String> {
    let target = Target::of(&evidence.content);
    let mut found = target.duplicates();
    found.extend(users(evidence, &target));
    found.extend(groups(evidence, &target));
    found.extend(links(evidence));
    found.extend(audit(evidence));
    found
}

/// What the target holds, by `externalId`.
struct Target<'a> {
    users: BTreeMap<&'a str, Vec<&'a Value>>,
    groups: BTreeMap<&'a str, Vec<&'a Value>>,
}

impl<'a> Target<'a> {
    fn of(content: &'a Content) -> Self {
        Self { users: by_external_id(&content.users), groups: by_external_id(&content.groups) }
    }

    fn duplicates(&self) -> Vec<String> {
        let twice = self.users.iter().chain(&self.groups).filter(|(_, all)| all.len() > 1);
        twice.map(|(id, all)| format!("`{id}` is there {} times", all.len())).collect()
    }

    fn user(&self, id: &str) -> Option<&'a Value> {
        self.users.get(id)?.first().copied()
    }

    fn group(&self, id: &str) -> Option<&'a Value> {
        self.groups.get(id)?.first().copied()
    }
}

fn by_external_id(all: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut map: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for one in all {
        map.entry(one["externalId"].as_str().unwrap_or("(none)")).or_default().push(one);
    }
    map
}

impl Evidence<'_> {
    fn in_scope(&self) -> BTreeSet<String> {
        if self.plan.scoped {
            self.directory.users_under(SCOPE_GROUP)
        } else {
            self.directory.users.keys().cloned().collect()
        }
    }

    fn is_parked(&self, id: &str) -> bool {
        self.links.iter().any(|link| link.resource_id.as_str() == id && link.state == LinkState::Parked)
    }
}

fn users(evidence: &Evidence<'_>, target: &Target<'_>) -> Vec<String> {
    let in_scope = evidence.in_scope();
    let mut found = Vec::new();
    for (id, user) in &evidence.directory.users {
        let shown = target.user(id);
        if !in_scope.contains(id) {
            found.extend(left(evidence, id, shown));
            continue;
        }
        match shown {
            Some(shown) => found.extend(difference(evidence, target, id, user, shown)),
            None if user.active && !evidence.is_parked(id) => found.push(format!("user `{id}` is missing")),
            // Whoever is inactive and never had an account needs none.
            None => {}
        }
    }
    for id in target.users.keys().filter(|id| !evidence.directory.users.contains_key(**id)) {
        if evidence.directory.gone.contains(*id) {
            found.extend(left(evidence, id, target.user(id)));
        } else {
            found.push(format!("user `{id}` is there, and nobody asked for it"));
        }
    }
    found
}

/// Somebody who left the scope or the directory.
fn left(evidence: &Evidence<'_>, id: &str, shown: Option<&Value>) -> Option<String> {
    let shown = shown?;
    match evidence.plan.leavers {
        LeaverAction::Delete => Some(format!("user `{id}` left and is there")),
        LeaverAction::Deactivate if shown["active"] != false => Some(format!("user `{id}` left and is active")),
        LeaverAction::Deactivate | LeaverAction::Keep => None,
    }
}

fn difference(evidence: &Evidence<'_>, target: &Target<'_>, id: &str, user: &User, shown: &Value) -> Option<String> {
    if evidence.is_parked(id) {
        return None;
    }
    let wrong = |what: &str, shown: &Value| Some(format!("user `{id}`: `{what}` is {shown}"));
    if shown["active"] != user.active {
        return wrong("active", &shown["active"]);
    }
    if shown["userName"] != user.name.as_str() {
        return wrong("userName", &shown["userName"]);
    }
    if shown["title"] != user.title.as_str() {
        return wrong("title", &shown["title"]);
    }
    let manager = &shown[ENTERPRISE]["manager"]["value"];
    match user.manager.as_deref() {
        None if !manager.is_null() => wrong("manager", manager),
        Some(id) if manages(evidence, id) => {
            let account = target.user(id).map(|account| &account["id"]);
            if account.is_some_and(|account| account == manager) { None } else { wrong("manager", manager) }
        }
        // A manager without an account: whatever is shown names nobody, or somebody who left.
        None | Some(_) => None,
    }
}

/// Whether a manager has an account that may be named.
fn manages(evidence: &Evidence<'_>, id: &str) -> bool {
    evidence.directory.users.get(id).is_some_and(|user| user.active)
        && evidence.in_scope().contains(id)
        && !evidence.is_parked(id)
}

fn groups(evidence: &Evidence<'_>, target: &Target<'_>) -> Vec<String> {
    let in_scope = evidence.in_scope();
    let mut found = Vec::new();
    for (id, group) in &evidence.directory.groups {
        let Some(shown) = target.group(id) else {
            if !evidence.is_parked(id) {
                found.push(format!("group `{id}` is missing"));
            }
            continue;
        };
        if evidence.is_parked(id) {
            continue;
        }
        let flat = evidence.plan.habit == Habit::Flat;
        let members = if flat { evidence.directory.users_under(id) } else { group.members.clone() };
        let account = |member: &String| {
            let user = target.user(member).filter(|_| in_scope.contains(member));
            let held = user.or_else(|| target.group(member).filter(|_| evidence.directory.groups.contains_key(member)));
            held.and_then(|held| held["id"].as_str())
        };
        let wanted: BTreeSet<&str> = members.iter().filter_map(account).collect();
        let values = shown["members"].as_array().into_iter().flatten();
        let there: BTreeSet<&str> = values.filter_map(|member| member["value"].as_str()).collect();
        if shown["displayName"] != group.name.as_str() {
            found.push(format!("group `{id}`: `displayName` is {}", shown["displayName"]));
        }
        if wanted != there {
            found.push(format!("group `{id}` holds {there:?} instead of {wanted:?}"));
        }
    }
    let unknown = target.groups.keys().filter(|id| !evidence.directory.groups.contains_key(**id));
    found.extend(unknown.map(|id| format!("group `{id}` is there and should not be")));
    found
}

fn links(evidence: &Evidence<'_>) -> Vec<String> {
    let restless = evidence.links.iter().filter_map(|link| {
        let id = &link.resource_id;
        match link.state {
            LinkState::InSync | LinkState::Gone | LinkState::Kept => None,
            LinkState::Parked if link.last_error.is_some() && link.park_reason.is_some() => {
                // Nothing in a play is beyond repair.
                Some(format!("`{id}` is parked: {:?} ({:?})", link.park_reason, link.last_error))
            }
            state => Some(format!(
                "`{id}` stays {state} (dirty: {}, due: {}, {:?})",
                link.dirty, link.due_at_ms, link.last_error
            )),
        }
    });
    restless.collect()
}

/// Every write has its row; a row of a write that may never have arrived needs none. What a worker announced and died
/// over is one row, whatever it sent of it: a create, say, and the members after it.
fn audit(evidence: &Evidence<'_>) -> Option<String> {
    let rows = evidence.log.len() as u64;
    let uncertain = evidence.log.iter().filter(|row| UNCERTAIN.contains(&row.outcome.as_str())).count() as u64;
    let writes = evidence.writes;
    let announced = evidence.log.iter().any(|row| row.outcome == ANNOUNCED);
    let fits = rows - uncertain <= writes && (announced || writes <= rows);
    (!fits).then(|| format!("the target saw {writes} writes; the log has {rows} rows, {uncertain} of them uncertain"))
}

#[cfg(test)]
mod tests {
    use scimfleet_core::provider::LeaverAction;
    use serde_json::json;

    use super::*;
    use crate::directory::Group;

    const PLAN: ProviderPlan = ProviderPlan { habit: Habit::Strict, leavers: LeaverAction::Delete, scoped: false };

    fn directory() -> Directory {
        let user = |name: &str, manager: Option<&str>| User {
            name: name.to_owned(),
            title: "Title".to_owned(),
            active: true,
            manager: manager.map(str::to_owned),
        };
        let mut directory = Directory::default();
        directory.users.insert("u-1".to_owned(), user("anna", None));
        directory.users.insert("u-2".to_owned(), user("ben", Some("u-1")));
        let members = BTreeSet::from(["u-1".to_owned(), "u-2".to_owned()]);
        directory.groups.insert("g-1".to_owned(), Group { name: "Team".to_owned(), members });
        directory
    }

    fn content() -> Content {
        let user = |id: &str, name: &str| json!({ "id": format!("r-{id}"), "externalId": id, "userName": name, "title": "Title", "active": true });
        let mut report = user("u-2", "ben");
        report[ENTERPRISE] = json!({ "manager": { "value": "r-u-1" } });
        let members = json!([{ "value": "r-u-1" }, { "value": "r-u-2" }]);
        let group = json!({ "id": "r-g-1", "externalId": "g-1", "displayName": "Team", "members": members });
        Content { users: vec![user("u-1", "anna"), report], groups: vec![group] }
    }

    type Damage<'a> = &'a dyn Fn(&mut Content);

    fn judged(directory: &Directory, content: Content, writes: u64) -> Vec<String> {
        judge(&Evidence { directory, plan: &PLAN, content, links: Vec::new(), writes, log: Vec::new() })
    }

    #[test]
    fn each_kind_of_damage_is_told() {
        assert_eq!(judged(&directory(), content(), 0), Vec::<String>::new());
        let damaged = |damage: Damage<'_>| {
            let mut content = content();
            damage(&mut content);
            judged(&directory(), content, 0).join("; ")
        };
        let cases: [(Damage<'_>, &str); 7] = [
            (&|content| drop(content.users.remove(0)), "user `u-1` is missing"),
            (&|content| content.users[0]["title"] = json!("Old"), "user `u-1`: `title`"),
            (&|content| content.users[0]["active"] = json!(false), "user `u-1`: `active`"),
            (&|content| content.users[1][ENTERPRISE] = json!(null), "user `u-2`: `manager`"),
            (&|content| content.users.push(content.users[0].clone()), "`u-1` is there 2 times"),
            (&|content| content.groups[0]["members"] = json!([]), "group `g-1` holds"),
            (&|content| drop(content.groups.pop()), "group `g-1` is missing"),
        ];
        for (damage, words) in cases {
            assert!(damaged(damage).contains(words), "{words}: {}", damaged(damage));
        }
        let mut left = directory();
        left.delete("u-2");
        assert!(judged(&left, content(), 0).join("; ").contains("user `u-2` left and is there"));
        assert!(judged(&directory(), content(), 1).join("; ").contains("the target saw 1 writes"));
    }
}
