//! 404 and 403 (R30): one object's own affair, or the whole provider's.

use scimfleet_core::ResourceKind;
use scimfleet_core::state::{LinkState, ParkReason, ProviderState};
use scimfleet_core::task::Lane;
use scimfleet_testkit::provider::{Behaviour, Fault, Matcher};
use serde_json::{Value, json};

use crate::support::{Stage, user};

const USER: ResourceKind = ResourceKind::User;

fn titled(index: usize) -> Value {
    let mut user = user(index);
    user["title"] = json!("Mover");
    user
}

async fn state(stage: &Stage) -> ProviderState {
    stage.store.providers().await.unwrap().remove(0).state
}

/// Users that are there, and a change for each.
async fn movers(count: usize) -> Stage {
    let plain = Behaviour { bulk: false, ..Behaviour::default() };
    let stage = Stage::new(plain).await;
    stage.users(count).await;
    stage.changes(USER, Lane::Changes).await;
    let changed: Vec<Value> = (0..count).map(titled).collect();
    stage.import(&changed).await;
    stage
}

#[tokio::test]
async fn a_page_that_says_404_to_everything_loses_no_link() {
    for fault in [Fault::HtmlPage(404), Fault::Status(404), Fault::Body(404, "{}".to_owned())] {
        let stage = movers(20).await;
        stage.target.script(Matcher::any().times(Matcher::EVER), fault.clone());
        let mark = stage.target.mark();
        stage.changes(USER, Lane::Changes).await;
        assert_eq!(stage.target.counts_since(&mark).of("POST"), 0, "{fault:?}");
        assert_eq!(state(&stage).await, ProviderState::Degraded, "{fault:?}");
        let counts = stage.store.link_counts(stage.provider).await.unwrap();
        assert_eq!(counts.owned, 20, "{fault:?}");
        stage.target.clear_script();
        stage.store.set_provider_state(stage.provider, ProviderState::Active, None).await.unwrap();
        stage.no_more_waiting().await;
        stage.changes(USER, Lane::Changes).await;
        assert_eq!(stage.links(LinkState::InSync).await, 20, "{fault:?}");
        assert_eq!(stage.target.users_count(), 20, "{fault:?}");
    }
}

#[tokio::test]
async fn a_few_accounts_that_are_gone_are_made_again() {
    let stage = movers(20).await;
    for name in ["u0003", "u0004"] {
        let id = stage.target.named(USER, name)[0]["id"].as_str().unwrap().to_owned();
        stage.target.remove(USER, &id).unwrap();
    }
    stage.changes(USER, Lane::Changes).await;
    stage.no_more_waiting().await;
    stage.changes(USER, Lane::Changes).await;
    assert_eq!((state(&stage).await, stage.target.users_count()), (ProviderState::Active, 20));
    assert_eq!(stage.links(LinkState::InSync).await, 20);
}

#[tokio::test]
async fn a_protected_account_is_parked_and_the_others_are_done() {
    let stage = movers(12).await;
    let id = stage.target.named(USER, "u0007")[0]["id"].as_str().unwrap().to_owned();
    stage.target.script(Matcher::on("PATCH", &id).times(Matcher::EVER), Fault::Status(403));
    stage.changes(USER, Lane::Changes).await;
    let link = stage.link("u0007").await;
    assert_eq!((link.state, link.park_reason.map(ParkReason::as_str)), (LinkState::Parked, Some("refused")));
    assert_eq!((stage.links(LinkState::InSync).await, state(&stage).await), (11, ProviderState::Active));
}

#[tokio::test]
async fn a_provider_that_refuses_everything_parks_nobody() {
    let stage = movers(12).await;
    stage.target.script(Matcher::any().times(Matcher::EVER), Fault::Status(403));
    stage.changes(USER, Lane::Changes).await;
    assert_eq!((stage.links(LinkState::Parked).await, state(&stage).await), (0, ProviderState::Degraded));
}
