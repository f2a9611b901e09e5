//! Leavers overtake a sync that uses all that a provider allows; at providers that are set aside they are tried
//! with each probe, straight from the database.

use std::time::Duration;

use scimfleet_core::state::ProviderState;
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{ResourceKind, TaskId};
use scimfleet_testkit::provider::{Behaviour, Fault, Matcher};
use scimfleet_worker::probe::probe;
use scimfleet_worker::{TaskOutcome, process};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Stage, name, user};

const USER: ResourceKind = ResourceKind::User;

/// Ten leavers that a degraded provider owes.
async fn degraded() -> Stage {
    let stage = Stage::new(Behaviour { bulk: false, ..Behaviour::default() }).await;
    stage.users(40).await;
    stage.changes(USER, Lane::Changes).await;
    let mut gone = Vec::new();
    for index in 0..10 {
        gone.push(stage.id(&format!("u{index:04}")).await);
    }
    stage.store.delete_resources(&gone).await.unwrap();
    stage.store.want_everything(stage.provider).await.unwrap();
    stage.store.set_provider_state(stage.provider, ProviderState::Degraded, Some("down")).await.unwrap();
    stage
}

async fn probed(stage: &Stage) -> (bool, u64) {
    let row = stage.store.providers().await.unwrap().remove(0);
    let mark = stage.target.mark();
    let back = probe(&stage.worker, row, Duration::from_secs(60)).await.unwrap();
    (back, stage.target.counts_since(&mark).of("DELETE"))
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_for_one_leaver() {
    let stage = degraded().await;
    stage.target.script(Matcher::any().times(Matcher::EVER), Fault::Status(503));
    assert_eq!(probed(&stage).await, (false, 1));
    assert_eq!(probed(&stage).await, (false, 1), "another one, since the first is due later");
    assert_eq!(stage.target.users_count(), 40);
}

#[tokio::test]
async fn leavers_go_through_though_discovery_does_not() {
    let stage = degraded().await;
    stage.target.script(Matcher::on("GET", "/").times(Matcher::EVER), Fault::Status(503));
    assert_eq!(probed(&stage).await, (false, 10));
    assert_eq!(stage.target.users_count(), 30);
    let row = stage.store.providers().await.unwrap().remove(0);
    assert_eq!(row.state, ProviderState::Degraded, "everything else waits until it is back");
}

#[tokio::test]
async fn a_provider_that_is_back_is_active_and_gets_its_leavers_by_the_lane() {
    let stage = degraded().await;
    assert_eq!(probed(&stage).await, (true, 0));
    let row = stage.store.providers().await.unwrap().remove(0);
    assert_eq!(row.state, ProviderState::Active);
    stage.changes(USER, Lane::Leavers).await;
    assert_eq!(stage.target.users_count(), 30);
}

/// R27: neither the places among a provider's requests nor its rate are taken wholly by a full sync.
#[tokio::test]
async fn a_leaver_does_not_stand_behind_a_sync_that_waits_for_the_rate() {
    const USERS: usize = 60;
    let behaviour = Behaviour { bulk: false, ..Behaviour::default() };
    let stage = Stage::with(behaviour, |settings| {
        settings.rate = Some("20/s".to_owned());
        settings.in_flight = 4;
    })
    .await;
    stage.users(1).await;
    stage.changes(USER, Lane::Changes).await;
    stage.users(USERS + 1).await;
    let leave = async {
        while stage.target.users_count() < USERS / 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut gone = user(0);
        gone["active"] = json!(false);
        stage.import(&[gone]).await;
        let ids = vec![stage.id("u0000").await];
        let task = Task::new(TaskId(Uuid::now_v7()), None, name(), USER, Lane::Leavers, Cause::Change, ids);
        assert_eq!(process(&stage.worker, &task, None).await, TaskOutcome::Completed);
        let out = stage.target.with_external_id(USER, "u0000").remove(0);
        assert_eq!(out["active"], json!(false));
        stage.target.users_count()
    };
    let (_, there) = tokio::join!(stage.changes(USER, Lane::Sync), leave);
    assert!(there < USERS * 3 / 4, "{there} users came first");
    assert_eq!(stage.target.users_count(), USERS + 1);
}
