//! Every curated profile against a service provider that behaves as that application does and refuses what
//! that one refuses: joiners, movers and a leaver arrive, nothing is refused, and a second run writes nothing.
//! The same applications without their profile show that it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use scimfleet_core::profile::{MultiValued, NestedGroups, Profile, curated};
use scimfleet_testkit::provider::persona::persona;
use scimfleet_testkit::provider::{Running, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};
use serde_json::{Map, Value, json};

const USERS: usize = 10;
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Applications that a client which only follows the RFC gets wrong.
const BITING: [&str; 8] = ["aws", "entra", "entra-legacy", "okta", "webex", "jfrog", "django-scim2", "vcenter"];

fn user(index: usize) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "externalId": format!("u-{index}"),
        "userName": format!("person{index}"), "name": { "givenName": "Given", "familyName": format!("Family{index}") },
        "displayName": format!("Given Family{index}"), "title": "Engineer", "active": true,
        "emails": [{ "value": format!("p{index}@x.example"), "type": "work", "primary": true },
            { "value": format!("h{index}@x.example"), "type": "home" }],
        ENTERPRISE: { "department": "IT" } })
}

fn group(index: usize, name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": member })).collect();
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "externalId": format!("g-{index}"),
        "displayName": name, "members": members })
}

/// The directory before and after the changes; the leaver goes last.
fn directory() -> (Vec<Value>, Vec<Value>) {
    let before: Vec<Value> = (0..USERS)
        .map(user)
        .chain([
            group(0, "Crew", &["u-0", "u-1", "u-2", "u-3"]),
            group(1, "Inner", &["u-4", "u-5"]),
            group(2, "Outer", &["u-6", "g-1"]),
            group(3, "Empty", &[]),
        ])
        .collect();
    let mut after = before.clone();
    after[1]["name"]["familyName"] = json!("Moved");
    after[2]["title"] = Value::Null;
    after[3]["emails"] = json!([{ "value": "p3@x.example", "type": "work", "primary": true }]);
    after[4]["active"] = json!(false);
    after[5][ENTERPRISE]["department"] = json!("HR");
    after[USERS] = group(0, "Crew", &["u-1", "u-2", "u-7"]);
    after[USERS + 1] = group(1, "Inner", &["u-5", "u-8"]);
    after[USERS + 3] = group(3, "Renamed", &["u-9"]);
    (before, after)
}

fn lines(resources: &[Value]) -> String {
    resources.iter().map(|resource| format!("{resource}\n")).collect()
}

struct Target {
    name: String,
    running: Running,
    profile: Profile,
    groups: bool,
    deactivating_deletes: bool,
    mark: scimfleet_testkit::provider::Mark,
}

impl Target {
    fn table(&self, profile: &str) -> String {
        let more = format!("profile = \"{profile}\"\nguard = {{ at_least = 1000 }}\n");
        provider_table(&self.name, &self.running.base_url(), &self.running.token(), &more)
    }

    /// Writes that it refused, as `status method path`.
    fn refusals(&self) -> Vec<String> {
        let journal = self.running.since(&self.mark);
        let refused =
            journal.entries.iter().filter(|one| one.status >= 400 && (one.method != "GET" || one.status == 429));
        refused.map(|one| format!("{} {} {}", one.status, one.method, one.path)).collect()
    }

    /// What differs from the directory, as far as the profile says that it can be equal.
    fn differences(&self, wanted: &[Value], old: &[Value], gone: &[&str]) -> String {
        let content = self.running.content();
        let mut text = String::new();
        let by_external_id = |list: &[Value]| -> BTreeMap<String, Value> {
            list.iter().map(|one| (one["externalId"].as_str().unwrap_or("?").to_owned(), one.clone())).collect()
        };
        let (users, groups) = (by_external_id(&content.users), by_external_id(&content.groups));
        let accounts: BTreeMap<&str, &str> = users
            .iter()
            .chain(&groups)
            .filter_map(|(external_id, one)| Some((one["id"].as_str()?, external_id.as_str())))
            .collect();
        for want in wanted {
            let id = want["externalId"].as_str().unwrap();
            let is_group = id.starts_with("g-");
            if is_group && !self.groups {
                continue;
            }
            let found = if is_group { groups.get(id) } else { users.get(id) };
            let Some(have) = found else {
                let is_turned_off = self.deactivating_deletes && want["active"] == false;
                if !gone.contains(&id) && !is_turned_off {
                    let _ = writeln!(text, "{id} is missing");
                }
                continue;
            };
            if gone.contains(&id) {
                if self.profile.delete_users || truth(&have["active"]) {
                    let _ = writeln!(text, "{id} should be gone");
                }
                continue;
            }
            let differing =
                if is_group { self.group(want, have, wanted, old, gone, &accounts) } else { self.user(want, have) };
            for (what, have, want) in differing {
                let _ = writeln!(text, "{id}: {what} is {have}, not {want}");
            }
        }
        text
    }

    fn user(&self, want: &Value, have: &Value) -> Vec<(&'static str, Value, Value)> {
        let mails = |one: &Value| -> Value {
            let list = one["emails"].as_array().cloned().unwrap_or_default();
            let one_only = self.profile.single_valued.iter().any(|name| name == "emails");
            let kept = list.iter().filter(|mail| !one_only || truth(&mail["primary"]));
            json!(kept.filter_map(|mail| mail["value"].as_str()).collect::<BTreeSet<_>>())
        };
        let department = |one: &Value| one[ENTERPRISE]["department"].clone();
        let pairs = [
            ("familyName", have["name"]["familyName"].clone(), want["name"]["familyName"].clone()),
            ("title", have["title"].clone(), want["title"].clone()),
            ("active", json!(truth(&have["active"])), want["active"].clone()),
            ("emails", mails(have), mails(want)),
            ("department", department(have), department(want)),
        ];
        pairs.into_iter().filter(|(_, have, want)| have != want).collect()
    }

    fn group(
        &self,
        want: &Value,
        have: &Value,
        wanted: &[Value],
        old: &[Value],
        gone: &[&str],
        accounts: &BTreeMap<&str, &str>,
    ) -> Vec<(&'static str, Value, Value)> {
        let mut members = BTreeSet::new();
        for member in want["members"].as_array().unwrap() {
            let id = member["value"].as_str().unwrap();
            let inner = wanted.iter().find(|one| one["externalId"] == id && id.starts_with("g-"));
            match inner {
                Some(inner) if self.profile.nested_groups == NestedGroups::Flatten => {
                    members.extend(inner["members"].as_array().unwrap().iter().filter_map(|one| one["value"].as_str()));
                }
                _ => drop(members.insert(id)),
            }
        }
        let members: BTreeSet<&str> = members.into_iter().filter(|id| !gone.contains(id)).collect();
        let there = have["members"].as_array().cloned().unwrap_or_default();
        let there: BTreeSet<&str> = there
            .iter()
            .filter_map(|one| accounts.get(one["value"].as_str()?).copied())
            .filter(|id| !gone.contains(id))
            .collect();
        let named = if self.profile.group_renames { wanted } else { old };
        let name = named.iter().find(|one| one["externalId"] == want["externalId"]).unwrap()["displayName"].clone();
        let pairs = [("members", json!(there), json!(members)), ("displayName", have["displayName"].clone(), name)];
        pairs.into_iter().filter(|(_, have, want)| have != want).collect()
    }
}

/// A truth value, also as a text.
fn truth(value: &Value) -> bool {
    value == &json!(true) || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

fn profile_of(switches: &Map<String, Value>) -> Profile {
    serde_json::from_value(Value::Object(switches.clone())).unwrap()
}

fn check(targets: &mut [Target], step: &str, wanted: &[Value], old: &[Value], gone: &[&str]) {
    let mut wrong = String::new();
    for target in targets.iter_mut().filter(|target| !target.name.starts_with("naive-")) {
        let differences = target.differences(wanted, old, gone);
        let refusals = target.refusals();
        let violations = target.running.violations();
        if !differences.is_empty() || !refusals.is_empty() || !violations.is_empty() {
            let _ = writeln!(wrong, "{step}: {}:\n{differences}{refusals:#?}\n{violations:#?}", target.name);
        }
        target.mark = target.running.mark();
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn sync(fleet: &Fleet) -> BTreeMap<String, Value> {
    let ran = fleet.run(&["sync", "--all", "--wait", "--output", "json"]).expect(0);
    let runs = ran.json["runs"].as_array().cloned().unwrap_or_default();
    runs.into_iter().map(|run| (run["provider"].as_str().unwrap().to_owned(), run)).collect()
}

fn writes_nothing(fleet: &Fleet, targets: &[Target], step: &str) {
    let runs = sync(fleet);
    for target in targets.iter().filter(|target| !target.name.starts_with("naive-")) {
        let requests = &runs[&target.name]["requests"];
        let writes = ["POST", "PUT", "PATCH", "DELETE", "bulk_operations"].map(|word| requests[word].as_u64().unwrap());
        assert_eq!(writes.iter().sum::<u64>(), 0, "{step}: {}: {}", target.name, runs[&target.name]);
    }
}

#[test]
fn every_application_is_spoken_to_as_it_needs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = |name: String, persona_name: &str, profile: Profile| {
        let behaviour = persona(persona_name).unwrap();
        let (groups, deactivating_deletes) = (behaviour.groups, behaviour.deactivating_deletes);
        let running = runtime.block_on(ServiceProvider::start(behaviour)).unwrap();
        let mark = running.mark();
        Target { name, running, profile, groups, deactivating_deletes, mark }
    };
    let mut targets = Vec::new();
    let mut fleet_file = String::new();
    for known in curated::all() {
        let profile = profile_of(&known.switches);
        assert_eq!(profile.multi_valued, MultiValued::Merge, "{}: values of others would be wiped", known.name);
        let target = start(known.name.to_owned(), known.name, profile);
        fleet_file.push_str(&target.table(known.name));
        targets.push(target);
    }
    for name in BITING {
        let target = start(format!("naive-{name}"), name, Profile::default());
        fleet_file.push_str(&target.table("rfc-strict"));
        targets.push(target);
    }
    let fleet = Fleet::embedded();
    let (before, after) = directory();
    let _ = fleet.import(&lines(&before), &[]).expect(0);
    let _ = fleet.apply(&fleet_file).expect(0);

    sync(&fleet);
    check(&mut targets, "first sync", &before, &before, &[]);
    writes_nothing(&fleet, &targets, "after the first sync");

    let _ = fleet.import(&lines(&after), &[]).expect(0);
    sync(&fleet);
    check(&mut targets, "changes", &after, &before, &[]);
    writes_nothing(&fleet, &targets, "after the changes");

    for target in targets.iter().filter(|target| target.name.starts_with("naive-")) {
        let bites = !target.refusals().is_empty() || !target.differences(&after, &before, &[]).is_empty();
        assert!(bites, "{}: the profile is not needed for what its application does", target.name);
    }

    let kept: Vec<Value> = after.iter().filter(|one| one["externalId"] != "u-6").cloned().collect();
    let _ = fleet.import(&lines(&kept), &["--snapshot"]).expect(0);
    sync(&fleet);
    check(&mut targets, "leaver", &after, &before, &["u-6"]);
    writes_nothing(&fleet, &targets, "after the leaver");
}
