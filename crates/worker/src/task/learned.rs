//! What a task learns about its provider: that it asks to wait, that it is down, how it wants to be
//! spoken to. Said once here, so that other tasks and other workers know.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use scimfleet_core::profile::Update;
use scimfleet_core::retry::Class;
use scimfleet_core::state::{ProviderState, RunState};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_runtime::metrics::THROTTLED_TOTAL;
use scimfleet_scim_client::{ListPosition, Projection};
use tokio::time::Instant;

use super::wire::Route;
use super::{Session, TaskError, run_error};
use crate::allowance::slow_down;

/// The switch of the same name.
pub(crate) const BULK_REFERENCES: &str = "bulk_references";

impl Session<'_> {
    pub(crate) fn note_throttled(&self, wait: Duration) {
        if let Ok(mut throttled) = self.throttled.lock() {
            *throttled = Some(throttled.map_or(wait, |known| known.max(wait)));
        }
        metrics::counter!(THROTTLED_TOTAL, "provider" => self.provider.row.name().to_string()).increment(1);
    }

    pub(crate) fn note_failure(&self, class: Class, words: &str) {
        if let Some(trip) = self.health.failed(class)
            && let Ok(mut tripped) = self.tripped.lock()
        {
            *tripped = Some((trip, words.to_owned()));
        }
    }

    /// An object answered 404: one is its own affair, many are the provider's (R30).
    pub(crate) fn note_not_found(&self, object: &ResourceId, words: &str) {
        let mut hasher = DefaultHasher::new();
        object.hash(&mut hasher);
        if let Some(trip) = self.health.not_found(hasher.finish(), Instant::now())
            && let Ok(mut tripped) = self.tripped.lock()
        {
            let words =
                format!("more than five objects were not found within a minute; is `base_url` right? ({words})");
            *tripped = Some((trip, words));
        }
    }

    /// Whether the provider refuses a harmless read as well: then a 403 is its own, not the object's (R30).
    /// Asked once a task.
    pub(crate) async fn refuses_everything(&self, kind: ResourceKind) -> bool {
        let asked = self.refused.get_or_init(|| async {
            let Ok(mut turn) = self.turn(kind, Route::Read).await else { return false };
            let position = ListPosition::start_of(&self.provider.profile);
            let asked = self.provider.client.list(kind, &position, Projection::Only("id"), &self.context);
            let listed = turn.wait(asked).await;
            self.note_reply(&listed);
            listed.is_err_and(|error| error.class() == Class::Refused)
        });
        *asked.await
    }

    /// Remembers how the provider wants updates; the profile follows at the next task.
    pub(crate) async fn remember_update(&self, update: Update) {
        let value = serde_json::Value::from(update.as_str());
        if let Err(error) = self.worker.store.remember(self.provider.row.id, "update", &value).await {
            tracing::debug!(error = %error, "the update method could not be remembered");
        }
    }

    /// Operations that one bulk request may hold there; none: it has no bulk, whatever it announces.
    pub(crate) async fn remember_bulk(&self, operations: usize) {
        let value = serde_json::Value::from(operations);
        if let Err(error) = self.worker.store.remember(self.provider.row.id, "bulk_operations", &value).await {
            tracing::debug!(error = %error, "the room of a bulk request could not be remembered");
        }
    }

    /// The provider took a deleted member out of its groups by itself: nobody needs to be taken out again.
    pub(crate) async fn remember_delete_leaves_groups(&self) {
        let value = serde_json::Value::Bool(true);
        if let Err(error) = self.worker.store.remember(self.provider.row.id, "delete_leaves_groups", &value).await {
            tracing::debug!(error = %error, "what the provider does by itself could not be remembered");
        }
    }

    /// Whether the provider puts accounts in place of the names of operations in a bulk request.
    pub(crate) async fn remember_bulk_references(&self, resolves: bool) {
        if let Err(error) = self.worker.store.remember(self.provider.row.id, BULK_REFERENCES, &resolves.into()).await {
            tracing::debug!(error = %error, "whether references are resolved could not be remembered");
        }
    }

    /// Filters answer nothing whatever is asked: everybody is listed instead.
    pub(crate) async fn remember_no_filter(&self) {
        if let Err(error) = self.worker.store.remember(self.provider.row.id, "filter", &false.into()).await {
            tracing::debug!(error = %error, "that filters find nobody could not be remembered");
        }
    }

    /// Sets the provider aside when it is down, and fails the run that met it.
    pub(crate) async fn open_breaker(&self) -> Result<(), TaskError> {
        let throttled = self.throttled.lock().ok().and_then(|wait| *wait);
        if let Some(wait) = throttled {
            slow_down(&*self.worker.coordination, &self.provider, wait).await;
        }
        let Some((trip, words)) = self.tripped.lock().ok().and_then(|mut tripped| tripped.take()) else {
            return Ok(());
        };
        let store = &self.worker.store;
        tracing::warn!(provider = %self.provider.row.name(), reason = words, "the provider is degraded");
        store.set_provider_state(self.provider.row.id, ProviderState::Degraded, Some(&words)).await?;
        if let Some(run) = self.task.run {
            store.end_run(run, RunState::Failed, Some(&run_error(trip.code(), &words))).await?;
        }
        Ok(())
    }
}
