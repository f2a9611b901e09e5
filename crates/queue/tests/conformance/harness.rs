//! Queues to test against, and small helpers that fail loudly instead of hanging.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use scimfleet_core::ports::{Consumer, Delivery, Queue, Source};
use scimfleet_core::task::{Cause, Lane, OBJECTS_PER_TASK_MAX, Task};
use scimfleet_core::{ProviderName, ResourceId, ResourceKind, RunId, TaskId};
use scimfleet_queue::{MemoryQueue, RabbitQueue};
use uuid::Uuid;

/// Far longer than anything takes on a slow machine: it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// The providers that cases use, so that their queues can be removed afterwards.
const PROVIDERS: [&str; 2] = ["acme", "globex"];

pub(crate) fn memory() -> Arc<dyn Queue> {
    Arc::new(MemoryQueue::new("test").unwrap())
}

/// The broker's URL, or a failure that says what to do.
pub(crate) fn amqp_url() -> String {
    std::env::var("SCIMFLEET_TEST_AMQP_URL").unwrap_or_else(|_| {
        panic!(
            "SCIMFLEET_TEST_AMQP_URL is not set, and these tests need a RabbitMQ: \
             run `make test`, which starts one, or set it to a broker for tests (amqp://guest:guest@127.0.0.1:5672)"
        )
    })
}

/// A queue under a prefix that no other test uses.
pub(crate) struct RabbitBench {
    queue: Arc<RabbitQueue>,
    pub(crate) prefix: String,
}

pub(crate) async fn rabbit() -> RabbitBench {
    rabbit_at(&amqp_url()).await
}

pub(crate) async fn rabbit_at(url: &str) -> RabbitBench {
    let prefix = format!("test-{}", Uuid::new_v4().simple());
    let queue = RabbitQueue::connect(url, &prefix).await.unwrap();
    RabbitBench { queue: Arc::new(queue), prefix }
}

/// A channel of one's own, to look behind the queue.
pub(crate) async fn raw_channel() -> (Connection, Channel) {
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

impl RabbitBench {
    pub(crate) fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    pub(crate) async fn clean_up(self) {
        self.queue.close().await;
        let (_connection, channel) = raw_channel().await;
        let prefix = &self.prefix;
        let lanes =
            PROVIDERS.iter().flat_map(|provider| Lane::ALL.iter().map(move |lane| format!("{provider}.{lane}")));
        for name in lanes.chain(["jobs".to_owned(), "dead".to_owned()]) {
            let queue = format!("{prefix}.{name}");
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
        }
        for exchange in [prefix.clone(), format!("{prefix}.dead")] {
            channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
        }
    }
}

pub(crate) fn acme() -> ProviderName {
    ProviderName::parse(PROVIDERS[0]).unwrap()
}

pub(crate) fn globex() -> ProviderName {
    ProviderName::parse(PROVIDERS[1]).unwrap()
}

pub(crate) fn source(lane: Lane) -> Source {
    Source::Tasks(acme(), lane)
}

/// A task for `acme` with one object that is called by its number.
pub(crate) fn task(lane: Lane, number: usize) -> Task {
    let objects = vec![ResourceId::parse(format!("u-{number}")).unwrap()];
    Task::new(TaskId(Uuid::new_v4()), None, acme(), ResourceKind::User, lane, Cause::Change, objects)
}

pub(crate) fn tasks(lane: Lane, count: usize) -> Vec<Task> {
    (0..count).map(|number| task(lane, number)).collect()
}

/// The largest task there is, in a run.
pub(crate) fn full_task() -> Task {
    let objects = (0..OBJECTS_PER_TASK_MAX).map(|number| ResourceId::parse(format!("u-{number}")).unwrap()).collect();
    let run = Some(RunId(Uuid::new_v4()));
    Task::new(TaskId(Uuid::new_v4()), run, acme(), ResourceKind::User, Lane::Sync, Cause::Full, objects)
}

pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(crate) async fn receive(consumer: &mut Box<dyn Consumer>) -> Delivery {
    patiently("a delivery", consumer.next()).await.expect("the consumer ended")
}

/// Receives and acknowledges.
pub(crate) async fn take(consumer: &mut Box<dyn Consumer>) -> Task {
    let delivery = receive(consumer).await;
    let task = Task::decode(&delivery.body).unwrap();
    delivery.ack().await.unwrap();
    task
}

/// Waits for the broker's own count, which follows acknowledgements by a moment.
pub(crate) async fn depth_becomes(queue: &dyn Queue, lane: Lane, expected: u64) {
    patiently("the depth", async {
        while queue.depth(&acme(), lane).await.unwrap() != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
