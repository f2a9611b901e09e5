//! Remembers that Redis did not answer, so that not every request waits for it in vain.

use std::sync::Mutex;
use std::time::Duration;

use scimfleet_core::ports::CoordinationError;
use tokio::time::Instant;

use crate::local::lock;

/// During an outage one question a second goes out to see whether it is over.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Absent while Redis answers.
    ask_again_at: Mutex<Option<Instant>>,
}

impl Outage {
    /// During an outage, true for one caller a second.
    pub(super) fn may_ask(&self) -> bool {
        let now = Instant::now();
        match &mut *lock(&self.ask_again_at) {
            None => true,
            Some(at) if *at <= now => {
                *at = now + ASK_AGAIN_AFTER;
                true
            }
            Some(_) => false,
        }
    }

    pub(super) fn seen(&self, error: &CoordinationError) {
        let again = Instant::now() + ASK_AGAIN_AFTER;
        if lock(&self.ask_again_at).replace(again).is_none() {
            tracing::warn!(%error, "lost the coordination service");
        }
    }

    pub(super) fn over(&self) {
        if lock(&self.ask_again_at).take().is_some() {
            tracing::info!("the coordination service is back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_caller_a_second_asks_during_an_outage() {
        let outage = Outage::default();
        assert!(outage.may_ask() && outage.may_ask());
        outage.seen(&CoordinationError { reason: "gone".to_owned() });
        assert!(!outage.may_ask());
        tokio::time::advance(ASK_AGAIN_AFTER).await;
        assert!(outage.may_ask());
        assert!(!outage.may_ask());
        outage.over();
        assert!(outage.may_ask() && outage.may_ask());
    }
}
