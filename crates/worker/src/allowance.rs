//! How fast a provider may be called, by all workers together: the number that an operator gave, else what one of
//! them learned from a 429. Kept by the coordination service, so that a new worker begins with what the others know.

use std::time::Duration;

use scimfleet_core::ports::{Coordination, Rate};
use tokio::time::Instant;

use crate::provider::Provider;
use crate::task::rate::FORGOTTEN_AFTER;

/// Of what may come at once, half is sent at once: requests overtake each other on the way, and the provider
/// counts them as they arrive. The average stays what it is.
pub(crate) fn steady(rate: Rate) -> Rate {
    Rate { burst: rate.burst.div_ceil(2), ..rate }
}

/// The allowance of all of a provider's requests; `None`: nobody gave a number, and nothing was learned.
pub(crate) async fn allowance(coordination: &dyn Coordination, provider: &Provider) -> Option<Rate> {
    if let Some(rate) = provider.rate {
        return Some(steady(rate));
    }
    let (learning, now) = (&provider.health.learning, Instant::now());
    if learning.wants_to_hear(now) {
        learning.heard(coordination.learned_rate(provider.row.name()).await, now);
    }
    learning.limit(now).map(steady)
}

/// The provider said 429: nobody calls it for as long as it asked, and where no number is known everybody calls it
/// more slowly afterwards.
pub(crate) async fn slow_down(coordination: &dyn Coordination, provider: &Provider, wait: Duration) {
    let name = provider.row.name();
    coordination.close_gate(name, wait).await;
    if provider.rate.is_some() {
        return;
    }
    let workers = coordination.workers().await.map_or(1, |workers| workers.len());
    let workers = u32::try_from(workers).unwrap_or(1);
    if let Some(per_second) = provider.health.learning.too_fast(workers, Instant::now()) {
        coordination.learn_rate(name, per_second, FORGOTTEN_AFTER).await;
    }
}
