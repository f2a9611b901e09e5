//! The in-process queue as a broker that has faults: it loses what it holds, and delivers some tasks twice.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use scimfleet_core::ProviderName;
use scimfleet_core::ports::{Consumer, DeadLetter, Queue, QueueError, Source};
use scimfleet_core::task::{Job, Lane, Task};
use scimfleet_queue::MemoryQueue;

/// The broker.
pub struct Broker {
    queue: MemoryQueue,
    chance: Mutex<Chance>,
}

#[derive(Debug)]
struct Chance {
    rng: StdRng,
    /// Tasks of a thousand that are lost after the broker took them, and as many that come twice.
    faults_per_mille: u32,
    /// The next publish is lost whole.
    empties: bool,
}

impl Broker {
    /// An empty one.
    ///
    /// # Errors
    /// Those of the queue.
    pub fn new(seed: u64, faults_per_mille: u32) -> Result<Self, QueueError> {
        let chance = Chance { rng: StdRng::seed_from_u64(seed), faults_per_mille, empties: false };
        Ok(Self { queue: MemoryQueue::new("simulation")?, chance: Mutex::new(chance) })
    }

    /// The next tasks that are published are lost, all of them.
    pub fn lose_next(&self) {
        self.chance().empties = true;
    }

    /// No more faults.
    pub fn calm_down(&self) {
        let mut chance = self.chance();
        chance.faults_per_mille = 0;
        chance.empties = false;
    }

    fn chance(&self) -> std::sync::MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chance {
    /// How often a task is delivered.
    fn times(&mut self) -> usize {
        if self.rng.random_range(0..1000) >= self.faults_per_mille {
            return 1;
        }
        if self.rng.random_bool(0.5) { 0 } else { 2 }
    }
}

#[async_trait]
impl Queue for Broker {
    async fn declare_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.queue.declare_provider(provider).await
    }

    async fn delete_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.queue.delete_provider(provider).await
    }

    async fn publish(&self, tasks: &[Task], traceparent: Option<&str>) -> Result<(), QueueError> {
        let kept: Vec<Task> = {
            let mut chance = self.chance();
            if std::mem::take(&mut chance.empties) {
                return Ok(());
            }
            tasks.iter().flat_map(|task| vec![task.clone(); chance.times()]).collect()
        };
        self.queue.publish(&kept, traceparent).await
    }

    async fn publish_job(&self, job: &Job) -> Result<(), QueueError> {
        self.queue.publish_job(job).await
    }

    async fn publish_raw_job(&self, body: &[u8]) -> Result<(), QueueError> {
        self.queue.publish_raw_job(body).await
    }

    async fn consume(&self, source: &Source) -> Result<Box<dyn Consumer>, QueueError> {
        self.queue.consume(source).await
    }

    async fn depth(&self, provider: &ProviderName, lane: Lane) -> Result<u64, QueueError> {
        self.queue.depth(provider, lane).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.queue.dead_letters(limit).await
    }

    async fn replay_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.queue.replay_dead_letters(ids).await
    }

    async fn drop_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.queue.drop_dead_letters(ids).await
    }

    async fn healthy(&self) -> Result<(), QueueError> {
        self.queue.healthy().await
    }

    async fn close(&self) {
        self.queue.close().await;
    }
}
