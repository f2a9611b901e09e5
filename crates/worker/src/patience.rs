//! How long a place is kept by somebody who waits for a provider: one that is slow must not hold what others could
//! use.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Whoever waits longer than this waits for the provider, not for us.
const MAX_MS: u64 = 2_000;
/// The same after others waited that long: a provider known for being slow gives its places back sooner.
const MIN_MS: u64 = 50;

/// The patience with one provider, for all who wait for it.
#[derive(Debug)]
pub(crate) struct Patience(AtomicU64);

impl Default for Patience {
    fn default() -> Self {
        Self(AtomicU64::new(MAX_MS))
    }
}

impl Patience {
    /// Does `work` in its place, and gives the place back as soon as patience is at its end.
    pub(crate) async fn keep<P, T>(&self, place: P, work: impl Future<Output = T>) -> T {
        let (began, patience) = (Instant::now(), self.0.load(Ordering::Relaxed));
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout(Duration::from_millis(patience), &mut work).await {
            self.0.store(MAX_MS, Ordering::Relaxed);
            return done;
        }
        drop(place);
        self.0.store((patience / 4).max(MIN_MS), Ordering::Relaxed);
        let done = work.await;
        if began.elapsed() < Duration::from_millis(MAX_MS) {
            self.0.store(MAX_MS, Ordering::Relaxed);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    /// After how long the place was free, in milliseconds, where the work takes `work_ms`.
    async fn kept_ms(patience: &Patience, work_ms: u64) -> u128 {
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().acquire_owned().await.unwrap();
        let began = Instant::now();
        let free = async {
            let _place = places.acquire().await.unwrap();
            began.elapsed().as_millis()
        };
        let work = patience.keep(place, tokio::time::sleep(Duration::from_millis(work_ms)));
        tokio::join!(work, free).1
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_gives_its_place_back_and_sooner_each_time() {
        let patience = Patience::default();
        assert!(kept_ms(&patience, 300).await.abs_diff(300) <= 2, "to the end");
        for wanted in [2_000, 500, 125, 50, 50] {
            assert!(kept_ms(&patience, 30_000).await.abs_diff(wanted) <= 2, "{wanted}");
        }
        assert!(kept_ms(&patience, 300).await.abs_diff(50) <= 2, "nobody knew yet that it would be quick");
        assert!(kept_ms(&patience, 300).await.abs_diff(300) <= 2);
    }
}
