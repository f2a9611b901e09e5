//! Writes whose answer was lost, and whose reason is gone before anybody learns whether they were applied (R20).

use std::time::Duration;

use scimfleet_core::ResourceKind;
use scimfleet_core::provider::LeaverAction;
use scimfleet_core::state::LinkState;
use scimfleet_core::task::Lane;
use scimfleet_store::{Verdict, Wanted};
use scimfleet_testkit::provider::{Behaviour, Fault, Matcher};
use serde_json::{Value, json};

use crate::support::{Stage, group, user};

const USER: ResourceKind = ResourceKind::User;
const GROUP: ResourceKind = ResourceKind::Group;

/// What a provider may do with a request that it does not answer.
const LOST: [Fault; 2] = [Fault::DropAnswerAfterApplying, Fault::ResetBeforeApplying];

async fn stage() -> Stage {
    Stage::new(Behaviour { bulk: false, ..Behaviour::default() }).await
}

fn with(attribute: &str, value: Value) -> Value {
    let mut user = user(0);
    user[attribute] = value;
    user
}

/// Sends `edit` and loses the answer, then sends `after`; returns what the provider holds.
async fn taken_back(fault: &Fault, before: Value, edit: Value, after: Value) -> Value {
    let stage = stage().await;
    stage.import(&[before]).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[edit]).await;
    stage.target.script(Matcher::on("PATCH", "/Users").times(1), fault.clone());
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.links(LinkState::Retrying).await, 1, "{fault:?}");
    stage.import(&[after]).await;
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.links(LinkState::InSync).await, 1, "{fault:?}");
    let mark = stage.target.mark();
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.counts_since(&mark).total(), 0, "nothing is in doubt any more");
    stage.target.named(USER, "u0000").remove(0)
}

#[tokio::test]
async fn an_edit_that_was_taken_back_is_taken_back_there() {
    for fault in &LOST {
        let there = taken_back(fault, user(0), with("title", json!("Lost")), user(0)).await;
        assert_eq!(there["title"], "Engineer", "{fault:?}");
        let there = taken_back(fault, user(0), with("nickName", json!("Lost")), with("nickName", Value::Null)).await;
        assert!(there.get("nickName").is_none(), "{fault:?}: {there}");
        let there = taken_back(fault, user(0), with("active", json!(false)), user(0)).await;
        assert_eq!(there["active"], true, "{fault:?}");
        let there = taken_back(fault, user(0), with("title", json!("Lost")), with("locale", json!("de"))).await;
        assert_eq!((&there["title"], &there["locale"]), (&json!("Engineer"), &json!("de")), "{fault:?}");
    }
}

/// The next write is refused for its version, which says nothing of the one before; then the edit is taken back.
#[tokio::test]
async fn a_refused_write_does_not_settle_the_one_before() {
    let stage = stage().await;
    stage.users(1).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[with("title", json!("Lost"))]).await;
    let patch = || Matcher::on("PATCH", "/Users").times(1);
    stage.target.script(patch(), Fault::DropAnswerAfterApplying);
    stage.changes(USER, Lane::Changes).await;
    stage.target.script(patch(), Fault::Status(412));
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.links(LinkState::Pending).await, 1);
    stage.import(&[user(0)]).await;
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.named(USER, "u0000")[0]["title"], "Engineer");
}

#[tokio::test]
async fn an_edit_that_still_holds_is_sent_again_without_a_look() {
    let stage = stage().await;
    stage.users(1).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[with("title", json!("New"))]).await;
    stage.target.script(Matcher::on("PATCH", "/Users").times(1), Fault::DropAnswerAfterApplying);
    stage.changes(USER, Lane::Changes).await;
    let mark = stage.target.mark();
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.target.counts_since(&mark).of("GET"), 0);
    assert_eq!(stage.target.named(USER, "u0000")[0]["title"], "New");
}

#[tokio::test]
async fn a_reactivation_that_was_lost_does_not_outlive_its_user() {
    let stage = stage().await;
    stage.users(1).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[with("active", json!(false))]).await;
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[user(0)]).await;
    stage.target.script(Matcher::on("PATCH", "/Users").times(1), Fault::DropAnswerAfterApplying);
    stage.changes(USER, Lane::Changes).await;
    let verdict =
        Verdict { resource_id: stage.id("u0000").await, kind: USER, wanted: Wanted::OutOfScope, changed: false };
    stage.store.apply_verdicts(stage.provider, &[verdict]).await.unwrap();
    stage.changes(USER, Lane::Leavers).await;
    assert_eq!(stage.target.named(USER, "u0000")[0]["active"], false);
}

/// A create whose answer is lost, and an end of the user before it is looked at again.
async fn end_of_a_lost_create(fault: &Fault, behaviour: Behaviour, end: impl AsyncFnOnce(&Stage)) -> Stage {
    let stage = Stage::new(behaviour).await;
    stage.users(1).await;
    stage.target.script(Matcher::on("POST", "/Users").times(1), fault.clone());
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.links(LinkState::Retrying).await, 1, "{fault:?}");
    end(&stage).await;
    for _ in 0..4 {
        stage.no_more_waiting().await;
        stage.changes(USER, Lane::Leavers).await;
    }
    stage
}

#[tokio::test]
async fn a_user_deleted_while_its_create_is_uncertain_keeps_no_account() {
    for fault in &LOST {
        let plain = Behaviour { bulk: false, ..Behaviour::default() };
        let stage = end_of_a_lost_create(fault, plain.clone(), async |stage| {
            let id = stage.id("u0000").await;
            stage.store.delete_resources(&[id]).await.unwrap();
            stage.store.want_everything(stage.provider).await.unwrap();
        })
        .await;
        assert_eq!((stage.target.users_count(), stage.links(LinkState::Gone).await), (0, 1), "{fault:?}");
        let stage = end_of_a_lost_create(fault, plain, async |stage| {
            stage.import(&[with("active", json!(false))]).await;
        })
        .await;
        let active: Vec<Value> = stage.target.named(USER, "u0000").iter().map(|user| user["active"].clone()).collect();
        let expected = if *fault == LOST[0] { vec![json!(false)] } else { Vec::new() };
        assert_eq!(active, expected, "{fault:?}: an inactive user has no account, or one that is turned off");
    }
}

/// The account is all that is known of a user out of scope. It is turned off by a PUT of what it shows, without what
/// nobody may set (RFC 7643 §3.1).
#[tokio::test]
async fn an_account_that_is_turned_off_as_it_was_found_is_sent_nothing_that_is_read_only() {
    let behaviour = Behaviour { bulk: false, patch: false, journal_bodies: true, ..Behaviour::default() };
    let stage = end_of_a_lost_create(&LOST[0], behaviour, async |stage| {
        let resource_id = stage.id("u0000").await;
        let verdict = Verdict { resource_id, kind: USER, wanted: Wanted::OutOfScope, changed: false };
        stage.store.apply_verdicts(stage.provider, &[verdict]).await.unwrap();
    })
    .await;
    assert_eq!(stage.target.named(USER, "u0000")[0]["active"], false);
    let journal = stage.target.journal();
    let put = journal.matching("PUT", "/Users").next().and_then(|entry| entry.body.clone()).unwrap();
    let put: Value = serde_json::from_slice(&put).unwrap();
    assert_eq!((&put["title"], &put["active"], &put["meta"]), (&json!("Engineer"), &json!(false), &Value::Null));
}

/// A group of one whose members' change is lost and taken back.
async fn members_taken_back(fault: &Fault, before: &[&str], lost: &[&str]) {
    let stage = stage().await;
    stage.users(3).await;
    stage.import(&[group("Team", before)]).await;
    stage.full_sync().await;
    stage.relay().await;
    stage.changes(GROUP, Lane::Changes).await;
    stage.import(&[group("Team", lost)]).await;
    stage.relay().await;
    stage.target.script(Matcher::on("PATCH", "/Groups").times(1), fault.clone());
    stage.changes(GROUP, Lane::Changes).await;
    stage.import(&[group("Team", before)]).await;
    stage.relay().await;
    stage.no_more_waiting().await;
    stage.changes(GROUP, Lane::Changes).await;
    let shown = stage.target.named(GROUP, "Team").remove(0)["members"].as_array().cloned().unwrap_or_default();
    assert_eq!(shown.len(), before.len(), "{fault:?} {before:?} {lost:?}: {shown:?}");
    assert_eq!(stage.link("Team").await.state, LinkState::InSync, "{fault:?}");
}

#[tokio::test]
async fn members_that_were_taken_back_are_taken_back_there() {
    for fault in &LOST {
        members_taken_back(fault, &["u0000"], &["u0000", "u0001"]).await;
        members_taken_back(fault, &["u0000", "u0001"], &["u0000"]).await;
    }
}

/// Where groups are flattened, who joined an inner group was perhaps sent with the outer one, and left before anybody knew.
#[tokio::test]
async fn whoever_left_an_inner_group_meanwhile_leaves_the_outer_one() {
    for fault in &LOST {
        let stage = Stage::with(Behaviour { bulk: false, nested_groups: false, ..Behaviour::default() }, |settings| {
            settings.profile_override.insert("nested_groups".to_owned(), "flatten".into());
        })
        .await;
        stage.users(2).await;
        stage.import(&[group("Inner", &[]), group("Outer", &["Inner", "u0001"])]).await;
        stage.changes(USER, Lane::Changes).await;
        stage.changes(GROUP, Lane::Changes).await;
        stage.relay().await;
        stage.changes(GROUP, Lane::Changes).await;
        let outer = [stage.id("Outer").await];
        let members = || stage.target.named(GROUP, "Outer")[0]["members"].as_array().cloned().unwrap_or_default();
        assert_eq!(members().len(), 1);
        stage.import(&[group("Inner", &["u0000"])]).await;
        stage.relay().await;
        stage.store.mark(stage.provider, &outer).await.unwrap();
        stage.target.script(Matcher::on("PATCH", "/Groups").times(2), fault.clone());
        stage.changes(GROUP, Lane::Changes).await;
        assert_eq!(stage.link("Outer").await.state, LinkState::Retrying, "{fault:?}");
        stage.import(&[group("Inner", &[])]).await;
        stage.relay().await;
        stage.no_more_waiting().await;
        stage.changes(GROUP, Lane::Changes).await;
        assert_eq!((members().len(), stage.links(LinkState::InSync).await), (1, 4), "{fault:?}");
    }
}

/// Its name is seen at the provider; the member that it may have been sent before is still to be taken out.
#[tokio::test]
async fn what_a_group_shows_of_itself_does_not_settle_its_members() {
    let stage = Stage::new(Behaviour { bulk: false, etag: false, ..Behaviour::default() }).await;
    stage.users(1).await;
    stage.import(&[group("G", &[])]).await;
    stage.changes(USER, Lane::Changes).await;
    stage.changes(GROUP, Lane::Changes).await;
    let step = async |document: Value| {
        stage.import(&[document]).await;
        stage.relay().await;
        stage.no_more_waiting().await;
        stage.changes(GROUP, Lane::Changes).await;
    };
    let patch = || Matcher::on("PATCH", "/Groups");
    stage.target.script(patch().times(1), Fault::DropAnswerAfterApplying);
    step(group("G", &["u0000"])).await;
    // The new name gets through, the removal does not; then the name is looked at, and the removal fails again.
    stage.target.script(patch().nth(2).times(2), Fault::Throttled("1".to_owned()));
    let mut renamed = group("G", &[]);
    renamed["displayName"] = json!("Renamed");
    step(renamed).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stage.no_more_waiting().await;
        stage.changes(GROUP, Lane::Changes).await;
    }
    assert_eq!(stage.target.journal().counts.answered(429), 2);
    assert_eq!(stage.target.named(GROUP, "Renamed")[0]["members"], json!([]));
    assert_eq!(stage.links(LinkState::InSync).await, 2);
}

/// The create was applied and its answer lost. When the account is found, whoever waited for it is looked at again.
#[tokio::test]
async fn an_account_that_is_found_after_a_lost_create_has_arrived() {
    let stage = stage().await;
    stage.users(1).await;
    stage.target.script(Matcher::on("POST", "/Users").times(1), Fault::DropAnswerAfterApplying);
    stage.changes(USER, Lane::Changes).await;
    stage.import(&[group("Team", &["u0000"])]).await;
    stage.changes(GROUP, Lane::Changes).await;
    assert_eq!(stage.link("Team").await.state, LinkState::Waiting);
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!(stage.link("u0000").await.state, LinkState::InSync);
    stage.changes(GROUP, Lane::Changes).await;
    let members = stage.target.named(GROUP, "Team")[0]["members"].as_array().map_or(0, Vec::len);
    assert_eq!((stage.link("Team").await.state, members), (LinkState::InSync, 1));
}

/// The group was perhaps created with a member who left before anybody knew.
#[tokio::test]
async fn who_left_while_the_create_of_a_group_was_uncertain_is_taken_out_of_it() {
    for fault in &LOST {
        let stage = stage().await;
        stage.users(2).await;
        stage.changes(USER, Lane::Changes).await;
        stage.import(&[group("Team", &["u0000", "u0001"])]).await;
        stage.target.script(Matcher::on("POST", "/Groups").times(1), fault.clone());
        stage.changes(GROUP, Lane::Changes).await;
        let resource_id = stage.id("u0000").await;
        let verdict = Verdict { resource_id, kind: USER, wanted: Wanted::OutOfScope, changed: false };
        stage.store.apply_verdicts(stage.provider, &[verdict]).await.unwrap();
        stage.changes(USER, Lane::Leavers).await;
        stage.no_more_waiting().await;
        stage.changes(GROUP, Lane::Changes).await;
        let members = stage.target.named(GROUP, "Team")[0]["members"].as_array().map_or(0, Vec::len);
        assert_eq!((stage.link("Team").await.state, members), (LinkState::InSync, 1), "{fault:?}");
    }
}

/// The account was perhaps deleted when its user came back.
#[tokio::test]
async fn who_comes_back_while_the_deletion_is_uncertain_has_an_account() {
    for fault in &LOST {
        let stage = Stage::with(Behaviour { bulk: false, ..Behaviour::default() }, |settings| {
            settings.leavers.out_of_scope = LeaverAction::Delete;
        })
        .await;
        stage.users(1).await;
        stage.changes(USER, Lane::Changes).await;
        let resource_id = stage.id("u0000").await;
        let verdict = |wanted| Verdict { resource_id: resource_id.clone(), kind: USER, wanted, changed: false };
        stage.store.apply_verdicts(stage.provider, &[verdict(Wanted::OutOfScope)]).await.unwrap();
        stage.target.script(Matcher::on("DELETE", "/Users").times(1), fault.clone());
        stage.changes(USER, Lane::Leavers).await;
        stage.store.apply_verdicts(stage.provider, &[verdict(Wanted::Yes)]).await.unwrap();
        stage.no_more_waiting().await;
        stage.changes(USER, Lane::Changes).await;
        stage.no_more_waiting().await;
        stage.changes(USER, Lane::Changes).await;
        assert_eq!((stage.target.users_count(), stage.links(LinkState::InSync).await), (1, 1), "{fault:?}");
    }
}

/// The create was perhaps applied with something that is not wanted by the time that its account is found.
#[tokio::test]
async fn what_an_uncertain_create_gave_is_taken_away() {
    for fault in &LOST {
        let stage = stage().await;
        stage.import(&[with("nickName", json!("Lost"))]).await;
        stage.target.script(Matcher::on("POST", "/Users").times(1), fault.clone());
        stage.changes(USER, Lane::Changes).await;
        stage.import(&[with("nickName", Value::Null)]).await;
        stage.no_more_waiting().await;
        stage.changes(USER, Lane::Changes).await;
        let there = stage.target.named(USER, "u0000").remove(0);
        assert_eq!((&there["nickName"], stage.links(LinkState::InSync).await), (&Value::Null, 1), "{fault:?}: {there}");
        let mark = stage.target.mark();
        stage.full_sync().await;
        assert_eq!(stage.target.counts_since(&mark).writes(), 0);
    }
}
