//! The clock behind the store's seam (R5): the database's time, carried forward by the monotonic clock,
//! so that leases of workers whose wall clocks disagree do not (hazard 28).

use std::sync::RwLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long a reading of the database's clock is trusted; quartz drifts less than a millisecond in it.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Clock {
    reading: RwLock<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at_ms: i64,
    taken: Instant,
}

impl Clock {
    /// The local wall clock: right when the database is a file in this machine.
    pub(crate) fn local() -> Self {
        Self::beginning_at(wall_ms())
    }

    /// It is `at_ms` now.
    pub(crate) fn beginning_at(at_ms: i64) -> Self {
        Self { reading: RwLock::new(Reading { at_ms, taken: Instant::now() }) }
    }

    /// Sets the clock by a reading of the database's.
    pub(crate) fn set(&self, at_ms: i64) {
        if let Ok(mut reading) = self.reading.write() {
            *reading = Reading { at_ms, taken: Instant::now() };
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        let reading = *self.reading.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        reading.at_ms + i64::try_from(reading.taken.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.reading.read().map_or(true, |reading| reading.taken.elapsed() > FRESH_FOR)
    }
}

pub(crate) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}
