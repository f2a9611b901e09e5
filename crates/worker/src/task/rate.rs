//! How fast a provider is called where nobody said a number: as fast as it takes, until it says 429; and
//! slowly at first after an outage. What one worker learns is shared (`allowance.rs`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scimfleet_core::ports::{LEARNED_SETTLES, LearnedRate, Rate};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// The share of what was too much that is tried next.
const BACK_OFF: f64 = 0.7;
/// By how much it grows again in a second without a 429: back to where it was in under half a minute.
const GROWTH_A_SECOND: f64 = 1.02;
/// A limit that was learned is forgotten after this long without a 429.
pub(crate) const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Requests a second, over all workers, at the return of a provider; they double until the ramp ends.
const RAMP_FIRST: u32 = 20;
const RAMP_DOUBLES_EVERY: Duration = Duration::from_secs(2);
const RAMP_ENDS_AFTER: Duration = Duration::from_secs(10);
/// What other workers learned is asked for this often: a limit that is a second old is as good as a new one, and a
/// question before every request would double what the coordination service is asked.
const HEARS_EVERY: Duration = SECOND;

/// What was learned of a provider's pace.
#[derive(Debug, Default)]
pub(crate) struct Learning(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    second: Option<Instant>,
    count: u32,
    last_count: u32,
    limit: Option<(f64, Instant)>,
    heard_at: Option<Instant>,
    back_since: Option<Instant>,
}

impl Learning {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request is sent.
    pub(crate) fn sent(&self, now: Instant) {
        self.with(|state| {
            let began = *state.second.get_or_insert(now);
            if now.saturating_duration_since(began) >= SECOND {
                state.last_count = state.count;
                state.count = 0;
                state.second = Some(now);
            }
            state.count += 1;
        });
    }

    /// The provider said 429 while so many workers called it. `Some`: the limit that follows, in requests a second
    /// over all workers, to be told to the others. `None`: a limit that was learned just now explains the answer.
    pub(crate) fn too_fast(&self, workers: u32, now: Instant) -> Option<f64> {
        self.with(|state| {
            let settles = |at: Instant| now.saturating_duration_since(at) < LEARNED_SETTLES;
            if state.limit.is_some_and(|(_, at)| settles(at)) {
                return None;
            }
            let mine = f64::from(state.last_count.max(state.count).max(1));
            let seen = mine * f64::from(workers.max(1));
            let next = (state.limit_at(now).unwrap_or(seen).min(seen) * BACK_OFF).max(0.5);
            state.limit = Some((next, now));
            Some(next)
        })
    }

    /// Whether it is time to ask what others learned; true for one caller in that time.
    pub(crate) fn wants_to_hear(&self, now: Instant) -> bool {
        self.with(|state| {
            let is_due = state.heard_at.is_none_or(|at| now.saturating_duration_since(at) >= HEARS_EVERY);
            if is_due {
                state.heard_at = Some(now);
            }
            is_due
        })
    }

    /// What all workers learned, as it was asked for at `asked_at`. What was learned here meanwhile is newer.
    pub(crate) fn heard(&self, learned: Option<LearnedRate>, asked_at: Instant) {
        self.with(|state| {
            if state.limit.is_none_or(|(_, at)| at < asked_at) {
                state.limit = learned.and_then(|one| Some((one.per_second, asked_at.checked_sub(one.age)?)));
            }
        });
    }

    /// The limit that was learned.
    pub(crate) fn limit(&self, now: Instant) -> Option<Rate> {
        let limit = self.with(|state| state.limit_at(now))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let a_minute = (limit * 60.0).ceil() as u32;
        Some(Rate { requests: a_minute.max(1), per: 60 * SECOND, burst: 1 })
    }

    /// The provider is back after an outage.
    pub(crate) fn back(&self, now: Instant) {
        self.with(|state| state.back_since = Some(now));
    }

    /// What all workers together may send while the ramp lasts.
    pub(crate) fn ramp(&self, now: Instant) -> Option<Rate> {
        let since = self.with(|state| state.back_since)?;
        let age = now.saturating_duration_since(since);
        if age >= RAMP_ENDS_AFTER {
            return None;
        }
        let doublings = u32::try_from(age.as_millis() / RAMP_DOUBLES_EVERY.as_millis()).unwrap_or(0);
        let requests = RAMP_FIRST << doublings;
        Some(Rate { requests, per: SECOND, burst: 1 })
    }
}

impl State {
    fn limit_at(&self, now: Instant) -> Option<f64> {
        let (limit, since) = self.limit?;
        let age = now.saturating_duration_since(since);
        (age < FORGOTTEN_AFTER).then(|| limit * GROWTH_A_SECOND.powf(age.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_learned_from_429_and_grows_again() {
        let learning = Learning::default();
        let start = Instant::now();
        for step in 0..100 {
            learning.sent(start + SECOND * step / 50);
        }
        assert_eq!(learning.limit(start), None, "nobody complained");
        let now = start + 2 * SECOND;
        assert!(learning.too_fast(2, now).is_some());
        assert_eq!(learning.too_fast(2, now + LEARNED_SETTLES / 2), None, "of requests that were sent before");
        let limit = learning.limit(now).unwrap();
        assert_eq!(limit.requests, 50 * 2 * 60 * 7 / 10, "seven tenths of what two workers sent");
        let later = learning.limit(now + 20 * SECOND).unwrap();
        assert!(later.requests > limit.requests && later.requests < 2 * limit.requests);
        assert!(learning.too_fast(2, now + 20 * SECOND).is_some());
        assert!(learning.limit(now + 20 * SECOND).unwrap().requests < later.requests);
        assert_eq!(learning.limit(now + 20 * SECOND + FORGOTTEN_AFTER), None);
    }

    #[test]
    fn what_others_learned_counts_unless_something_was_learned_here_meanwhile() {
        let learning = Learning::default();
        let start = Instant::now() + 60 * SECOND;
        assert!(learning.wants_to_hear(start) && !learning.wants_to_hear(start + SECOND / 2));
        learning.heard(Some(LearnedRate { per_second: 10.0, age: Duration::ZERO }), start);
        assert_eq!(learning.limit(start).unwrap().requests, 600);
        assert!(learning.wants_to_hear(start + SECOND));
        learning.heard(Some(LearnedRate { per_second: 10.0, age: 20 * SECOND }), start + SECOND);
        assert!(learning.limit(start + SECOND).unwrap().requests > 800, "it grows from when it was learned");
        assert!(learning.too_fast(1, start + 3 * SECOND).is_some());
        learning.heard(None, start + 2 * SECOND);
        assert!(learning.limit(start + 3 * SECOND).is_some(), "asked before the refusal");
        learning.heard(None, start + 4 * SECOND);
        assert_eq!(learning.limit(start + 4 * SECOND), None, "forgotten by all");
    }

    #[test]
    fn whoever_is_back_is_called_slowly_at_first() {
        let learning = Learning::default();
        let start = Instant::now();
        assert_eq!(learning.ramp(start), None);
        learning.back(start);
        let rates: Vec<u32> =
            (0..5).map(|step| learning.ramp(start + RAMP_DOUBLES_EVERY * step).unwrap().requests).collect();
        assert_eq!(rates, [20, 40, 80, 160, 320]);
        assert_eq!(learning.ramp(start + RAMP_ENDS_AFTER), None);
    }
}
