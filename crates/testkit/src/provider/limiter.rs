//! The provider's own limit of requests, as a bucket that fills steadily.

use std::time::{Duration, SystemTime};
use tokio::time::Instant;

use super::behaviour::{RateLimit, RetryAfter};

#[derive(Debug)]
pub(crate) struct Limiter {
    tokens: f64,
    filled_at: Option<Instant>,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self { tokens: 0.0, filled_at: None }
    }

    /// Takes one request's worth, or says how long until there is one.
    pub(crate) fn take(&mut self, limit: RateLimit, now: Instant) -> Result<(), Duration> {
        let burst = f64::from(limit.burst.max(1));
        self.tokens = match self.filled_at {
            None => burst,
            Some(then) => (self.tokens + now.duration_since(then).as_secs_f64() * limit.per_second).min(burst),
        };
        self.filled_at = Some(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::try_from_secs_f64((1.0 - self.tokens) / limit.per_second).unwrap_or(Duration::MAX))
    }
}

/// `Retry-After` (RFC 9110 §10.2.3) in this provider's way.
pub(crate) fn retry_after(style: RetryAfter, wait: Duration) -> Option<String> {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    match style {
        RetryAfter::Seconds => Some(format!("{seconds:.0}")),
        RetryAfter::Date => Some(httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs_f64(seconds))),
        RetryAfter::Absent => None,
        RetryAfter::Absurd => Some((10 * 365 * 86_400_u64).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let limit = RateLimit { per_second: 5.0, burst: 2, retry_after: RetryAfter::Seconds };
        let (mut limiter, start) = (Limiter::new(), Instant::now());
        assert!(limiter.take(limit, start).is_ok() && limiter.take(limit, start).is_ok());
        let wait = limiter.take(limit, start).unwrap_err();
        assert!((wait.as_secs_f64() - 0.2).abs() < 1e-6, "{wait:?}");
        assert!(limiter.take(limit, start + Duration::from_millis(210)).is_ok());
        assert!(limiter.take(limit, start + Duration::from_millis(220)).is_err());
    }
}
