//! How many requests may be under way at once, with one place that only leavers take (R27): a full sync that
//! waits for a slow or limited provider must not stand before somebody who is to lose access.

use scimfleet_core::task::Lane;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A number of requests at once.
#[derive(Debug)]
pub struct Places {
    common: Semaphore,
    leavers: Semaphore,
}

impl Places {
    /// So many places in all, at least one. The last one is kept for leavers where there is another.
    pub fn new(count: usize) -> Self {
        let reserved = usize::from(count > 1);
        let common = count.saturating_sub(reserved).clamp(1, Semaphore::MAX_PERMITS);
        Self { common: Semaphore::new(common), leavers: Semaphore::new(reserved) }
    }

    /// Waits for a place; dropping it gives it back. `None` never happens while `self` lives.
    pub(crate) async fn take(&self, lane: Lane) -> Option<SemaphorePermit<'_>> {
        if lane != Lane::Leavers {
            return self.common.acquire().await.ok();
        }
        tokio::select! {
            biased;
            own = self.leavers.acquire() => own.ok(),
            common = self.common.acquire() => common.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_place_is_for_leavers_only() {
        let places = Places::new(3);
        let mut taken = vec![places.take(Lane::Sync).await, places.take(Lane::Changes).await];
        let more = tokio::time::timeout(std::time::Duration::from_millis(20), places.take(Lane::Sync));
        assert!(more.await.is_err(), "two of three are all that others get");
        taken.push(places.take(Lane::Leavers).await);
        assert!(taken.iter().all(Option::is_some));
    }

    #[tokio::test]
    async fn a_single_place_serves_everybody() {
        let places = Places::new(1);
        assert!(places.take(Lane::Sync).await.is_some());
        assert!(places.take(Lane::Leavers).await.is_some());
    }
}
