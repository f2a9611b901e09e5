//! How fast, and for how long: the provider's allowance, requests in flight, the lease that every request
//! must fit into (R19), and the breaker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scimfleet_core::ResourceKind;
use scimfleet_core::retry::Class;
use tokio::time::Instant;

use super::proof::Proof;
use super::rate::Learning;
use crate::patience::Patience;

/// A lease outlasts a request (30 s) with room for recording, and is short enough that a dead worker's
/// objects are free again soon.
pub(crate) const LEASE: Duration = Duration::from_secs(45);
/// Leases are renewed this often while a task goes on.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(10);
/// No request begins unless this much of the lease is left: the request's own timeout and a little.
const LEASE_LEFT_MIN: Duration = Duration::from_secs(32);
/// A task ends by then and hands the rest on, well within the broker's consumer timeout of 30 minutes.
pub(crate) const TASK_TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// Pacing waits up to this long for the next request; a longer wait gives the object back.
pub(crate) const PACE_WAIT_MAX: Duration = Duration::from_millis(250);
/// A provider works a bulk request off one by one; by then it shall be done, well before our timeout.
const BULK_TIME_MAX: Duration = Duration::from_secs(8);
/// Operations in a provider's first bulk request: a second for each would still do.
const BULK_ROOM_FIRST: usize = 25;
/// More than a task ever holds.
const BULK_ROOM_MAX: usize = 1000;
/// More objects than these with 404 within this time are no coincidence (R30).
const NOT_FOUND_MAX: usize = 5;
const NOT_FOUND_WITHIN: Duration = Duration::from_secs(60);
/// Failures in a row after which a provider counts as down.
const FAILURES_MAX: u32 = 5;

/// Until when our leases hold, by our own clock: never longer than the database thinks.
pub(crate) struct Tenure {
    until: Mutex<Instant>,
    task_ends: Instant,
}

impl Tenure {
    /// Begins when the claim was *sent*, so that it ends before the database's does.
    pub(crate) fn new(began: Instant) -> Self {
        Self { until: Mutex::new(began + LEASE), task_ends: began + TASK_TIME_MAX }
    }

    pub(crate) fn renewed(&self, asked_at: Instant) {
        if let Ok(mut until) = self.until.lock() {
            *until = asked_at + LEASE;
        }
    }

    /// Whether a request may begin now.
    pub(crate) fn allows_request(&self) -> bool {
        let now = Instant::now();
        let until = self.until.lock().map_or(now, |until| *until);
        now + LEASE_LEFT_MIN < until && now < self.task_ends
    }
}

/// Why the breaker opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trip {
    /// The credentials are refused.
    Credentials,
    /// It does not answer.
    Down,
}

impl Trip {
    /// The code in a run's report.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Down => "unreachable",
        }
    }
}

/// A provider's health as this process sees it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: AtomicU32,
    tripped: AtomicBool,
    set_aside: AtomicBool,
    /// What was learned of its pace.
    pub(crate) learning: Learning,
    /// Whether it takes our credentials.
    pub(crate) proof: Proof,
    /// How long its requests keep a place from others.
    pub(crate) patience: Patience,
    /// Objects that answered 404 lately, each once.
    not_found: Mutex<VecDeque<(Instant, u64)>>,
    /// Operations that a bulk request may hold so that it is answered in good time; 0: not known yet.
    bulk_room: AtomicUsize,
    filters_lie: AtomicBool,
    users_checked: AtomicBool,
    groups_checked: AtomicBool,
}

impl Health {
    /// Operations for the next bulk request: few until it is known how fast the provider works them off.
    pub(crate) fn bulk_room(&self) -> usize {
        match self.bulk_room.load(Ordering::Relaxed) {
            0 => BULK_ROOM_FIRST,
            known => known,
        }
    }

    /// A bulk request of so many operations was answered.
    pub(crate) fn bulk_took(&self, operations: usize, took: Duration) {
        let each = took / u32::try_from(operations.max(1)).unwrap_or(u32::MAX);
        let room = BULK_TIME_MAX.as_nanos() / each.as_nanos().max(1);
        let room = usize::try_from(room).unwrap_or(usize::MAX).clamp(2, BULK_ROOM_MAX);
        self.bulk_room.store(room, Ordering::Relaxed);
        self.ok();
    }

    /// A bulk request of so many operations was not answered in time, or with too much.
    pub(crate) fn bulk_failed(&self, operations: usize) {
        self.bulk_room.store((operations / 2).max(2), Ordering::Relaxed);
    }

    /// Whether filters for this kind were tried on an account that is there.
    pub(crate) fn is_checked(&self, kind: ResourceKind) -> bool {
        self.checked(kind).load(Ordering::Relaxed)
    }

    /// Notes whether a filter found an account that is there.
    pub(crate) fn note_filters(&self, kind: ResourceKind, find: bool) {
        self.checked(kind).store(true, Ordering::Relaxed);
        self.filters_lie.fetch_or(!find, Ordering::Relaxed);
    }

    pub(crate) fn filters_lie(&self) -> bool {
        self.filters_lie.load(Ordering::Relaxed)
    }

    fn checked(&self, kind: ResourceKind) -> &AtomicBool {
        match kind {
            ResourceKind::User => &self.users_checked,
            ResourceKind::Group => &self.groups_checked,
        }
    }

    /// Notes a success.
    pub(crate) fn ok(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Notes a failure; `Some` exactly once, when the breaker opens.
    pub(crate) fn failed(&self, class: Class) -> Option<Trip> {
        let trip = match class {
            Class::Credentials => Trip::Credentials,
            Class::Transient | Class::Unknown => {
                if self.failures.fetch_add(1, Ordering::Relaxed) + 1 < FAILURES_MAX {
                    return None;
                }
                Trip::Down
            }
            // Any other answer shows that it is there.
            _ => {
                self.ok();
                return None;
            }
        };
        (!self.tripped.swap(true, Ordering::Relaxed)).then_some(trip)
    }

    /// An object answered 404. `Some` exactly once, when so many did that the base URL must be wrong, or a
    /// gateway stands before the provider (R30).
    pub(crate) fn not_found(&self, object: u64, now: Instant) -> Option<Trip> {
        let mut seen = self.not_found.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|(at, other)| now.saturating_duration_since(*at) < NOT_FOUND_WITHIN && *other != object);
        seen.push_back((now, object));
        if seen.len() <= NOT_FOUND_MAX {
            return None;
        }
        (!self.tripped.swap(true, Ordering::Relaxed)).then_some(Trip::Down)
    }

    pub(crate) fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Relaxed)
    }

    /// Paused, disabled, or found down by somebody else: no further write begins, in tasks under way too.
    pub(crate) fn set_aside(&self, aside: bool) {
        if self.set_aside.swap(aside, Ordering::Relaxed) && !aside {
            self.learning.back(Instant::now());
        }
    }

    pub(crate) fn is_set_aside(&self) -> bool {
        self.set_aside.load(Ordering::Relaxed)
    }

    /// The provider is active again.
    pub(crate) fn reset_if_tripped(&self) {
        if self.tripped.swap(false, Ordering::Relaxed) {
            self.failures.store(0, Ordering::Relaxed);
            self.learning.back(Instant::now());
            self.not_found.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_breaker_opens_once_after_failures_in_a_row() {
        let health = Health::default();
        for _ in 0..FAILURES_MAX - 1 {
            assert_eq!(health.failed(Class::Transient), None);
        }
        health.failed(Class::Permanent);
        for _ in 0..FAILURES_MAX - 1 {
            assert_eq!(health.failed(Class::Unknown), None);
        }
        assert_eq!(health.failed(Class::Transient), Some(Trip::Down));
        assert_eq!(health.failed(Class::Transient), None);
        health.reset_if_tripped();
        assert_eq!(health.failed(Class::Credentials), Some(Trip::Credentials));
    }

    #[test]
    fn many_objects_with_404_within_a_minute_open_the_breaker() {
        let health = Health::default();
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(health.not_found(1, start), None, "the same object again says nothing new");
        }
        for object in 2..=5 {
            assert_eq!(health.not_found(object, start + NOT_FOUND_WITHIN / 2), None);
        }
        assert_eq!(health.not_found(6, start + NOT_FOUND_WITHIN), None, "the first is a minute ago");
        assert_eq!(health.not_found(7, start + NOT_FOUND_WITHIN), Some(Trip::Down));
        assert_eq!(health.not_found(8, start + NOT_FOUND_WITHIN), None);
    }

    #[test]
    fn no_request_begins_that_the_lease_may_not_outlast() {
        let fresh = Tenure::new(Instant::now());
        assert!(fresh.allows_request());
        let Some(old) = Instant::now().checked_sub(LEASE / 2) else { return };
        let stale = Tenure::new(old);
        assert!(!stale.allows_request());
        stale.renewed(Instant::now());
        assert!(stale.allows_request());
    }
}
