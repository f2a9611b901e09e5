//! Leavers first: neither a large import nor the opening of a run keeps one waiting.

use scimfleet_core::ProviderName;
use scimfleet_core::task::Lane;
use scimfleet_scheduler::open_run;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaver_does_not_wait_for_the_import_that_came_before() {
    let mut stage = Stage::new().await;
    let (_, leaver) = stage.provider_with("acme", "leaver").await;
    stage.import((0..2_000).map(|n| json!({ "userName": format!("newcomer{n}") }))).await;
    stage.import([json!({ "userName": "leaver", "active": false })].into_iter()).await;
    stage.start();
    let first = stage.published(|_| true).await;
    assert_eq!((first.lane, &first.objects), (Lane::Leavers, &vec![leaver]));
    assert!(first.behind >= 1_000, "{} changes wait behind it", first.behind);
    stage.drain.begin();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaver_does_not_wait_for_a_run_that_is_being_opened_elsewhere() {
    let mut stage = Stage::new().await;
    let (_, leaver) = stage.provider_with("acme", "leaver").await;
    let (_, _) = stage.provider_with("large", "other").await;
    let large = ProviderName::parse("large").unwrap();
    *stage.queue.slow.lock().unwrap() = Some(large.clone());
    open_run(&stage.store, &large).await.unwrap();
    stage.start();
    stage.published(|one| one.provider == large).await;
    stage.import([json!({ "userName": "leaver", "active": false })].into_iter()).await;
    let seen = stage.published(|one| one.lane == Lane::Leavers).await;
    assert_eq!((seen.provider.as_str(), &seen.objects), ("acme", &vec![leaver]));
    stage.queue.confirm.notify_waiters();
    stage.drain.begin();
}
