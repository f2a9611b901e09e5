//! What one member more costs, from the database on: the same in a small group and in a large one (R1). A
//! process of its own, because it listens to the driver's log.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that cannot go on has failed; the helpers are shared")]

#[path = "worker/support.rs"]
mod support;

use std::time::Duration;

use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{RemoteId, ResourceKind, TaskId};
use scimfleet_store::TakenLink;
use scimfleet_testkit::provider::{Behaviour, Counts};
use scimfleet_testkit::statements::{self, Cost};
use scimfleet_worker::{TaskOutcome, process};
use serde_json::Value;
use support::{Stage, group, name, user};

const SMALL: usize = 100;
const LARGE: usize = 20_000;
/// Statements by which a connection that the pool opens meanwhile sets itself up, a row each at the most.
const SETUP: u64 = 8;

/// Users who have their accounts, as if they had been sent.
async fn settled(stage: &Stage, count: usize) {
    let documents: Vec<Value> = (0..count).map(user).collect();
    for batch in documents.chunks(5_000) {
        stage.import(batch).await;
    }
    let mut links = Vec::with_capacity(count);
    let ids = stage.store.ids_of_source("test", None, 1_000_000).await.unwrap();
    let rows = stage.store.resources(&ids).await.unwrap();
    for row in rows {
        let account = stage.target.seed_user(Value::Object(row.document.clone())).unwrap();
        links.push(TakenLink {
            resource_id: row.id,
            kind: ResourceKind::User,
            remote_id: RemoteId::parse(account).unwrap(),
            sent_digest: "as it was sent".to_owned(),
            sent_document: "{}".to_owned(),
        });
    }
    assert_eq!(stage.store.take_over(stage.provider, &links).await.unwrap().len(), count);
    stage.store.relay(&stage.store.outbox(1_000_000).await.unwrap(), &[]).await.unwrap();
}

async fn group_task(stage: &Stage) {
    let id = stage.id("Team").await;
    let task = Task::new(
        TaskId(uuid::Uuid::now_v7()),
        None,
        name(),
        ResourceKind::Group,
        Lane::Changes,
        Cause::Change,
        vec![id],
    );
    assert_eq!(process(&stage.worker, &task, None).await, TaskOutcome::Completed);
}

/// A group of so many; then one more joins, and one leaves: what each costs, and what is sent.
async fn one_more_and_one_less(size: usize) -> Vec<(Cost, Counts)> {
    let stage = Stage::new(Behaviour { bulk: false, ..Behaviour::default() }).await;
    settled(&stage, size + 1).await;
    let names: Vec<String> = (0..=size).map(|index| format!("u{index:04}")).collect();
    let team = |count: usize| group("Team", &names[..count].iter().map(String::as_str).collect::<Vec<_>>());
    stage.import(&[team(size)]).await;
    stage.relay().await;
    group_task(&stage).await;
    // From here on only what is noted is read; that this is by whole keys is held by the store's test of plans.
    let id = stage.id("Team").await;
    let (claimed, _) = stage.store.claim(stage.provider, "test", &[id], Duration::ZERO).await.unwrap();
    assert!(!claimed[0].members_whole, "all members would be compared");
    let mut costs = Vec::new();
    for count in [size + 1, size] {
        stage.import(&[team(count)]).await;
        let mark = stage.target.mark();
        statements::take();
        stage.relay().await;
        group_task(&stage).await;
        costs.push((statements::take(), stage.target.counts_since(&mark)));
        let shown = stage.target.named(ResourceKind::Group, "Team").remove(0);
        assert_eq!(shown["members"].as_array().unwrap().len(), count);
    }
    costs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_more_costs_the_same_in_a_large_group() {
    statements::listen();
    let small = one_more_and_one_less(SMALL).await;
    let large = one_more_and_one_less(LARGE).await;
    println!("{SMALL} members: {small:?}\n{LARGE} members: {large:?}");
    for ((few, sent_few), (many, sent_many)) in small.iter().zip(&large) {
        assert!(few.statements > 0 && few.rows > 0, "nothing was heard: {few:?}");
        assert!(many.statements <= few.statements + SETUP && many.rows <= few.rows + SETUP, "{few:?} became {many:?}");
        for sent in [sent_few, sent_many] {
            assert_eq!((sent.total(), sent.of("PATCH")), (1, 1), "{sent:?}");
        }
    }
}
