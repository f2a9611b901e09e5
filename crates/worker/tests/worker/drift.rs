//! Drift (R22): what somebody changed at the provider is mended once, or only shown.

use scimfleet_core::ResourceKind;
use scimfleet_core::provider::Drift;
use scimfleet_core::state::LinkState;
use scimfleet_testkit::provider::{Behaviour, Returned};
use serde_json::json;

use crate::support::{Stage, group};

const USER: ResourceKind = ResourceKind::User;
const GROUP: ResourceKind = ResourceKind::Group;

/// A provider that lower-cases, adds and shows no versions: nothing of that is drift.
fn odd() -> Behaviour {
    let added = json!({ "nickName": "added" });
    Behaviour {
        etag: false,
        attributes_lower_cased: vec!["title".to_owned()],
        attributes_added: added.as_object().unwrap().clone(),
        ..Behaviour::default()
    }
}

fn account(stage: &Stage, name: &str) -> String {
    stage.target.named(USER, name)[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_change_of_what_we_send_is_mended_once() {
    for behaviour in [odd(), Behaviour::default()] {
        let stage = Stage::new(behaviour).await;
        stage.users(5).await;
        stage.full_sync().await;
        stage.full_sync().await;
        let account = account(&stage, "u0002");
        let tamper = || {
            let change = |document: &mut serde_json::Map<String, serde_json::Value>| {
                document.insert("title".to_owned(), json!("boss"));
            };
            stage.target.tamper(USER, &account, change).unwrap();
        };
        tamper();
        let mark = stage.target.mark();
        stage.full_sync().await;
        let counts = stage.target.counts_since(&mark);
        assert_eq!((counts.writes(), counts.of("PATCH")), (1, 1), "{counts:?}");
        let title = stage.target.resource(USER, &account).unwrap()["title"].as_str().unwrap().to_lowercase();
        assert_eq!(title, "engineer");
        // Whoever does the same again means it: the same state is mended once, and then only shown.
        stage.full_sync().await;
        tamper();
        let mark = stage.target.mark();
        stage.full_sync().await;
        assert_eq!(stage.target.counts_since(&mark).writes(), 0);
        assert!(stage.link("u0002").await.drifted);
    }
}

#[tokio::test]
async fn what_others_keep_there_is_theirs() {
    let stage = Stage::new(Behaviour::default()).await;
    stage.users(3).await;
    stage.full_sync().await;
    stage.full_sync().await;
    let account = account(&stage, "u0001");
    let change = |document: &mut serde_json::Map<String, serde_json::Value>| {
        document.insert("nickName".to_owned(), json!("Nick"));
    };
    stage.target.tamper(USER, &account, change).unwrap();
    let mark = stage.target.mark();
    stage.full_sync().await;
    assert_eq!(stage.target.counts_since(&mark).writes(), 0);
    assert_eq!(stage.target.resource(USER, &account).unwrap()["nickName"], "Nick");
    assert!(!stage.link("u0001").await.drifted);
}

#[tokio::test]
async fn drift_that_is_only_reported_is_seen_and_goes_away() {
    let stage = Stage::with(Behaviour::default(), |settings| settings.drift = Drift::Report).await;
    stage.users(3).await;
    stage.full_sync().await;
    stage.full_sync().await;
    let account = account(&stage, "u0001");
    let title = |text: &'static str| {
        move |document: &mut serde_json::Map<String, serde_json::Value>| {
            document.insert("title".to_owned(), json!(text));
        }
    };
    stage.target.tamper(USER, &account, title("boss")).unwrap();
    let mark = stage.target.mark();
    stage.full_sync().await;
    stage.full_sync().await;
    assert_eq!(stage.target.counts_since(&mark).writes(), 0);
    let link = stage.link("u0001").await;
    assert_eq!((link.state, link.drifted), (LinkState::InSync, true));
    let log = stage.store.log_of(&link.resource_id, None, 10).await.unwrap();
    let drift = log.iter().filter(|row| row.operation == "drift").count();
    assert_eq!(drift, 1, "it is told once: {log:?}");
    stage.target.tamper(USER, &account, title("Engineer")).unwrap();
    stage.full_sync().await;
    assert!(!stage.link("u0001").await.drifted);
}

#[tokio::test]
async fn a_member_taken_out_there_comes_back() {
    let stage = Stage::new(Behaviour::default()).await;
    stage.users(4).await;
    stage.import(&[group("Team", &["u0000", "u0001", "u0002"])]).await;
    stage.full_sync().await;
    stage.full_sync().await;
    let id = stage.target.named(GROUP, "Team")[0]["id"].as_str().unwrap().to_owned();
    let change = |document: &mut serde_json::Map<String, serde_json::Value>| {
        document["members"].as_array_mut().unwrap().remove(1);
    };
    stage.target.tamper(GROUP, &id, change).unwrap();
    let mark = stage.target.mark();
    stage.full_sync().await;
    let counts = stage.target.counts_since(&mark);
    assert_eq!((counts.writes(), counts.of("PATCH")), (1, 1), "{counts:?}");
    assert_eq!(stage.target.resource(GROUP, &id).unwrap()["members"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_provider_that_shows_no_members_has_no_drift_in_them() {
    for members_returned in [Returned::Absent, Returned::Null, Returned::Empty] {
        let stage = Stage::new(Behaviour { members_returned, ..Behaviour::default() }).await;
        stage.users(4).await;
        stage.import(&[group("Team", &["u0000", "u0001", "u0002"])]).await;
        for _ in 0..2 {
            stage.full_sync().await;
        }
        let mark = stage.target.mark();
        stage.full_sync().await;
        assert_eq!(stage.target.counts_since(&mark).writes(), 0, "{members_returned:?}");
    }
}
