//! Consuming: one subscription for each provider and lane, following the list of providers. The only
//! place that acknowledges, and it does so last.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use scimfleet_core::ports::{Consumer, Delivery, Heartbeat, Source, TRACEPARENT_HEADER};
use scimfleet_core::task::{Lane, Task};
use scimfleet_core::{ProviderName, ResourceId};
use scimfleet_runtime::Drain;
use scimfleet_runtime::metrics::{TASK_SECONDS, WORKERS};
use scimfleet_store::{Signal, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::Worker;
use crate::patience::Patience;
use crate::places::Places;
use crate::planted::{Defect, is_planted};
use crate::task::{TaskOutcome, process};

/// The list of providers is looked at this often even if no signal came.
const PROVIDERS_EVERY: Duration = Duration::from_secs(5);
/// How often a worker says that it lives, and how long that holds.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
const HEARTBEAT_TTL: Duration = Duration::from_secs(15);
/// The wait before a subscription is tried again, or the database asked again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Tasks of one provider's full sync at once, at the most: while one is prepared or recorded, others send, so
/// that the provider's connections do not idle. Each is a subscription with one delivery in hand (R32).
const SYNC_SEATS_MAX: usize = 4;

/// Consumes until the drain begins, then finishes what is in hand. Dropped before, everything that it began ends at
/// once, as in a process that is killed.
pub async fn run(worker: Worker) {
    let drain = worker.drain.clone();
    guard_epoch(&worker).await;
    let shared = Arc::new(Shared::new(worker));
    let heart = AbortOnDropHandle::new(tokio::spawn(beat(shared.clone(), drain.clone())));
    let probe = AbortOnDropHandle::new(tokio::spawn(crate::probe::run(shared.worker.clone(), drain.clone())));
    let mut signal = shared.worker.store.signals().subscribe(Signal::Providers);
    let mut subscriptions: BTreeMap<Seat, AbortOnDropHandle<()>> = BTreeMap::new();
    while !drain.is_begun() {
        match wanted(&shared.worker).await {
            Ok(wanted) => follow(&shared, &drain, &mut subscriptions, &wanted),
            Err(error) => tracing::warn!(error = %error, "the list of providers could not be read"),
        }
        tokio::select! {
            _ = signal.changed() => {}
            () = tokio::time::sleep(PROVIDERS_EVERY) => {}
            () = drain.begun() => {}
        }
    }
    futures::future::join_all(subscriptions.into_values()).await;
    heart.abort();
    probe.abort();
}

/// A database that was away may be another one when it is back (R34): asked before any task is taken.
async fn guard_epoch(worker: &Worker) {
    while !worker.drain.is_begun() {
        match worker.store.guard_epoch(worker.coordination.as_ref()).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(error = %error, "the database's age is not known yet; no task is taken"),
        }
        tokio::select! {
            () = tokio::time::sleep(TRY_AGAIN_AFTER) => {}
            () = worker.drain.begun() => {}
        }
    }
}

/// Every lane of every provider, also of those that are set aside: nothing but an `offboard` is published
/// for them, and that must be read.
async fn wanted(worker: &Worker) -> Result<BTreeSet<Seat>, StoreError> {
    let providers = worker.store.providers().await?;
    worker.providers.note_states(&providers).await;
    let mut seats = BTreeSet::new();
    for row in providers {
        for lane in Lane::ALL {
            let count = if *lane == Lane::Sync { sync_places(worker).min(SYNC_SEATS_MAX) } else { 1 };
            seats.extend((0..count).map(|index| Seat { provider: row.settings.name.clone(), lane: *lane, index }));
        }
    }
    Ok(seats)
}

/// Places that full syncs may take: a change never waits behind full syncs only.
fn sync_places(worker: &Worker) -> usize {
    worker.limits.tasks_in_flight.saturating_sub(1).max(1)
}

/// One of the tasks that a provider may have at once in a lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seat {
    provider: ProviderName,
    lane: Lane,
    index: usize,
}

fn follow(
    shared: &Arc<Shared>,
    drain: &Drain,
    subscriptions: &mut BTreeMap<Seat, AbortOnDropHandle<()>>,
    wanted: &BTreeSet<Seat>,
) {
    subscriptions.retain(|seat, handle| {
        let keep = wanted.contains(seat) && !handle.is_finished();
        if !keep {
            handle.abort();
        }
        keep
    });
    for seat in wanted {
        if !subscriptions.contains_key(seat) {
            let Seat { provider, lane, .. } = seat.clone();
            let one = Subscription { shared: shared.clone(), drain: drain.clone(), provider, lane };
            subscriptions.insert(seat.clone(), AbortOnDropHandle::new(tokio::spawn(one.run())));
        }
    }
}

/// What all subscriptions of a process share.
struct Shared {
    worker: Worker,
    tasks: Places,
    sync: Arc<Semaphore>,
    in_flight: AtomicU32,
    done: AtomicU64,
    started_at_ms: i64,
}

impl Shared {
    fn new(worker: Worker) -> Self {
        let limits = worker.limits;
        Self {
            started_at_ms: worker.store.now_ms(),
            tasks: Places::with_reserve(limits.tasks_in_flight, limits.leavers_reserved),
            sync: Arc::new(Semaphore::new(sync_places(&worker))),
            in_flight: AtomicU32::new(0),
            done: AtomicU64::new(0),
            worker,
        }
    }

    /// Waits for a place. Leavers have places of their own besides the common ones, full syncs not all of those.
    async fn place(&self, lane: Lane) -> [Option<OwnedSemaphorePermit>; 2] {
        let of_syncs = match lane {
            Lane::Sync => self.sync.clone().acquire_owned().await.ok(),
            Lane::Leavers | Lane::Changes => None,
        };
        [of_syncs, self.tasks.take(lane).await]
    }
}

/// One queue that is consumed.
struct Subscription {
    shared: Arc<Shared>,
    drain: Drain,
    provider: ProviderName,
    lane: Lane,
}

impl Subscription {
    async fn run(self) {
        let source = Source::Tasks(self.provider.clone(), self.lane);
        while !self.drain.is_begun() {
            let queue = &self.shared.worker.queue;
            let consumer = match queue.declare_provider(&self.provider).await {
                Ok(()) => queue.consume(&source).await,
                Err(error) => Err(error),
            };
            match consumer {
                Ok(consumer) => self.consume(consumer).await,
                Err(error) => {
                    tracing::warn!(provider = %self.provider, lane = %self.lane, error = %error, "could not subscribe; tried again");
                    self.rest().await;
                }
            }
        }
    }

    async fn rest(&self) {
        tokio::select! {
            () = tokio::time::sleep(TRY_AGAIN_AFTER) => {}
            () = self.drain.begun() => {}
        }
    }

    async fn consume(&self, mut consumer: Box<dyn Consumer>) {
        // A place that is given back goes to other providers; how many tasks this one has is bounded by its seats.
        let patience = Patience::default();
        loop {
            let delivery = tokio::select! {
                delivery = consumer.next() => delivery,
                () = self.drain.begun() => break,
            };
            let Some(delivery) = delivery else { break };
            let place = tokio::select! {
                place = self.shared.place(self.lane) => place,
                () = self.drain.begun() => break,
            };
            let held = patience.keep(place, self.deliver(delivery)).await;
            if let Some(delivery) = held {
                return self.hold(consumer, delivery).await;
            }
        }
        consumer.cancel().await;
    }

    /// Database trouble (R32): deliveries stop, what is in hand stays in hand until the database answers;
    /// only then it goes back. A nack now would come straight back.
    async fn hold(&self, mut consumer: Box<dyn Consumer>, delivery: Delivery) {
        consumer.cancel().await;
        while !self.drain.is_begun() && self.shared.worker.store.healthy().await.is_err() {
            self.rest().await;
        }
        guard_epoch(&self.shared.worker).await;
        drop(delivery);
        drop(consumer);
    }

    /// Works on one delivery and settles it; gives it back when it must be held.
    async fn deliver(&self, delivery: Delivery) -> Option<Delivery> {
        let task = match Task::decode(&delivery.body) {
            Ok(task) => task,
            Err(error) => {
                tracing::error!(provider = %self.provider, reason = %error, "a message was dead-lettered");
                settle(delivery.dead_letter(&error.to_string()).await);
                return None;
            }
        };
        let span = tracing::info_span!("task", task = %task.task, run = task.run.map(tracing::field::display),
            provider = %task.provider, lane = %task.lane, otel.kind = "consumer");
        let given = delivery.headers.get(TRACEPARENT_HEADER).map(String::as_str);
        let traceparent = scimfleet_runtime::trace::follow(&span, given);
        let mut delivery = Some(delivery);
        if is_planted(Defect::AckBeforeRecord)
            && let Some(delivery) = delivery.take()
        {
            settle(delivery.ack().await);
        }
        let began = Instant::now();
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let outcome = self.work(&task, traceparent).instrument(span).await;
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.shared.done.fetch_add(1, Ordering::Relaxed);
        metrics::histogram!(TASK_SECONDS, "provider" => task.provider.to_string(), "lane" => task.lane.as_str())
            .record(began.elapsed().as_secs_f64());
        let delivery = delivery?;
        match outcome {
            TaskOutcome::Completed => settle(delivery.ack().await),
            TaskOutcome::Discarded(reason) => {
                tracing::error!(provider = %task.provider, task = %task.task, reason, "a message was dead-lettered");
                settle(delivery.dead_letter(&reason).await);
            }
            TaskOutcome::Held(reason) => {
                tracing::warn!(provider = %task.provider, task = %task.task, reason, "the database is in trouble; the task is held");
                return Some(delivery);
            }
        }
        None
    }

    /// A panic is an outcome: the object that causes it is parked, its neighbours are not (hazard 11).
    async fn work(&self, task: &Task, traceparent: Option<String>) -> TaskOutcome {
        let worker = &self.shared.worker;
        let whole = AssertUnwindSafe(process(worker, task, traceparent.clone())).catch_unwind().await;
        let Err(panic) = whole else { return whole.unwrap_or(TaskOutcome::Completed) };
        tracing::error!(reason = words_of(panic.as_ref()), "a task panicked; its objects are worked on one by one");
        for object in &task.objects {
            let single = Task::new(
                task.task,
                None,
                task.provider.clone(),
                task.kind,
                task.lane,
                task.cause,
                vec![object.clone()],
            );
            let one = AssertUnwindSafe(process(worker, &single, traceparent.clone())).catch_unwind().await;
            match one {
                Ok(TaskOutcome::Held(reason)) => return TaskOutcome::Held(reason),
                Ok(_) => {}
                Err(panic) => {
                    let words = format!("working on it panicked: {}", words_of(panic.as_ref()));
                    if let Err(error) = self.park(object, &words).await {
                        return TaskOutcome::Held(error.to_string());
                    }
                }
            }
        }
        match self.close(task).await {
            Ok(()) => TaskOutcome::Completed,
            Err(error) => TaskOutcome::Held(error.to_string()),
        }
    }

    async fn park(&self, object: &ResourceId, words: &str) -> Result<(), StoreError> {
        let store = &self.shared.worker.store;
        match store.provider(&self.provider).await? {
            Some(row) => store.park(row.id, object, words).await,
            None => Ok(()),
        }
    }

    async fn close(&self, task: &Task) -> Result<(), StoreError> {
        if task.run.is_none() {
            return Ok(());
        }
        let worker = self.shared.worker.name.clone();
        let counts = scimfleet_store::Counts::default();
        let close = scimfleet_store::TaskClose::Done { task: task.task, counts, worker };
        self.shared.worker.store.close_run_task(&close).await
    }
}

fn settle(result: Result<(), scimfleet_core::ports::QueueError>) {
    if let Err(error) = result {
        // Recorded is recorded: the redelivery finds nothing left to do.
        tracing::debug!(error = %error, "a delivery could not be settled; it comes again");
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned())
}

/// Says every few seconds that this worker lives.
async fn beat(shared: Arc<Shared>, drain: Drain) {
    loop {
        let beat = Heartbeat {
            worker: shared.worker.name.clone(),
            host: hostname(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: shared.started_at_ms,
            tasks_in_flight: shared.in_flight.load(Ordering::Relaxed),
            tasks_done: shared.done.load(Ordering::Relaxed),
            draining: drain.is_begun(),
        };
        if let Err(error) = shared.worker.coordination.heartbeat(&beat, HEARTBEAT_TTL).await {
            tracing::debug!(error = %error, "no heartbeat");
        }
        // A person asked for it: the same as SIGTERM, so that whatever keeps this process running starts it anew.
        if !drain.is_begun() && shared.worker.coordination.is_asked_to_end(&shared.worker.name).await.unwrap_or(false) {
            tracing::info!(worker = shared.worker.name, "asked to end; what is held is finished first");
            drain.begin();
        }
        if let Ok(workers) = shared.worker.coordination.workers().await {
            metrics::gauge!(WORKERS).set(f64::from(u32::try_from(workers.len()).unwrap_or(u32::MAX)));
        }
        tokio::time::sleep(HEARTBEAT_EVERY).await;
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
