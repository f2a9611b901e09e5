//! Limits and gates of one process, on the monotonic clock of tokio (which tests can pause).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scimfleet_core::ProviderName;
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
}

/// A panic in another thread leaves these collections whole, so its poison is no reason to stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Local {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), arrivals: Mutex::default(), gates: Mutex::default() }
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
}
