//! Members of groups that come and go although nobody changes the group (R24).

use scimfleet_core::ResourceKind;
use scimfleet_core::state::LinkState;
use scimfleet_core::task::Lane;
use scimfleet_store::{HoldItem, Parked, Verdict, Wanted};
use scimfleet_testkit::provider::{Behaviour, Fault, Matcher};

use crate::support::{Stage, group, user};

const USER: ResourceKind = ResourceKind::User;
const GROUP: ResourceKind = ResourceKind::Group;

fn plain() -> Behaviour {
    Behaviour { bulk: false, ..Behaviour::default() }
}

/// The accounts in the group there, sorted.
fn members(stage: &Stage) -> Vec<String> {
    let shown = stage.target.named(GROUP, "Team").remove(0);
    let list = shown["members"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = list.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

async fn accounts(stage: &Stage, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(stage.link(name).await.remote_id.unwrap().to_string());
    }
    ids.sort();
    ids
}

async fn verdict(stage: &Stage, name: &str, wanted: Wanted) {
    let verdict = Verdict { resource_id: stage.id(name).await, kind: USER, wanted, changed: false };
    stage.store.apply_verdicts(stage.provider, &[verdict]).await.unwrap();
}

/// Three users in a group, all in step.
async fn team() -> Stage {
    let stage = Stage::new(plain()).await;
    stage.users(3).await;
    stage.import(&[group("Team", &["u0000", "u0001", "u0002"])]).await;
    stage.relay().await;
    stage.full_sync().await;
    assert_eq!(members(&stage), accounts(&stage, &["u0000", "u0001", "u0002"]).await);
    stage
}

/// Nothing but the members differs, and a provider that only takes whole groups was never sent one.
#[tokio::test]
async fn a_group_that_is_taken_over_gets_its_members_by_put() {
    let stage = Stage::new(Behaviour { patch: false, ..plain() }).await;
    stage.target.seed_group(serde_json::json!({ "displayName": "Team", "externalId": "Team" })).unwrap();
    stage.users(2).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[group("Team", &["u0000", "u0001"])]).await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(members(&stage), accounts(&stage, &["u0000", "u0001"]).await);
    assert_eq!(stage.link("Team").await.state, LinkState::InSync);
}

/// Reports to somebody who is out of scope, and comes into it.
#[tokio::test]
async fn a_manager_who_enters_the_scope_is_named() {
    let stage = Stage::new(plain()).await;
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let mut report = user(0);
    report[enterprise] = serde_json::json!({ "manager": { "value": "u0001" } });
    stage.import(&[report, user(1)]).await;
    stage.relay().await;
    verdict(&stage, "u0001", Wanted::OutOfScope).await;
    stage.changes(USER, Lane::Changes).await;
    let named = |stage: &Stage| stage.target.named(USER, "u0000")[0][enterprise]["manager"]["value"].clone();
    assert!(named(&stage).is_null());
    verdict(&stage, "u0001", Wanted::Yes).await;
    while stage.changes(USER, Lane::Changes).await > 0 {}
    assert_eq!(named(&stage), stage.link("u0001").await.remote_id.unwrap().as_str());
}

/// The account is about to be deleted, and its name goes to somebody new.
#[tokio::test]
async fn a_name_that_a_leaver_still_holds_is_waited_for() {
    let stage = Stage::new(plain()).await;
    stage.users(1).await;
    stage.changes(USER, Lane::Changes).await;
    stage.store.delete_resources(&[stage.id("u0000").await]).await.unwrap();
    stage.relay().await;
    let mut new = user(0);
    new["externalId"] = "new".into();
    stage.import(&[new]).await;
    stage.relay().await;
    // Whoever is wanted comes first here.
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.link("new").await.state, LinkState::Retrying);
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.link("new").await.state, LinkState::InSync);
}

#[tokio::test]
async fn a_member_that_was_parked_arrives_by_itself() {
    let stage = Stage::new(plain()).await;
    stage.users(2).await;
    stage.target.script(Matcher::on("POST", "/Users").times(1), Fault::Status(400));
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.links(LinkState::Parked).await, 1);
    stage.import(&[group("Team", &["u0000", "u0001"])]).await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(members(&stage).len(), 1);
    assert_eq!(stage.link("Team").await.state, LinkState::InSync, "a parked member is not waited for");
    stage.store.retry_parked(&Parked::default()).await.unwrap();
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.changes(GROUP, Lane::Changes).await, 1);
    assert_eq!(members(&stage), accounts(&stage, &["u0000", "u0001"]).await);
}

#[tokio::test]
async fn an_inactive_member_arrives_with_its_account() {
    let stage = Stage::new(plain()).await;
    let mut inactive = user(1);
    inactive["active"] = false.into();
    stage.import(&[user(0), inactive]).await;
    stage.import(&[group("Team", &["u0000", "u0001"])]).await;
    stage.full_sync().await;
    assert_eq!(members(&stage), accounts(&stage, &["u0000"]).await);
    stage.import(&[user(1)]).await;
    stage.relay().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.changes(GROUP, Lane::Changes).await, 1);
    assert_eq!(members(&stage), accounts(&stage, &["u0000", "u0001"]).await);
}

#[tokio::test]
async fn who_leaves_the_scope_leaves_the_groups_and_comes_back_to_them() {
    let stage = team().await;
    verdict(&stage, "u0001", Wanted::OutOfScope).await;
    stage.changes(USER, Lane::Leavers).await;
    assert_eq!(stage.changes(GROUP, Lane::Leavers).await, 1);
    assert_eq!(members(&stage), accounts(&stage, &["u0000", "u0002"]).await);
    verdict(&stage, "u0001", Wanted::Yes).await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.changes(GROUP, Lane::Changes).await, 1);
    assert_eq!(members(&stage), accounts(&stage, &["u0000", "u0001", "u0002"]).await);
    assert_eq!(stage.changes(GROUP, Lane::Changes).await, 0);
    stage.assert_well_formed();
}

#[tokio::test]
async fn whom_the_guard_holds_stays_in_the_groups() {
    let stage = team().await;
    verdict(&stage, "u0001", Wanted::OutOfScope).await;
    let id = stage.id("u0001").await;
    let marked = 0;
    let item = HoldItem { resource_id: id, kind: USER, name: String::new(), operation: String::new(), marked };
    stage.store.withhold(stage.provider, None, "a test", &[item]).await.unwrap();
    let team = stage.id("Team").await;
    stage.store.mark(stage.provider, &[team]).await.unwrap();
    assert_eq!(stage.changes(GROUP, Lane::Changes).await, 1);
    assert_eq!(members(&stage).len(), 3);
}

#[tokio::test]
async fn an_account_that_is_made_again_is_a_member_again() {
    let stage = team().await;
    let lost = stage.link("u0001").await.remote_id.unwrap();
    stage.target.remove(USER, lost.as_str()).unwrap();
    let id = stage.id("u0001").await;
    for _ in 0..3 {
        stage.store.mark(stage.provider, std::slice::from_ref(&id)).await.unwrap();
        stage.store.mark_missing(stage.provider, std::slice::from_ref(&id)).await.unwrap();
        stage.changes(USER, Lane::Changes).await;
        stage.changes(GROUP, Lane::Changes).await;
        stage.no_more_waiting().await;
    }
    let again = stage.link("u0001").await.remote_id.unwrap();
    assert_ne!(again, lost);
    assert!(members(&stage).contains(&again.to_string()), "{:?} lacks {again}", members(&stage));
    assert!(!members(&stage).contains(&lost.to_string()));
}

#[tokio::test]
async fn members_that_join_and_leave_are_one_look_at_those() {
    let stage = team().await;
    stage.import(&[user(3), group("Team", &["u0000", "u0002", "u0003"])]).await;
    stage.relay().await;
    stage.changes(USER, Lane::Changes).await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(members(&stage), accounts(&stage, &["u0000", "u0002", "u0003"]).await);
    let team = stage.id("Team").await;
    assert_eq!(stage.store.owed_members(stage.provider, &[team]).await.unwrap(), []);
}

#[tokio::test]
async fn members_that_could_not_be_sent_stay_owed() {
    let stage = team().await;
    stage.import(&[group("Team", &["u0000"])]).await;
    stage.relay().await;
    stage.target.script(Matcher::on("PATCH", "/Groups").times(1), Fault::Status(503));
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(members(&stage).len(), 3);
    stage.store.retry_parked(&Parked::default()).await.unwrap();
    let team = stage.id("Team").await;
    assert_eq!(stage.store.owed_members(stage.provider, &[team]).await.unwrap().len(), 2);
    stage.no_more_waiting().await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(members(&stage), accounts(&stage, &["u0000"]).await);
}
