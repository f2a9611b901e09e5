//! The trace of a change goes with it to the broker, however long it waits.

use scimfleet_core::ProviderName;
use scimfleet_core::task::Lane;
use scimfleet_scheduler::open_run;
use scimfleet_store::traced;
use serde_json::json;

use crate::stage::Stage;

const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_waits_until_a_run_is_open_keeps_its_trace() {
    let mut stage = Stage::new().await;
    let (_, _) = stage.provider_with("large", "anna").await;
    let (_, _) = stage.provider_with("small", "berta").await;
    let large = ProviderName::parse("large").unwrap();
    *stage.queue.slow.lock().unwrap() = Some(large.clone());
    open_run(&stage.store, &large).await.unwrap();
    stage.start();
    stage.published(|one| one.provider == large).await;
    traced(Some(GIVEN.to_owned()), stage.import([json!({ "userName": "newcomer" })].into_iter())).await;
    // Providers come by name: the round that finds the gate of this one closed goes on to the other.
    let elsewhere = stage.published(|one| one.lane == Lane::Changes).await;
    assert_eq!((elsewhere.provider.as_str(), elsewhere.traceparent.as_deref()), ("small", Some(GIVEN)));
    *stage.queue.slow.lock().unwrap() = None;
    stage.queue.confirm.notify_waiters();
    let seen = stage.published(|one| one.lane == Lane::Changes && one.provider == large).await;
    assert_eq!(seen.traceparent.as_deref(), Some(GIVEN));
    stage.drain.begin();
}
