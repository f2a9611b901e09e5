//! When something is tried again, and what kind of failure it was ("What a failure means" in
//! `docs/operating.md`). Attempts and due times live in the database, never in the broker.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::identity::{ProviderName, ResourceId};
use crate::state::words;

words!(
    /// What an answer, or the lack of one, means for the object and the provider.
    Class, "retry class" {
        /// The request did not get through; back-off, counts to the breaker.
        Transient = "transient",
        /// It may have been applied: look the object up before any second write.
        Unknown = "unknown",
        /// 429: a shared not-before, no attempt counted.
        Throttled = "throttled",
        /// 401: the provider's credentials.
        Credentials = "credentials",
        /// 403: the object is parked.
        Refused = "refused",
        /// 400, 413, 422 and the like: the object is parked until it changes.
        Permanent = "permanent",
        /// 404 by id.
        Gone = "gone",
        /// 409.
        Conflict = "conflict",
        /// 412: read again, plan again.
        VersionMoved = "version-moved",
        /// 405 or 501: the provider lacks the method.
        Unsupported = "unsupported",
    }
);

/// The class of an HTTP status that is not a success (RFC 7644 §3.12, RFC 9110 §15).
pub const fn class_of_status(status: u16) -> Class {
    match status {
        401 => Class::Credentials,
        403 => Class::Refused,
        404 => Class::Gone,
        405 | 501 => Class::Unsupported,
        408 | 500 | 502..=504 => Class::Transient,
        409 => Class::Conflict,
        412 => Class::VersionMoved,
        429 => Class::Throttled,
        _ => Class::Permanent,
    }
}

/// Attempts before an object is parked as `exhausted`: with the back-off below about nine hours, which
/// outlasts a deployment gone wrong overnight.
pub const ATTEMPTS_MAX: u32 = 16;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// The wait before attempt `attempts + 1`: exponential with full jitter. `unit` is uniform in 0..1.
pub fn back_off(attempts: u32, unit: f64) -> Duration {
    let ceiling = FIRST.saturating_mul(1_u32.checked_shl(attempts.min(31)).unwrap_or(u32::MAX)).min(LONGEST);
    // Never quite zero: the first retry of a refused connection would come at once.
    ceiling.mul_f64(unit.clamp(0.0, 1.0)).max(FIRST / 4)
}

/// Where in a wait an attempt of this object at this provider falls, from 0 to 1: spread over objects and attempts,
/// so that those that failed together do not come again together, and the same for the same attempt, so that it
/// needs no randomness.
pub fn spread(provider: &ProviderName, object: &ResourceId, attempts: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (provider, object, attempts).hash(&mut hasher);
    // 32 of its bits: as many as a float tells apart without rounding.
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// Retry-After as a provider may send it, kept within reason: absent or absurd values become a second
/// at least and an hour at most.
pub fn clamp_retry_after(asked: Option<Duration>) -> Duration {
    asked.unwrap_or(Duration::from_secs(5)).clamp(FIRST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_an_hour_and_never_overflows() {
        assert_eq!(back_off(0, 1.0), Duration::from_secs(1));
        assert_eq!(back_off(5, 1.0), Duration::from_secs(32));
        assert_eq!(back_off(5, 0.5), Duration::from_secs(16));
        assert_eq!(back_off(12, 1.0), LONGEST);
        assert_eq!(back_off(u32::MAX, 1.0), LONGEST);
        assert_eq!(back_off(3, 0.0), Duration::from_millis(250));
    }

    #[test]
    fn attempts_are_spread_over_the_wait() {
        let provider: ProviderName = "acme".parse().unwrap();
        let objects: Vec<ResourceId> = (0..400).map(|n| format!("u-{n}").parse().unwrap()).collect();
        let units: Vec<f64> = objects.iter().map(|object| spread(&provider, object, 1)).collect();
        for quarter in 0..4_u32 {
            let from = f64::from(quarter) / 4.0;
            let inside = units.iter().filter(|unit| (from..=from + 0.25).contains(*unit)).count();
            assert!((60..140).contains(&inside), "{inside} of 400 in the quarter from {from}");
        }
        assert!((spread(&provider, &objects[0], 1) - units[0]).abs() < f64::EPSILON, "the same again");
        assert!((spread(&provider, &objects[0], 2) - units[0]).abs() > f64::EPSILON, "another attempt");
    }

    #[test]
    fn statuses_fall_into_their_class() {
        let cases = [
            (400, Class::Permanent),
            (401, Class::Credentials),
            (403, Class::Refused),
            (404, Class::Gone),
            (405, Class::Unsupported),
            (409, Class::Conflict),
            (412, Class::VersionMoved),
            (413, Class::Permanent),
            (429, Class::Throttled),
            (503, Class::Transient),
        ];
        for (status, class) in cases {
            assert_eq!(class_of_status(status), class, "{status}");
        }
    }

    #[test]
    fn absurd_retry_after_is_clamped() {
        assert_eq!(clamp_retry_after(Some(Duration::ZERO)), FIRST);
        assert_eq!(clamp_retry_after(Some(Duration::from_secs(1_000_000))), LONGEST);
        assert_eq!(clamp_retry_after(None), Duration::from_secs(5));
    }
}
