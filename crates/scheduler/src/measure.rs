//! Figures for the dashboards: what is owed, who waits, how each provider stands.

use std::collections::HashMap;

use scimfleet_core::ProviderId;
use scimfleet_core::state::{LinkState, ProviderState};
use scimfleet_core::task::Lane;
use scimfleet_runtime::metrics::{
    DIRTY_OBJECTS, DIRTY_OLDEST_SECONDS, HELD_OBJECTS, LEAVER_OLDEST_SECONDS, LEAVERS_WAITING, PARKED_OBJECTS,
    PROVIDER_STATE, PROVIDER_STATE_SECONDS, QUEUE_MESSAGES, SCHEDULER_LEADS,
};
use scimfleet_store::{LeaverFigure, ProviderRow};

use crate::{Scheduler, SchedulerError};

/// Whether this scheduler has the lease.
pub(crate) fn leads(leads: bool) {
    metrics::gauge!(SCHEDULER_LEADS).set(if leads { 1.0 } else { 0.0 });
}

impl Scheduler {
    /// What costs next to nothing, every few seconds: the states of providers and the depths of their lanes.
    pub(crate) async fn measure_states(&self) -> Result<(), SchedulerError> {
        let now = self.store.now_ms();
        for provider in self.store.providers().await? {
            let name = provider.settings.name.to_string();
            for state in ProviderState::ALL {
                let value = if *state == provider.state { 1.0 } else { 0.0 };
                metrics::gauge!(PROVIDER_STATE, "provider" => name.clone(), "state" => state.as_str()).set(value);
            }
            metrics::gauge!(PROVIDER_STATE_SECONDS, "provider" => name.clone())
                .set(seconds(Some(provider.state_since_ms), now));
            for lane in Lane::ALL {
                if let Ok(depth) = self.queue.depth(&provider.settings.name, *lane).await {
                    metrics::gauge!(QUEUE_MESSAGES, "provider" => name.clone(), "lane" => lane.as_str())
                        .set(gauge(depth));
                }
            }
        }
        Ok(())
    }

    /// What reads the links, with each sweep.
    pub(crate) async fn measure_links(&self, providers: &[ProviderRow]) -> Result<(), SchedulerError> {
        let waiting = self.store.leaver_figures().await?;
        let waiting: HashMap<ProviderId, &LeaverFigure> =
            waiting.iter().map(|figure| (figure.provider_id, figure)).collect();
        let now = self.store.now_ms();
        for provider in providers {
            let name = provider.settings.name.to_string();
            let glance = self.store.glance(provider.id).await?;
            let parked = glance.by_state.get(&LinkState::Parked).copied().unwrap_or_default();
            let leavers = waiting.get(&provider.id);
            let oldest = seconds(leavers.map(|figure| figure.since_ms), now);
            metrics::gauge!(DIRTY_OBJECTS, "provider" => name.clone()).set(gauge(glance.owed));
            metrics::gauge!(DIRTY_OLDEST_SECONDS, "provider" => name.clone()).set(seconds(glance.owed_since_ms, now));
            metrics::gauge!(PARKED_OBJECTS, "provider" => name.clone()).set(gauge(parked));
            metrics::gauge!(HELD_OBJECTS, "provider" => name.clone()).set(gauge(glance.held));
            metrics::gauge!(LEAVERS_WAITING, "provider" => name.clone())
                .set(gauge(leavers.map_or(0, |figure| figure.waiting)));
            metrics::gauge!(LEAVER_OLDEST_SECONDS, "provider" => name).set(oldest);
        }
        Ok(())
    }
}

/// Since a time, in seconds; 0 when there is none.
fn seconds(since_ms: Option<i64>, now_ms: i64) -> f64 {
    since_ms.map_or(0.0, |since| gauge((now_ms - since).max(0).unsigned_abs()) / 1000.0)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of a count needs no 53 bits")]
fn gauge(count: u64) -> f64 {
    count as f64
}
