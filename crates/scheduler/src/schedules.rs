//! Runs by schedule: one run per provider and slot, whoever the scheduler is (hazard 10).

use scimfleet_core::state::ProviderState;
use scimfleet_runtime::Schedule;
use scimfleet_store::{Opening, ProviderRow, RunKind};

use crate::{Scheduler, SchedulerError};

impl Scheduler {
    /// Opens the runs whose slot has begun. A provider is first synchronised when it is new, then by its
    /// slots; a slot that finds another run going is skipped, and says so (R17).
    pub(crate) async fn open_scheduled(&self) -> Result<(), SchedulerError> {
        for provider in self.store.providers().await? {
            let Some(slot) = self.schedule_of(&provider).slot(self.store.now_ms()) else { continue };
            if self.store.has_slot(provider.id, slot).await? {
                continue;
            }
            if provider.state != ProviderState::Active {
                let reason = format!("provider `{}` is {}", provider.settings.name, provider.state);
                self.store.skip_run(provider.id, slot, &reason).await?;
            } else if self.store.running(provider.id).await?.is_some() {
                self.store.skip_run(provider.id, slot, "another run of this provider is going").await?;
            } else {
                self.store.queue_run(provider.id, RunKind::Full, Opening::Scheduled(slot)).await?;
            }
        }
        Ok(())
    }

    fn schedule_of(&self, provider: &ProviderRow) -> Schedule {
        match provider.settings.schedule.as_deref().map(str::parse::<Schedule>) {
            Some(Ok(schedule)) => schedule,
            Some(Err(error)) => {
                tracing::warn!(provider = %provider.settings.name, error = %error, "the schedule cannot be read; the default is used");
                self.full_sync_every.clone()
            }
            None => self.full_sync_every.clone(),
        }
    }
}
