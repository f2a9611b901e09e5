//! How fast a provider may be called, by all workers together: the number that an operator gave, else what one of
//! them learned from a 429. Kept by the coordination service, so that a new worker begins with what the others know.

use std::time::Duration;

use scimfleet_core::ports::{Coordination, Rate};
use scimfleet_core::provider::parse_rate;
use scimfleet_store::ProviderRow;
use tokio::time::Instant;

use crate::Worker;
use crate::provider::Provider;
use crate::task::rate::FORGOTTEN_AFTER;

/// Requests that ask a provider what it announces (RFC 7644 §4): configuration, resource types, schemas.
const DISCOVERY_REQUESTS: u32 = 3;

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

/// What a provider announces is asked for at once; the requests that follow wait for it, so that its limit is
/// kept all the same.
pub(crate) async fn charge_discovery(worker: &Worker, provider: &ProviderRow) {
    let Some(rate) = provider.settings.rate.as_deref().and_then(parse_rate) else { return };
    let ahead = Rate { burst: rate.burst.saturating_add(DISCOVERY_REQUESTS), ..rate };
    for _ in 0..DISCOVERY_REQUESTS {
        worker.coordination.try_acquire(provider.name(), "all", Some(ahead)).await;
    }
}
