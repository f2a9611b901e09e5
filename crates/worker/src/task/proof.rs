//! Whether a provider takes our credentials is shown by its first answer. After a quiet time one request goes
//! ahead of all others, so that a token that was withdrawn meanwhile is refused once by each worker and not
//! once for each request that fits in flight (hazard 19).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scimfleet_core::retry::Class;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

/// An answer proves the credentials for this long. Under load answers come far more often.
const PROVES_FOR: Duration = Duration::from_secs(5);
/// Whoever waits for the first answer waits no longer than this: a provider that never answers is found out
/// by its timeouts, and by many at once.
const AHEAD_MAX: Duration = Duration::from_secs(2);

/// When a provider last answered in a way that shows that it takes our credentials.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    answered_at: Mutex<Option<Instant>>,
    ahead: tokio::sync::Mutex<()>,
}

impl Proof {
    /// Waits while another request goes ahead. `Some`: this one does, until the guard is dropped.
    pub(crate) async fn ahead(&self) -> Option<MutexGuard<'_, ()>> {
        if self.holds(Instant::now()) {
            return None;
        }
        let ahead = tokio::time::timeout(AHEAD_MAX, self.ahead.lock()).await.ok()?;
        (!self.holds(Instant::now())).then_some(ahead)
    }

    /// An answer came: `None` for a good one, else the class of the error.
    pub(crate) fn answered(&self, error: Option<Class>, now: Instant) {
        if !matches!(error, Some(Class::Credentials | Class::Transient | Class::Unknown | Class::Throttled)) {
            *self.answered_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
    }

    fn holds(&self, now: Instant) -> bool {
        let answered_at = *self.answered_at.lock().unwrap_or_else(PoisonError::into_inner);
        answered_at.is_some_and(|at| now.saturating_duration_since(at) < PROVES_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_goes_ahead_until_an_answer_proves_the_credentials() {
        let proof = Proof::default();
        let first = proof.ahead().await;
        assert!(first.is_some());
        let (second, ()) = tokio::join!(proof.ahead(), async {
            proof.answered(None, Instant::now());
            drop(first);
        });
        assert!(second.is_none(), "the answer proves it for everybody");
    }

    #[tokio::test]
    async fn a_refusal_proves_nothing_and_the_next_one_goes_ahead() {
        let proof = Proof::default();
        for class in [Class::Credentials, Class::Transient, Class::Unknown, Class::Throttled] {
            let ahead = proof.ahead().await;
            assert!(ahead.is_some(), "{class:?}");
            proof.answered(Some(class), Instant::now());
        }
        proof.answered(Some(Class::Conflict), Instant::now());
        assert!(proof.ahead().await.is_none(), "whoever judges the content knows us");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_provider_that_never_answers() {
        let proof = Proof::default();
        let _ahead = proof.ahead().await;
        assert!(proof.ahead().await.is_none());
    }

    #[test]
    fn a_proof_grows_old() {
        let (proof, now) = (Proof::default(), Instant::now());
        proof.answered(None, now);
        assert!(proof.holds(now + PROVES_FOR / 2));
        assert!(!proof.holds(now + PROVES_FOR));
    }
}
