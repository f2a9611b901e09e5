//! The seams with two implementations: the queue (RabbitMQ, in-process) and the coordination service
//! (Redis, in-process). One conformance suite runs over both implementations of each.
//!
//! The store is no port: one code serves both databases, so a trait would only hide it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::identity::ProviderName;
use crate::task::{Job, Lane, Task};

/// The header that carries our reason on a dead letter.
pub const REASON_HEADER: &str = "x-scimfleet-reason";

/// The W3C trace context header, carried from the directory write to the provider's request.
pub const TRACEPARENT_HEADER: &str = "traceparent";

/// What went wrong at the broker. All of it is transient: the database remembers what is owed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// No connection, or it broke.
    #[error("the broker is unreachable ({reason}); work stays in the database and is published again")]
    Unreachable {
        /// The client library's words, without credentials.
        reason: String,
    },
    /// No confirm within the time allowed for one publish.
    #[error("the broker did not confirm within {seconds} s; it may be short of memory or disk")]
    Unconfirmed {
        /// The time that was waited.
        seconds: u64,
    },
    /// No queue took the message.
    #[error("the broker returned a message for `{routing_key}`: no queue is bound there")]
    Unroutable {
        /// Where it was to go.
        routing_key: String,
    },
    /// The queue that was to be consumed does not exist.
    #[error("there is no queue `{queue}`; its provider was not declared yet or was removed")]
    Undeclared {
        /// The queue's full name.
        queue: String,
    },
}

/// What may be consumed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// `scimfleet.jobs`
    Jobs,
    /// `scimfleet.<provider>.<lane>`
    Tasks(ProviderName, Lane),
}

/// Acknowledges one delivery. Implementations requeue when they are dropped unsettled.
#[async_trait]
pub trait Settle: Send + Sync {
    /// The work is done and recorded.
    async fn ack(self: Box<Self>) -> Result<(), QueueError>;
    /// The message can never be worked on: to the dead-letter queue with the reason, then ack.
    async fn dead_letter(self: Box<Self>, reason: &str) -> Result<(), QueueError>;
}

/// One message in hand. Settling consumes it, so that settling twice does not compile; dropping it
/// unsettled gives it back to the queue.
pub struct Delivery {
    /// The body as it was published.
    pub body: Bytes,
    /// Text headers.
    pub headers: BTreeMap<String, String>,
    /// The broker says that it was delivered before.
    pub redelivered: bool,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// Put together by a queue implementation.
    pub fn new(body: Bytes, headers: BTreeMap<String, String>, redelivered: bool, settle: Box<dyn Settle>) -> Self {
        Self { body, headers, redelivered, settle }
    }

    /// The work is done and recorded.
    pub async fn ack(self) -> Result<(), QueueError> {
        self.settle.ack().await
    }

    /// The message can never be worked on.
    pub async fn dead_letter(self, reason: &str) -> Result<(), QueueError> {
        self.settle.dead_letter(reason).await
    }
}

/// A subscription with prefetch 1 (see `docs/decisions`): at most one unsettled delivery at a time.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery. Waits through broker outages (the implementation reconnects); `None` when
    /// the queue was deleted or the implementation was closed.
    async fn next(&mut self) -> Option<Delivery>;
    /// Stops deliveries; what is in the client's buffer goes back to the queue. Deliveries already
    /// handed out by `next` stay valid and can be settled afterwards.
    async fn cancel(&mut self);
}

/// A message that nobody could work on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The AMQP `message-id`, or one made up on arrival.
    pub id: String,
    /// Ours if we dead-lettered it (`x-scimfleet-reason`), else the broker's (`delivery_limit`, …).
    pub reason: String,
    /// Where it was to go first.
    pub routing_key: String,
    /// The body as text, lossily.
    pub body: String,
}

/// Carries tasks to workers and jobs to the scheduler.
///
/// Contract: durable and at least once; `publish` returns after the broker took responsibility;
/// order is kept per queue but for redeliveries.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Declares the three queues of a provider. Idempotent.
    async fn declare_provider(&self, provider: &ProviderName) -> Result<(), QueueError>;
    /// Deletes the three queues of a provider. Idempotent.
    async fn delete_provider(&self, provider: &ProviderName) -> Result<(), QueueError>;
    /// Publishes tasks to the queues of their provider and lane, many in flight; returns when all are
    /// confirmed, or the first error (then any part of them may have been published).
    async fn publish(&self, tasks: &[Task], traceparent: Option<&str>) -> Result<(), QueueError>;
    /// Publishes a job.
    async fn publish_job(&self, job: &Job) -> Result<(), QueueError>;
    /// Publishes a body as it is to the jobs queue, as any AMQP client would.
    async fn publish_raw_job(&self, body: &[u8]) -> Result<(), QueueError>;
    /// Subscribes with prefetch 1; [`QueueError::Undeclared`] when there is no such queue.
    async fn consume(&self, source: &Source) -> Result<Box<dyn Consumer>, QueueError>;
    /// Messages that wait, per lane; those in hand are not counted, because AMQP does not tell. Zero
    /// when the provider was never declared.
    async fn depth(&self, provider: &ProviderName, lane: Lane) -> Result<u64, QueueError>;
    /// Up to `limit` dead letters, oldest first; they stay where they are.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError>;
    /// Publishes dead letters again to where they came from; `ids` empty means all. Returns how many.
    /// Those that no queue takes stay where they are, and the first such error is returned after the
    /// others went.
    async fn replay_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError>;
    /// Removes dead letters; `ids` empty means all. Returns how many.
    async fn drop_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError>;
    /// Whether the broker answers now.
    async fn healthy(&self) -> Result<(), QueueError>;
    /// Closes connections; consumers end.
    async fn close(&self);
}

/// What went wrong at the coordination service. It is never needed for correctness.
#[derive(Debug, thiserror::Error)]
#[error("the coordination service is unreachable ({reason}); limits are applied per process meanwhile")]
pub struct CoordinationError {
    /// The client library's words, without credentials.
    pub reason: String,
}

/// A provider's allowance of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests that may be sent, on average, per `per`.
    pub requests: u32,
    /// The period.
    pub per: Duration,
    /// Requests that may be sent at once after a quiet time.
    pub burst: u32,
}

/// What was learned last stands for this long, whatever others learn meanwhile: their 429 answered requests that
/// were sent before, and four workers that meet the same refusal shall slow down once and not four times.
pub const LEARNED_SETTLES: Duration = Duration::from_secs(1);

/// A pace that a provider's 429 taught (RFC 6585 §4) where nobody said a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedRate {
    /// Requests a second, over all workers.
    pub per_second: f64,
    /// How long ago it was learned.
    pub age: Duration,
}

/// What a worker says of itself, every few seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Unique per process.
    pub worker: String,
    /// Where it runs.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// The version it runs.
    pub version: String,
    /// When it started, milliseconds since 1970.
    pub started_at_ms: i64,
    /// Tasks that it works on now.
    pub tasks_in_flight: u32,
    /// Tasks that it finished since it started.
    pub tasks_done: u64,
    /// It takes no more tasks.
    pub draining: bool,
}

/// Shared by all workers: how fast a provider may be called, until when not at all, who is alive.
#[async_trait]
pub trait Coordination: Send + Sync {
    /// Takes one request's worth from the allowance of `provider` and route class `route`
    /// (GCRA). `None`: go ahead. `Some(wait)`: not before that time; nothing was taken.
    /// Also waits out a gate set by [`Coordination::close_gate`].
    async fn try_acquire(&self, provider: &ProviderName, route: &str, rate: Option<Rate>) -> Option<Duration>;
    /// No worker calls the provider before `wait` has passed (Retry-After); never shortens a gate.
    async fn close_gate(&self, provider: &ProviderName, wait: Duration);
    /// How long the provider's gate stays closed; `None` when open.
    async fn gate(&self, provider: &ProviderName) -> Option<Duration>;
    /// Tells all workers a pace that was learned of a provider, in requests a second over all of them; forgotten
    /// after `ttl`. It replaces what was learned before, unless that is younger than [`LEARNED_SETTLES`].
    async fn learn_rate(&self, provider: &ProviderName, per_second: f64, ttl: Duration);
    /// What was learned last of a provider's pace, by whichever worker; `None` when nothing, or long ago.
    async fn learned_rate(&self, provider: &ProviderName) -> Option<LearnedRate>;
    /// Says that a worker lives; forgotten after `ttl`.
    async fn heartbeat(&self, beat: &Heartbeat, ttl: Duration) -> Result<(), CoordinationError>;
    /// Asks a worker to finish what it holds and to end; forgotten after `ttl`.
    async fn ask_to_end(&self, worker: &str, ttl: Duration) -> Result<(), CoordinationError>;
    /// Whether somebody asked this worker to end.
    async fn is_asked_to_end(&self, worker: &str) -> Result<bool, CoordinationError>;
    /// The workers that live, by name.
    async fn workers(&self) -> Result<Vec<Heartbeat>, CoordinationError>;
    /// The epoch of the database with this identity, as it was last seen (R34); `None` when never stored.
    async fn epoch(&self, database: &str) -> Result<Option<i64>, CoordinationError>;
    /// Stores the epoch of a database; never lowers it.
    async fn raise_epoch(&self, database: &str, epoch: i64) -> Result<(), CoordinationError>;
    /// Whether the service answers now.
    async fn healthy(&self) -> Result<(), CoordinationError>;
}
