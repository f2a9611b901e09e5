//! Services to test against, seen by two workers at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{Client, cmd};
use scimfleet_coordination::{Coordination, Heartbeat, MemoryCoordination, Rate, connect};
use scimfleet_core::ProviderName;
use uuid::Uuid;

/// Far longer than anything takes on a slow machine: it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// The epoch's file, which Redis makes unnecessary.
pub(crate) const NOWHERE: &str = "/nowhere/scimfleet.epoch";

/// Two views of one service, as two workers have them.
pub(crate) struct Bench {
    pub(crate) one: Arc<dyn Coordination>,
    pub(crate) other: Arc<dyn Coordination>,
    pub(crate) prefix: String,
}

pub(crate) fn memory() -> Bench {
    let one = Arc::new(MemoryCoordination::new());
    Bench { other: one.clone(), one, prefix: String::new() }
}

/// The server's URL, or a failure that says what to do.
pub(crate) fn redis_url() -> String {
    std::env::var("SCIMFLEET_TEST_REDIS_URL").unwrap_or_else(|_| {
        panic!(
            "SCIMFLEET_TEST_REDIS_URL is not set, and these tests need a Redis: \
             run `make test`, which starts one, or set it to a server for tests (redis://127.0.0.1:6379)"
        )
    })
}

/// Two connections under a prefix that no other test uses.
pub(crate) async fn redis() -> Bench {
    let prefix = format!("test-{}", Uuid::new_v4().simple());
    let one = connect(&redis_url(), &prefix, NOWHERE.as_ref()).await.unwrap();
    let other = connect(&redis_url(), &prefix, NOWHERE.as_ref()).await.unwrap();
    Bench { one, other, prefix }
}

pub(crate) async fn clean_up(prefix: &str) {
    let mut connection = Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = cmd("KEYS").arg(format!("{prefix}:*")).query_async(&mut connection).await.unwrap();
    for key in keys {
        cmd("DEL").arg(key).query_async::<i64>(&mut connection).await.unwrap();
    }
}

pub(crate) fn acme() -> ProviderName {
    ProviderName::parse("acme").unwrap()
}

pub(crate) fn globex() -> ProviderName {
    ProviderName::parse("globex").unwrap()
}

/// So slow that no second request fits into any test.
pub(crate) fn once_an_hour(burst: u32) -> Option<Rate> {
    Some(Rate { requests: 1, per: Duration::from_secs(3600), burst })
}

pub(crate) fn beat(worker: &str) -> Heartbeat {
    Heartbeat {
        worker: worker.to_owned(),
        host: "host".to_owned(),
        pid: 1,
        version: "0.1.0".to_owned(),
        started_at_ms: 1,
        tasks_in_flight: 0,
        tasks_done: 0,
        draining: false,
    }
}

pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
