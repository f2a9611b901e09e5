//! One gate for each provider: whoever publishes what it is owed and whoever judges its whole directory stand
//! behind the same one, so that nothing that was judged is published before the guard saw it (R28), while all
//! other providers go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use scimfleet_core::ProviderId;
use tokio::sync::OwnedMutexGuard;

/// The gates of all providers.
#[derive(Clone, Default)]
pub struct Gates {
    gates: Arc<Mutex<HashMap<ProviderId, Arc<tokio::sync::Mutex<()>>>>>,
}

/// Passed by one at a time.
pub(crate) struct Passed {
    _gate: OwnedMutexGuard<()>,
}

impl Gates {
    /// Waits until nobody else works on the provider.
    pub(crate) async fn pass(&self, provider: ProviderId) -> Passed {
        Passed { _gate: self.gate(provider).lock_owned().await }
    }

    /// `None`: somebody else works on the provider, and will be done some time.
    pub(crate) fn pass_now(&self, provider: ProviderId) -> Option<Passed> {
        self.gate(provider).try_lock_owned().ok().map(|gate| Passed { _gate: gate })
    }

    fn gate(&self, provider: ProviderId) -> Arc<tokio::sync::Mutex<()>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).entry(provider).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_provider_at_a_time_and_each_by_itself() {
        let gates = Gates::default();
        let [acme, other] = [ProviderId(uuid::Uuid::now_v7()), ProviderId(uuid::Uuid::now_v7())];
        let passed = gates.pass(acme).await;
        assert!(gates.pass_now(acme).is_none());
        assert!(gates.clone().pass_now(other).is_some());
        drop(passed);
        assert!(gates.pass_now(acme).is_some());
    }
}
