//! Places for requests and tasks, some of which only leavers take (R27): a full sync that waits for a slow or
//! limited provider must not stand before somebody who is to lose access.

use std::sync::Arc;

use scimfleet_core::task::Lane;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So much at once.
#[derive(Debug)]
pub struct Places {
    common: Arc<Semaphore>,
    leavers: Arc<Semaphore>,
}

impl Places {
    /// So many places in all, at least one. The last one is kept for leavers where there is another.
    pub fn new(count: usize) -> Self {
        let reserved = usize::from(count > 1);
        Self::with_reserve(count.saturating_sub(reserved), reserved)
    }

    /// Places for everybody, at least one, and further ones for leavers only.
    pub(crate) fn with_reserve(common: usize, leavers: usize) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { common: places(common.max(1)), leavers: places(leavers) }
    }

    /// Waits for a place; dropping it gives it back. `None` never happens while `self` lives.
    pub(crate) async fn take(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        let common = self.common.clone().acquire_owned();
        if lane != Lane::Leavers {
            return common.await.ok();
        }
        tokio::select! {
            biased;
            own = self.leavers.clone().acquire_owned() => own.ok(),
            common = common => common.ok(),
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
