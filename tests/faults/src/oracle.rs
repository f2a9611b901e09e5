//! The oracle: at rest the target's state equals mapping(directory) for every object in scope, nothing is
//! there twice, nothing deleted came back, each object is in step or parked with a reason, and every write
//! that the target saw has a row in the log.

use std::collections::{BTreeMap, HashMap};

use scimfleet_core::state::LinkState;
use scimfleet_core::{ProviderId, ResourceId};
use scimfleet_store::{LinkRow, Store};
use scimfleet_testkit::provider::{Content, Journal};
use serde_json::Value;

use crate::failure::Told;
use crate::figures::Figures;
use crate::model::Model;

/// Violations that are told in words; more are counted only.
const WORDS_MAX: usize = 8;

/// What the target and the database say, to be judged.
pub struct Evidence<'a> {
    /// What should be there.
    pub model: &'a Model,
    /// What the target holds.
    pub content: Content,
    /// Writes that the target saw, each operation of a bulk request for itself.
    pub writes: u64,
    /// The links.
    pub links: Vec<LinkRow>,
    /// `externalId`s of the resources behind the links.
    pub names: HashMap<ResourceId, String>,
    /// Rows of the log.
    pub rows: u64,
    /// Rows of it that stand for a write of which nobody knows whether it arrived: announced by the dead, timed out,
    /// or met by a connection that broke.
    pub uncertain: u64,
    /// `externalId`s that somebody else put there.
    pub strangers: Vec<String>,
}

/// All links of a provider.
///
/// # Errors
/// Those of the store.
pub async fn links(store: &Store, provider: ProviderId) -> Told<Vec<LinkRow>> {
    let mut all: Vec<LinkRow> = Vec::new();
    loop {
        let after = all.last().map(|link| link.resource_id.clone());
        let page = store.links(provider, None, after.as_ref(), 1_000).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Judges the evidence into the figures.
pub fn judge(evidence: &Evidence<'_>, figures: &mut Figures) {
    let users = by_external_id(&evidence.content.users);
    let groups = by_external_id(&evidence.content.groups);
    let parked: Vec<&LinkRow> = evidence.links.iter().filter(|link| link.state == LinkState::Parked).collect();
    let parked_names: Vec<&str> =
        parked.iter().filter_map(|link| evidence.names.get(&link.resource_id)).map(String::as_str).collect();
    figures.parked += parked.len() as u64;
    figures.promise(parked.iter().all(|link| link.last_error.is_some() && link.park_reason.is_some()), || {
        "an object is parked without a reason".to_owned()
    });
    let mut words = Vec::new();
    for (id, wanted) in &evidence.model.users {
        let found = users.get(id.as_str()).and_then(|all| all.first());
        match found.map(|found| difference(wanted, found, &users)) {
            Some(None) => figures.confirmed += 1,
            _ if parked_names.contains(&id.as_str()) => {}
            Some(Some(path)) => words.push(format!("user `{id}` is not as it should be: {path}")),
            None => words.push(format!("user `{id}` is missing")),
        }
    }
    for (id, (name, members)) in &evidence.model.groups {
        let Some(found) = groups.get(id.as_str()).and_then(|all| all.first()) else {
            if !parked_names.contains(&id.as_str()) {
                words.push(format!("group `{id}` is missing"));
            }
            continue;
        };
        let mut wanted: Vec<&str> = members
            .iter()
            .filter_map(|member| {
                users.get(member.as_str()).and_then(|all| all.first()).and_then(|user| user["id"].as_str())
            })
            .collect();
        let mut shown: Vec<&str> =
            found["members"].as_array().into_iter().flatten().filter_map(|member| member["value"].as_str()).collect();
        wanted.sort_unstable();
        shown.sort_unstable();
        if found["displayName"] == name.as_str() && wanted == shown {
            figures.confirmed += 1;
        } else if !parked_names.contains(&id.as_str()) {
            words.push(format!("group `{id}` shows {} members instead of {}", shown.len(), wanted.len()));
        }
    }
    figures.lost += words.len() as u64;
    tell(figures, words);
    twice_or_strange(evidence, &users, &groups, figures);
    settled(evidence, figures);
    audited(evidence, figures);
}

fn twice_or_strange(
    evidence: &Evidence<'_>,
    users: &BTreeMap<&str, Vec<&Value>>,
    groups: &BTreeMap<&str, Vec<&Value>>,
    figures: &mut Figures,
) {
    let mut words = Vec::new();
    for (id, all) in users.iter().chain(groups) {
        if all.len() > 1 {
            figures.duplicated += all.len() as u64 - 1;
            words.push(format!("`{id}` is there {} times", all.len()));
        }
        let known = evidence.model.users.contains_key(*id) || evidence.model.groups.contains_key(*id);
        if evidence.model.gone.contains(*id) {
            figures.resurrected += 1;
            words.push(format!("`{id}` was deleted and is there"));
        } else if !known && !evidence.strangers.iter().any(|stranger| stranger == id) {
            words.push(format!("`{id}` is there, and nobody asked for it"));
        }
    }
    tell(figures, words);
}

fn settled(evidence: &Evidence<'_>, figures: &mut Figures) {
    let restless = evidence.links.iter().filter(|link| {
        let rests = matches!(link.state, LinkState::InSync | LinkState::Parked | LinkState::Gone | LinkState::Kept);
        !rests || link.dirty && link.state != LinkState::Parked
    });
    let words = restless
        .map(|link| {
            let name = evidence.names.get(&link.resource_id).map_or("?", String::as_str);
            format!("`{name}` is {} (dirty: {}, {:?})", link.state, link.dirty, link.last_error)
        })
        .collect();
    tell(figures, words);
}

/// The writes of a journal: a bulk request counts by its operations, a search by POST is none.
pub fn writes_of(journal: &Journal) -> u64 {
    let one_by_one = journal
        .entries
        .iter()
        .filter(|entry| entry.method != "GET" && entry.path != "/Bulk" && !entry.path.ends_with("/.search"));
    one_by_one.count() as u64 + journal.counts.bulk_operations
}

/// Hazard 29. A write whose worker died has a row that says `unknown`: it may or may not have been sent.
fn audited(evidence: &Evidence<'_>, figures: &mut Figures) {
    let (writes, certain) = (evidence.writes, evidence.rows.saturating_sub(evidence.uncertain));
    figures.promise(certain <= writes && writes <= evidence.rows, || {
        format!(
            "the target saw {writes} writes; the log has {} rows, {} of them uncertain",
            evidence.rows, evidence.uncertain
        )
    });
}

fn tell(figures: &mut Figures, words: Vec<String>) {
    let more = words.len().saturating_sub(WORDS_MAX);
    figures.broken.extend(words.into_iter().take(WORDS_MAX));
    if more > 0 {
        figures.broken.push(format!("… and {more} more of this kind"));
    }
}

fn by_external_id(all: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut map: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for one in all {
        map.entry(one["externalId"].as_str().unwrap_or("(none)")).or_default().push(one);
    }
    map
}

/// The first attribute that differs. A manager is named by `externalId` here and by `id` there.
fn difference(wanted: &Value, found: &Value, users: &BTreeMap<&str, Vec<&Value>>) -> Option<String> {
    let wanted = wanted.as_object()?;
    wanted.iter().filter(|(name, _)| name.as_str() != "schemas").find_map(|(name, value)| {
        let shown = &found[name.as_str()];
        if let Some(manager) = value["manager"]["value"].as_str() {
            let id = users.get(manager).and_then(|all| all.first()).map(|user| &user["id"]);
            return (id != Some(&shown["manager"]["value"])).then(|| format!("{name}.manager"));
        }
        // The default mapping adds parts of a name that follow from others.
        let same = match (value.as_object(), shown.as_object()) {
            (Some(value), Some(shown)) => value.iter().all(|(part, value)| shown.get(part) == Some(value)),
            _ => shown == value,
        };
        (!same).then(|| format!("{name} is {shown} instead of {value}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(model: &Model) -> Content {
        let users = model.users.iter().map(|(id, user)| {
            let mut user = user.clone();
            user["id"] = json!(format!("r-{id}"));
            user
        });
        let groups = model.groups.iter().map(|(id, (name, members))| {
            let members: Vec<Value> = members.iter().map(|one| json!({"value": format!("r-{one}")})).collect();
            json!({"id": format!("r-{id}"), "externalId": id, "displayName": name, "members": members})
        });
        Content { users: users.collect(), groups: groups.collect() }
    }

    fn judged(model: &Model, content: Content) -> Figures {
        let mut figures = Figures::default();
        let evidence = Evidence {
            model,
            content,
            writes: 0,
            links: Vec::new(),
            names: HashMap::new(),
            rows: 0,
            uncertain: 0,
            strangers: Vec::new(),
        };
        judge(&evidence, &mut figures);
        figures
    }

    #[test]
    fn each_kind_of_damage_is_seen() {
        let mut model = Model::new(1, 6, 2);
        let good = judged(&model, shown(&model));
        assert!(good.is_green() && good.confirmed == 8, "{good:?}");

        let mut missing = shown(&model);
        missing.users.remove(0);
        assert!(judged(&model, missing).lost > 0);

        let mut outdated = shown(&model);
        outdated.users[0]["title"] = json!("old");
        assert_eq!(judged(&model, outdated).lost, 1);

        let mut twice = shown(&model);
        twice.users.push(twice.users[0].clone());
        assert_eq!(judged(&model, twice).duplicated, 1);

        let before = shown(&model);
        model.delete_user("u0");
        assert_eq!(judged(&model, before).resurrected, 1);
    }

    #[test]
    fn a_write_without_a_row_is_seen() {
        let model = Model::new(1, 0, 0);
        let evidence = |rows, uncertain| Evidence {
            model: &model,
            content: Content { users: Vec::new(), groups: Vec::new() },
            writes: 3,
            links: Vec::new(),
            names: HashMap::new(),
            rows,
            uncertain,
            strangers: Vec::new(),
        };
        let green = |rows, uncertain| {
            let mut figures = Figures::default();
            judge(&evidence(rows, uncertain), &mut figures);
            figures.is_green()
        };
        assert!(green(3, 0) && green(5, 2));
        assert!(!green(2, 0) && !green(4, 0));
    }
}
