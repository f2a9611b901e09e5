//! Requests per case, counted by the provider's journal: what one object, and one change, may cost.

use scimfleet_core::ResourceKind;
use scimfleet_core::task::Lane;
use scimfleet_testkit::provider::{Behaviour, Counts, CreateMembers};
use serde_json::{Value, json};

use crate::support::{Stage, group, user};

const USER: ResourceKind = ResourceKind::User;
const GROUP: ResourceKind = ResourceKind::Group;

fn plain() -> Behaviour {
    Behaviour { bulk: false, ..Behaviour::default() }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("u{index:04}")).collect()
}

fn team(name: &str, members: &[String]) -> Value {
    group(name, &members.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What an action costs.
async fn cost(stage: &Stage, action: impl Future<Output = ()>) -> Counts {
    let mark = stage.target.mark();
    action.await;
    stage.target.counts_since(&mark)
}

#[tokio::test]
async fn a_first_sync_is_one_post_an_object_and_an_idle_one_is_nothing() {
    let stage = Stage::new(plain()).await;
    stage.users(150).await;
    stage.import(&[team("One", &names(150)), team("Two", &names(20))]).await;
    let first = cost(&stage, async { drop(stage.full_sync().await) }).await;
    assert_eq!((first.of("POST"), first.writes()), (152, 152), "groups go with all their members");
    let idle = cost(&stage, async { drop(stage.full_sync().await) }).await;
    assert_eq!(idle.writes(), 0);
    assert!(idle.of("GET") <= 10, "the listing's pages and the announcement: {idle:?}");
}

#[tokio::test]
async fn members_beyond_the_create_go_in_chunks() {
    let stage = Stage::with(Behaviour { members_in_create: CreateMembers::Refused, ..plain() }, |settings| {
        let narrow = json!({ "members_in_create": false, "members_per_patch": 100 });
        settings.profile_override = narrow.as_object().unwrap().clone();
    })
    .await;
    stage.users(250).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[team("Large", &names(250))]).await;
    let counts = cost(&stage, async { assert_eq!(stage.changes(GROUP, Lane::Changes).await, 1) }).await;
    assert_eq!((counts.of("POST"), counts.of("PATCH"), counts.writes()), (1, 3, 4));
}

#[tokio::test]
async fn one_changed_user_is_one_patch_of_what_changed() {
    let stage = Stage::new(Behaviour { journal_bodies: true, ..plain() }).await;
    stage.users(20).await;
    stage.changes(USER, Lane::Changes).await;
    let mut changed = user(7);
    changed["title"] = json!("Mover");
    let mark = stage.target.mark();
    stage.import(&[changed]).await;
    stage.changes(USER, Lane::Changes).await;
    let journal = stage.target.since(&mark);
    assert_eq!((journal.counts.total(), journal.counts.of("PATCH")), (1, 1), "{:?}", journal.counts);
    let body: Value = serde_json::from_slice(journal.entries[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(body["Operations"], json!([{ "op": "replace", "path": "title", "value": "Mover" }]));
}

#[tokio::test]
async fn a_removed_attribute_and_a_removed_member_are_sent() {
    let stage = Stage::new(Behaviour { journal_bodies: true, ..plain() }).await;
    stage.users(5).await;
    stage.import(&[team("Team", &names(5))]).await;
    stage.full_sync().await;
    let mut cleared = user(2);
    cleared["title"] = Value::Null;
    stage.import(&[cleared, team("Team", &names(4))]).await;
    let group = stage.id("Team").await;
    stage.store.mark(stage.provider, &[group]).await.unwrap();
    let counts = cost(&stage, async {
        stage.changes(USER, Lane::Changes).await;
        stage.changes(GROUP, Lane::Changes).await;
    })
    .await;
    assert_eq!((counts.total(), counts.of("PATCH")), (2, 2), "{counts:?}");
    assert!(stage.target.named(USER, "u0002")[0].get("title").is_none());
    assert_eq!(stage.target.named(GROUP, "Team")[0]["members"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_thousand_members_more_are_ten_patches_and_one_task() {
    let stage = Stage::new(plain()).await;
    stage.users(1_001).await;
    stage.import(&[team("Large", &names(1))]).await;
    stage.full_sync().await;
    stage.import(&[team("Large", &names(1_001))]).await;
    let group = stage.id("Large").await;
    stage.store.mark(stage.provider, &[group]).await.unwrap();
    let counts = cost(&stage, async { assert_eq!(stage.changes(GROUP, Lane::Changes).await, 1) }).await;
    assert_eq!((counts.total(), counts.of("PATCH")), (10, 10), "{counts:?}");
}
