//! The generic cell rate algorithm: a rate limiter whose whole state is one moment, the theoretical
//! arrival time of the next request. It never lets more through than the rate plus one burst.

use std::time::Duration;

use scimfleet_core::ports::Rate;

/// A [`Rate`] in the terms of the algorithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// From one request to the next.
    pub(crate) interval: Duration,
    /// How far the theoretical arrival time may lie ahead: the burst without its first request.
    pub(crate) tolerance: Duration,
}

impl Pace {
    /// A rate or burst of zero counts as one: a limiter slows down, it does not forbid.
    pub(crate) fn new(rate: Rate) -> Self {
        let interval = rate.per / rate.requests.max(1);
        Self { interval, tolerance: interval * (rate.burst.max(1) - 1) }
    }

    /// One of `workers` equal shares. Without a burst: several workers may lose sight of each other
    /// right after they used up the common one.
    pub(crate) fn share(rate: Rate, workers: u32) -> Self {
        let interval = rate.per * workers.max(1) / rate.requests.max(1);
        Self { interval, tolerance: Duration::ZERO }
    }

    /// Takes one request's worth: the new theoretical arrival time, or how long to wait. All moments
    /// are counted from the same start.
    pub(crate) fn take(self, arrival: Duration, now: Duration) -> Result<Duration, Duration> {
        let arrival = arrival.max(now);
        match arrival.saturating_sub(self.tolerance).checked_sub(now) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(arrival + self.interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(requests: u32, burst: u32) -> Rate {
        Rate { requests, per: SECOND, burst }
    }

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let pace = Pace::new(rate(10, 3));
        let mut arrival = Duration::ZERO;
        let start = SECOND;
        for _ in 0..3 {
            arrival = pace.take(arrival, start).unwrap();
        }
        assert_eq!(pace.take(arrival, start), Err(SECOND / 10));
        arrival = pace.take(arrival, start + SECOND / 10).unwrap();
        assert_eq!(pace.take(arrival, start + SECOND / 10), Err(SECOND / 10));
    }

    #[test]
    fn shares_add_up_to_the_limit() {
        for (requests, workers) in [(5, 4), (1, 8), (100, 3)] {
            let share = Pace::share(rate(requests, 10), workers);
            let together = f64::from(workers) / share.interval.as_secs_f64();
            assert!((together - f64::from(requests)).abs() < 0.001, "{requests} for {workers}: {together}");
        }
    }

    #[test]
    fn zeros_do_not_divide() {
        assert_eq!(Pace::new(rate(0, 0)), Pace { interval: SECOND, tolerance: Duration::ZERO });
        assert_eq!(Pace::share(rate(0, 0), 0).interval, SECOND);
    }
}
