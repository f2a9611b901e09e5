//! Slows down whoever presents wrong tokens, by address: nobody tries tokens in a loop.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tokens from one address within [`WINDOW`] before further ones are refused unread.
const FAILURES_MAX: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered; with more, all are forgotten rather than memory filled.
const ADDRESSES_MAX: usize = 10_000;

/// Wrong tokens of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Option<IpAddr>, Vec<Instant>>>,
}

impl Throttle {
    /// How long this address has to wait before a token of it is looked at again.
    pub(crate) fn wait(&self, address: Option<IpAddr>) -> Option<Duration> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = failures.get_mut(&address)?;
        mine.retain(|at| at.elapsed() < WINDOW);
        if mine.len() < FAILURES_MAX {
            return None;
        }
        mine.first().map(|oldest| WINDOW.saturating_sub(oldest.elapsed()))
    }

    /// A wrong token came from this address.
    pub(crate) fn failed(&self, address: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&address) {
            failures.clear();
        }
        failures.entry(address).or_default().push(Instant::now());
    }
}
