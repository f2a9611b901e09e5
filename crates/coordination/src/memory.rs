//! Coordination inside one process, for the embedded mode.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use scimfleet_core::ProviderName;
use scimfleet_core::ports::{Coordination, CoordinationError, Heartbeat, Rate};
use tokio::time::Instant;

use crate::gcra::Pace;
use crate::local::{Local, lock};

/// Shared by the workers of this process. It keeps nothing beyond the process: an epoch that must
/// outlive it is kept elsewhere (R34).
#[derive(Debug)]
pub struct MemoryCoordination {
    local: Local,
    workers: Mutex<BTreeMap<String, (Heartbeat, Instant)>>,
    epoch: Mutex<Option<i64>>,
}

impl MemoryCoordination {
    /// Nobody alive, all gates open, all allowances full.
    pub fn new() -> Self {
        Self { local: Local::new(), workers: Mutex::default(), epoch: Mutex::default() }
    }
}

impl Default for MemoryCoordination {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Coordination for MemoryCoordination {
    async fn try_acquire(&self, provider: &ProviderName, route: &str, rate: Option<Rate>) -> Option<Duration> {
        self.local.try_acquire(provider, route, rate.map(Pace::new))
    }

    async fn close_gate(&self, provider: &ProviderName, wait: Duration) {
        self.local.close_gate(provider, wait);
    }

    async fn gate(&self, provider: &ProviderName) -> Option<Duration> {
        self.local.gate(provider)
    }

    async fn heartbeat(&self, beat: &Heartbeat, ttl: Duration) -> Result<(), CoordinationError> {
        lock(&self.workers).insert(beat.worker.clone(), (beat.clone(), Instant::now() + ttl));
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<Heartbeat>, CoordinationError> {
        let now = Instant::now();
        let mut workers = lock(&self.workers);
        workers.retain(|_, (_, until)| *until > now);
        Ok(workers.values().map(|(beat, _)| beat.clone()).collect())
    }

    async fn epoch(&self) -> Result<Option<i64>, CoordinationError> {
        Ok(*lock(&self.epoch))
    }

    async fn raise_epoch(&self, epoch: i64) -> Result<(), CoordinationError> {
        let mut held = lock(&self.epoch);
        *held = Some(held.map_or(epoch, |held| held.max(epoch)));
        Ok(())
    }

    async fn healthy(&self) -> Result<(), CoordinationError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_at_five_a_second_is_three_hundred_and_a_burst() {
        let coordination = MemoryCoordination::new();
        let acme: ProviderName = "acme".parse().unwrap();
        let rate = Rate { requests: 5, per: Duration::from_secs(1), burst: 3 };
        let start = Instant::now();
        let mut granted = 0;
        while start.elapsed() < Duration::from_secs(60) {
            match coordination.try_acquire(&acme, "users", Some(rate)).await {
                None => granted += 1,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
        assert_eq!(granted, 302);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_follows_the_clock() {
        let coordination = MemoryCoordination::new();
        let acme: ProviderName = "acme".parse().unwrap();
        coordination.close_gate(&acme, Duration::from_secs(30)).await;
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(coordination.gate(&acme).await, Some(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(coordination.gate(&acme).await, None);
    }
}
