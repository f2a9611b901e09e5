//! Coordination inside one process, for the embedded mode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use scimfleet_core::ProviderName;
use scimfleet_core::ports::{Coordination, CoordinationError, Heartbeat, LearnedRate, Rate};
use tokio::time::Instant;

use crate::gcra::Pace;
use crate::local::{Local, lock};

/// Shared by the workers of this process. It keeps nothing beyond the process but the epoch, if it is
/// given a file for it (R34).
#[derive(Debug)]
pub struct MemoryCoordination {
    local: Local,
    workers: Mutex<BTreeMap<String, (Heartbeat, Instant)>>,
    epochs: Mutex<BTreeMap<String, i64>>,
    epoch_file: Option<PathBuf>,
    ending: Mutex<BTreeMap<String, Instant>>,
}

impl MemoryCoordination {
    /// Nobody alive, all gates open, all allowances full.
    pub fn new() -> Self {
        Self {
            local: Local::new(),
            workers: Mutex::default(),
            ending: Mutex::default(),
            epochs: Mutex::default(),
            epoch_file: None,
        }
    }

    /// The same, with the epochs in a file that outlives the process.
    pub fn with_epoch_file(file: PathBuf) -> Self {
        Self { epoch_file: Some(file), ..Self::new() }
    }

    /// What the file says, beside what this process knows. A file that is not there says nothing.
    fn kept_epochs(&self) -> Result<BTreeMap<String, i64>, CoordinationError> {
        let mut epochs = lock(&self.epochs).clone();
        let Some(file) = &self.epoch_file else { return Ok(epochs) };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(epochs),
            Err(error) => return Err(broken(file, &error)),
        };
        for (database, epoch) in text.lines().filter_map(|line| line.split_once(' ')) {
            let epoch = epoch.trim().parse().unwrap_or(0);
            let known = epochs.entry(database.to_owned()).or_insert(epoch);
            *known = epoch.max(*known);
        }
        Ok(epochs)
    }

    /// Written beside and moved over: a crash leaves the old file or the new one.
    fn keep_epochs(&self, epochs: &BTreeMap<String, i64>) -> Result<(), CoordinationError> {
        let Some(file) = &self.epoch_file else { return Ok(()) };
        let text: String = epochs.iter().map(|(database, epoch)| format!("{database} {epoch}\n")).collect();
        let beside = file.with_extension("epoch.new");
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, file))
            .map_err(|error| broken(file, &error))
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

    async fn learn_rate(&self, provider: &ProviderName, per_second: f64, ttl: Duration) {
        self.local.learn_rate(provider, per_second, ttl);
    }

    async fn learned_rate(&self, provider: &ProviderName) -> Option<LearnedRate> {
        self.local.learned_rate(provider)
    }

    async fn heartbeat(&self, beat: &Heartbeat, ttl: Duration) -> Result<(), CoordinationError> {
        lock(&self.workers).insert(beat.worker.clone(), (beat.clone(), Instant::now() + ttl));
        Ok(())
    }

    async fn ask_to_end(&self, worker: &str, ttl: Duration) -> Result<(), CoordinationError> {
        lock(&self.ending).insert(worker.to_owned(), Instant::now() + ttl);
        Ok(())
    }

    async fn is_asked_to_end(&self, worker: &str) -> Result<bool, CoordinationError> {
        let now = Instant::now();
        let mut ending = lock(&self.ending);
        ending.retain(|_, until| *until > now);
        Ok(ending.contains_key(worker))
    }

    async fn workers(&self) -> Result<Vec<Heartbeat>, CoordinationError> {
        let now = Instant::now();
        let mut workers = lock(&self.workers);
        workers.retain(|_, (_, until)| *until > now);
        Ok(workers.values().map(|(beat, _)| beat.clone()).collect())
    }

    async fn epoch(&self, database: &str) -> Result<Option<i64>, CoordinationError> {
        Ok(self.kept_epochs()?.get(database).copied())
    }

    async fn raise_epoch(&self, database: &str, epoch: i64) -> Result<(), CoordinationError> {
        let mut epochs = self.kept_epochs()?;
        if epochs.get(database).is_some_and(|held| *held >= epoch) {
            return Ok(());
        }
        epochs.insert(database.to_owned(), epoch);
        self.keep_epochs(&epochs)?;
        *lock(&self.epochs) = epochs;
        Ok(())
    }

    async fn healthy(&self) -> Result<(), CoordinationError> {
        Ok(())
    }
}

fn broken(file: &Path, error: &std::io::Error) -> CoordinationError {
    CoordinationError { reason: format!("the epoch file {}: {error}", file.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_epoch_outlives_the_process_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scimfleet.epoch");
        let first = MemoryCoordination::with_epoch_file(file.clone());
        assert_eq!(first.epoch("one").await.unwrap(), None);
        first.raise_epoch("one", 7).await.unwrap();
        first.raise_epoch("two", 3).await.unwrap();
        let second = MemoryCoordination::with_epoch_file(file);
        second.raise_epoch("one", 6).await.unwrap();
        assert_eq!(second.epoch("one").await.unwrap(), Some(7));
        assert_eq!(second.epoch("two").await.unwrap(), Some(3));
    }

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
