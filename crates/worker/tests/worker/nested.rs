//! New groups inside new groups, which travel together in one bulk request (RFC 7644 §3.7.2).

use scimfleet_core::ResourceKind;
use scimfleet_core::state::LinkState;
use scimfleet_core::task::Lane;
use scimfleet_testkit::provider::{Behaviour, UnknownMembers};
use serde_json::Value;

use crate::support::{Stage, group, user};

const GROUP: ResourceKind = ResourceKind::Group;

/// So many groups, each inside of one before it and with one user of its own.
fn tree(count: usize) -> Vec<Value> {
    let name = |index: usize| format!("g{index:04}");
    let of = |index: usize| {
        let inner: Vec<String> = (index * 3 + 1..=index * 3 + 3).filter(|inner| *inner < count).map(name).collect();
        let members: Vec<&str> = inner.iter().map(String::as_str).chain(["u0000"]).collect();
        group(&name(index), &members)
    };
    (0..count).map(of).collect()
}

/// A stage that refers to others by `bulkId`, with one user who is there already.
async fn stage(behaviour: Behaviour) -> Stage {
    let stage = Stage::with_references(behaviour).await;
    stage.import(&[user(0)]).await;
    stage.changes(ResourceKind::User, Lane::Changes).await;
    stage
}

fn members(stage: &Stage, name: &str) -> Vec<String> {
    let found = stage.target.named(GROUP, name);
    let members = found[0]["members"].as_array().into_iter().flatten();
    let mut members: Vec<String> = members.map(|one| one["value"].as_str().unwrap().to_owned()).collect();
    members.sort_unstable();
    members
}

/// Each group that does not hold whom the directory puts there.
fn misled(stage: &Stage, documents: &[Value]) -> Vec<String> {
    let account = |name: &str| {
        let kind = if name.starts_with('u') { ResourceKind::User } else { GROUP };
        stage.target.named(kind, name)[0]["id"].as_str().unwrap().to_owned()
    };
    let is_wrong = |document: &&Value| {
        let names = document["members"].as_array().into_iter().flatten();
        let mut wanted: Vec<String> = names.map(|one| account(one["value"].as_str().unwrap())).collect();
        wanted.sort_unstable();
        members(stage, document["displayName"].as_str().unwrap()) != wanted
    };
    documents.iter().filter(is_wrong).map(|document| document["displayName"].to_string()).collect()
}

async fn remembered(stage: &Stage) -> Option<Value> {
    stage.store.providers().await.unwrap().remove(0).remembered.get("bulk_references").cloned()
}

#[tokio::test]
async fn groups_of_one_task_need_no_second_write() {
    let stage = stage(Behaviour::default()).await;
    let groups = tree(40);
    stage.import(&groups).await;
    let mark = stage.target.mark();
    stage.changes(GROUP, Lane::Changes).await;
    let journal = stage.target.since(&mark);
    assert_eq!(misled(&stage, &groups), Vec::<String>::new());
    assert_eq!((journal.counts.bulk_operations, stage.links(LinkState::InSync).await), (40, 41));
    let proofs = journal.entries.iter().filter(|one| one.method == "GET" && one.path.starts_with("/Groups/")).count();
    assert_eq!(proofs, 1, "what the provider makes of a reference is seen once");
    assert_eq!(remembered(&stage).await, Some(true.into()));
    let mark = stage.target.mark();
    stage.full_sync().await;
    assert_eq!(stage.target.counts_since(&mark).writes(), 0);
    stage.assert_well_formed();
}

#[tokio::test]
async fn a_request_that_is_full_leaves_the_rest_to_the_next() {
    let stage = stage(Behaviour { bulk_operations_max: 7, ..Behaviour::default() }).await;
    let groups = tree(40);
    stage.import(&groups).await;
    let mark = stage.target.mark();
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(misled(&stage, &groups), Vec::<String>::new());
    let journal = stage.target.since(&mark);
    let alone = journal.matching("POST", "/Groups").count() as u64;
    let patches = journal.matching("PATCH", "/Groups/").count();
    assert_eq!((journal.counts.bulk_operations + alone, patches), (40, 0));
}

/// What becomes of nine groups where names of operations are not resolved.
async fn unresolved(unknown_members: UnknownMembers) {
    let stage = stage(Behaviour { bulk_ids_resolved: false, unknown_members, ..Behaviour::default() }).await;
    let groups = tree(9);
    stage.import(&groups).await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(remembered(&stage).await, Some(false.into()));
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(misled(&stage, &groups), Vec::<String>::new());
    assert_eq!(stage.links(LinkState::InSync).await, 10);
}

#[tokio::test]
async fn a_name_that_is_kept_as_text_is_taken_out_again() {
    unresolved(UnknownMembers::Accepted).await;
}

#[tokio::test]
async fn a_provider_that_refuses_references_is_sent_none_again() {
    unresolved(UnknownMembers::Refused).await;
}

#[tokio::test]
async fn a_group_that_is_refused_takes_no_other_along() {
    let stage = stage(Behaviour { characters_refused: "%".to_owned(), ..Behaviour::default() }).await;
    let mut groups = tree(12);
    groups[1]["displayName"] = "100 %".into();
    stage.import(&groups).await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(stage.link("g0001").await.state, LinkState::Parked);
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(members(&stage, "g0000").len(), 3, "two groups and a user: the third group is not there");
    groups[1]["displayName"] = "g0001".into();
    stage.import(&groups[1..2]).await;
    stage.relay().await;
    stage.changes(GROUP, Lane::Changes).await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(misled(&stage, &groups), Vec::<String>::new());
}

#[tokio::test]
async fn groups_inside_of_each_other_are_created_all_the_same() {
    let stage = stage(Behaviour::default()).await;
    let groups = [group("g0000", &["g0001"]), group("g0001", &["g0000"])];
    stage.import(&groups).await;
    for _ in 0..3 {
        stage.changes(GROUP, Lane::Changes).await;
    }
    assert_eq!(misled(&stage, &groups), Vec::<String>::new());
    assert_eq!(stage.links(LinkState::InSync).await, 3);
}

#[tokio::test]
async fn where_members_are_not_shown_nothing_is_referred_to() {
    let stage = Stage::with(Behaviour { journal_bodies: true, ..Behaviour::default() }, |settings| {
        for (switch, value) in [("bulk_references", true), ("members_readable", false)] {
            settings.profile_override.insert(switch.to_owned(), value.into());
        }
    })
    .await;
    stage.import(&[user(0)]).await;
    stage.changes(ResourceKind::User, Lane::Changes).await;
    let groups = tree(9);
    stage.import(&groups).await;
    stage.changes(GROUP, Lane::Changes).await;
    stage.changes(GROUP, Lane::Changes).await;
    let journal = stage.target.journal();
    let bodies = journal.entries.iter().filter_map(|one| one.body.as_deref());
    assert_eq!(bodies.filter(|body| String::from_utf8_lossy(body).contains("bulkId:")).count(), 0);
    assert_eq!(misled(&stage, &groups), Vec::<String>::new());
}
