//! Limits and gates of one process, on the monotonic clock of tokio (which tests can pause).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scimfleet_core::ProviderName;
use scimfleet_core::ports::{LEARNED_SETTLES, LearnedRate};
use tokio::time::Instant;

use crate::gcra::Pace;

/// Providers times route classes are far fewer. Beyond this, what is no longer in use is forgotten,
/// so that a caller with ever new routes cannot fill the memory.
const ENTRIES_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Local {
    start: Instant,
    /// Theoretical arrival times since `start`.
    arrivals: Mutex<HashMap<(ProviderName, String), Duration>>,
    gates: Mutex<HashMap<ProviderName, Instant>>,
    learned: Mutex<HashMap<ProviderName, Learned>>,
}

/// Requests a second, since when, and until when they count.
#[derive(Debug, Clone, Copy)]
struct Learned {
    per_second: f64,
    at: Instant,
    until: Instant,
}

/// A panic in another thread leaves these collections whole, so its poison is no reason to stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Local {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), arrivals: Mutex::default(), gates: Mutex::default(), learned: Mutex::default() }
    }

    /// `None`: go ahead. The gate is looked at first, so that waiting for it takes nothing.
    pub(crate) fn try_acquire(&self, provider: &ProviderName, route: &str, pace: Option<Pace>) -> Option<Duration> {
        if let Some(wait) = self.gate(provider) {
            return Some(wait);
        }
        let pace = pace?;
        let now = self.start.elapsed();
        let mut arrivals = lock(&self.arrivals);
        if arrivals.len() >= ENTRIES_MAX {
            arrivals.retain(|_, arrival| *arrival > now);
        }
        let arrival = arrivals.entry((provider.clone(), route.to_owned())).or_default();
        match pace.take(*arrival, now) {
            Ok(next) => {
                *arrival = next;
                None
            }
            Err(wait) => Some(wait),
        }
    }

    pub(crate) fn close_gate(&self, provider: &ProviderName, wait: Duration) {
        let now = Instant::now();
        // A wait beyond the clock's range is one that nobody lives to see.
        let Some(until) = now.checked_add(wait) else { return };
        let mut gates = lock(&self.gates);
        gates.retain(|_, until| *until > now);
        let gate = gates.entry(provider.clone()).or_insert(until);
        *gate = (*gate).max(until);
    }

    pub(crate) fn gate(&self, provider: &ProviderName) -> Option<Duration> {
        let until = *lock(&self.gates).get(provider)?;
        Some(until.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    pub(crate) fn learn_rate(&self, provider: &ProviderName, per_second: f64, ttl: Duration) {
        let at = Instant::now();
        let Some(until) = at.checked_add(ttl) else { return };
        let mut learned = lock(&self.learned);
        learned.retain(|_, one| one.until > at);
        if learned.get(provider).is_none_or(|known| at.saturating_duration_since(known.at) >= LEARNED_SETTLES) {
            learned.insert(provider.clone(), Learned { per_second, at, until });
        }
    }

    pub(crate) fn learned_rate(&self, provider: &ProviderName) -> Option<LearnedRate> {
        let now = Instant::now();
        let known = lock(&self.learned).get(provider).copied().filter(|one| one.until > now)?;
        Some(LearnedRate { per_second: known.per_second, age: now.saturating_duration_since(known.at) })
    }
}
