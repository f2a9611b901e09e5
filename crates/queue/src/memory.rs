//! The in-process queue of the embedded mode. It dies with the process, and nothing is lost by that:
//! what is owed stands in the database and is published again at the next start.
//!
//! It never polls: a consumer sleeps until a message, a deletion or the end wakes it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use scimfleet_core::ProviderName;
use scimfleet_core::ports::{Consumer, DeadLetter, Delivery, Queue, QueueError, Settle, Source};
use scimfleet_core::task::{Job, Lane, Task};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::message::{Message, short_reason};
use crate::names::{Names, lanes, routing_key};

/// A queue inside this process. Clones are not offered: share it behind an `Arc`.
#[derive(Debug)]
pub struct MemoryQueue {
    broker: Arc<Broker>,
}

#[derive(Debug)]
struct Broker {
    names: Names,
    /// By routing key.
    queues: Mutex<HashMap<String, Arc<Lines>>>,
    dead: Mutex<VecDeque<Dead>>,
    closed: CancellationToken,
}

/// One queue: its messages, and how its consumers learn of them.
#[derive(Debug, Default)]
struct Lines {
    ready: Mutex<VecDeque<Waiting>>,
    arrived: Notify,
    deleted: CancellationToken,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    redelivered: bool,
}

#[derive(Debug)]
struct Dead {
    message: Message,
    reason: String,
}

/// A panic in another thread leaves these collections whole, so its poison is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lines {
    fn push_back(&self, message: Message) {
        lock(&self.ready).push_back(Waiting { message, redelivered: false });
        self.arrived.notify_waiters();
    }

    /// To the front, so that order is kept.
    fn give_back(&self, message: Message) {
        if !self.deleted.is_cancelled() {
            lock(&self.ready).push_front(Waiting { message, redelivered: true });
            self.arrived.notify_waiters();
        }
    }

    async fn pop(&self) -> Waiting {
        loop {
            // Before looking: it is woken by what arrives from here on, also while nobody waits yet.
            let arrived = self.arrived.notified();
            if let Some(waiting) = lock(&self.ready).pop_front() {
                return waiting;
            }
            arrived.await;
        }
    }
}

impl Broker {
    fn lines(&self, routing_key: &str) -> Option<Arc<Lines>> {
        lock(&self.queues).get(routing_key).cloned()
    }

    fn send(&self, message: Message) -> Result<(), QueueError> {
        self.ensure_open()?;
        match self.lines(&message.routing_key) {
            Some(lines) => {
                lines.push_back(message);
                Ok(())
            }
            None => Err(QueueError::Unroutable { routing_key: message.routing_key }),
        }
    }

    fn ensure_open(&self) -> Result<(), QueueError> {
        if self.closed.is_cancelled() {
            return Err(QueueError::Unreachable { reason: "the queue was closed".to_owned() });
        }
        Ok(())
    }
}

impl MemoryQueue {
    /// An empty queue with the jobs queue declared.
    ///
    /// # Errors
    /// [`QueueError::Unreachable`] when `prefix` cannot be part of a queue's name.
    pub fn new(prefix: &str) -> Result<Self, QueueError> {
        let queues = HashMap::from([(routing_key(&Source::Jobs), Arc::default())]);
        let broker = Broker {
            names: Names::new(prefix)?,
            queues: Mutex::new(queues),
            dead: Mutex::default(),
            closed: CancellationToken::new(),
        };
        Ok(Self { broker: Arc::new(broker) })
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn declare_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.broker.ensure_open()?;
        let mut queues = lock(&self.broker.queues);
        for source in lanes(provider) {
            queues.entry(routing_key(&source)).or_default();
        }
        Ok(())
    }

    async fn delete_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.broker.ensure_open()?;
        for source in lanes(provider) {
            if let Some(lines) = lock(&self.broker.queues).remove(&routing_key(&source)) {
                lines.deleted.cancel();
            }
        }
        Ok(())
    }

    async fn publish(&self, tasks: &[Task], traceparent: Option<&str>) -> Result<(), QueueError> {
        tasks.iter().try_for_each(|task| self.broker.send(Message::task(task, traceparent)))
    }

    async fn publish_job(&self, job: &Job) -> Result<(), QueueError> {
        self.publish_raw_job(&job.encode()).await
    }

    async fn publish_raw_job(&self, body: &[u8]) -> Result<(), QueueError> {
        self.broker.send(Message::job(Bytes::copy_from_slice(body)))
    }

    async fn consume(&self, source: &Source) -> Result<Box<dyn Consumer>, QueueError> {
        self.broker.ensure_open()?;
        let Some(lines) = self.broker.lines(&routing_key(source)) else {
            return Err(QueueError::Undeclared { queue: self.broker.names.queue(source) });
        };
        let hand = Arc::new(Semaphore::new(1));
        Ok(Box::new(MemoryConsumer { broker: self.broker.clone(), lines, hand, cancelled: false }))
    }

    async fn depth(&self, provider: &ProviderName, lane: Lane) -> Result<u64, QueueError> {
        self.broker.ensure_open()?;
        let lines = self.broker.lines(&routing_key(&Source::Tasks(provider.clone(), lane)));
        Ok(lines.map_or(0, |lines| lock(&lines.ready).len() as u64))
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.broker.ensure_open()?;
        Ok(lock(&self.broker.dead).iter().take(limit).map(Dead::show).collect())
    }

    async fn replay_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.broker.ensure_open()?;
        let chosen = self.broker.take_dead(ids);
        let (mut replayed, mut first_error) = (0, None);
        for dead in chosen {
            match self.broker.send(dead.message.clone()) {
                Ok(()) => replayed += 1,
                Err(error) => {
                    lock(&self.broker.dead).push_back(dead);
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(replayed), Err)
    }

    async fn drop_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.broker.ensure_open()?;
        Ok(self.broker.take_dead(ids).len() as u64)
    }

    async fn healthy(&self) -> Result<(), QueueError> {
        self.broker.ensure_open()
    }

    async fn close(&self) {
        self.broker.closed.cancel();
    }
}

impl Broker {
    /// Removes the dead letters with these ids, or all of them.
    fn take_dead(&self, ids: &[String]) -> Vec<Dead> {
        let mut dead = lock(&self.dead);
        let (chosen, kept) = dead.drain(..).partition(|dead| ids.is_empty() || ids.contains(&dead.message.id));
        *dead = kept;
        Vec::from(chosen)
    }
}

impl Dead {
    fn show(&self) -> DeadLetter {
        DeadLetter {
            id: self.message.id.clone(),
            reason: self.reason.clone(),
            routing_key: self.message.routing_key.clone(),
            body: String::from_utf8_lossy(&self.message.body).into_owned(),
        }
    }
}

struct MemoryConsumer {
    broker: Arc<Broker>,
    lines: Arc<Lines>,
    /// One permit: the delivery in hand has it.
    hand: Arc<Semaphore>,
    cancelled: bool,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        if self.cancelled {
            return None;
        }
        let take = async {
            let permit = self.hand.clone().acquire_owned().await.ok()?;
            Some((permit, self.lines.pop().await))
        };
        let (permit, waiting) = tokio::select! {
            biased;
            () = self.broker.closed.cancelled() => return None,
            () = self.lines.deleted.cancelled() => return None,
            taken = take => taken?,
        };
        let Waiting { message, redelivered } = waiting;
        let (body, headers) = (message.body.clone(), message.headers.clone());
        let settle = MemorySettle {
            broker: self.broker.clone(),
            lines: self.lines.clone(),
            message: Some(message),
            _permit: permit,
        };
        Some(Delivery::new(body, headers, redelivered, Box::new(settle)))
    }

    async fn cancel(&mut self) {
        self.cancelled = true;
    }
}

struct MemorySettle {
    broker: Arc<Broker>,
    lines: Arc<Lines>,
    /// Absent once settled.
    message: Option<Message>,
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Settle for MemorySettle {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        self.message = None;
        Ok(())
    }

    async fn dead_letter(mut self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        if let Some(message) = self.message.take() {
            lock(&self.broker.dead).push_back(Dead { message, reason: short_reason(reason) });
        }
        Ok(())
    }
}

impl Drop for MemorySettle {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.lines.give_back(message);
        }
    }
}
