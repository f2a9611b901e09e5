//! Publishing: what providers are owed, and the tasks of runs. Messages carry ids only; whatever gets
//! lost is dirty in the database and published again.

use std::collections::HashMap;

use scimfleet_core::state::ProviderState;
use scimfleet_core::task::{Cause, Lane, OBJECTS_PER_TASK_MAX, Task};
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind, RunId, TaskId};
use scimfleet_store::{NewTask, Owed, ProviderRow};
use uuid::Uuid;

use crate::{Scheduler, SchedulerError};

/// Objects published for one provider in one go.
const OWED_MAX: i64 = 2_000;
/// Tasks published again in one go.
const TASKS_MAX: i64 = 200;

impl Scheduler {
    /// Publishes what active providers are owed (R33: nothing for the others).
    pub(crate) async fn publish_owed(&self) -> Result<(), SchedulerError> {
        for provider in self.store.providers().await? {
            if provider.state != ProviderState::Active || provider.settings.dry_run {
                continue;
            }
            let since = self.store.running(provider.id).await?.and_then(|run| run.started_at_ms);
            loop {
                let owed = self.store.owed(provider.id, since, OWED_MAX).await?;
                if owed.is_empty() {
                    break;
                }
                self.publish_changes(&provider, &owed).await?;
            }
        }
        Ok(())
    }

    async fn publish_changes(&self, provider: &ProviderRow, owed: &[Owed]) -> Result<(), SchedulerError> {
        self.queue.declare_provider(&provider.settings.name).await?;
        let mut batches: Vec<((Lane, ResourceKind, Cause), Vec<ResourceId>)> = Vec::new();
        for object in owed {
            let lane = if object.leaving { Lane::Leavers } else { Lane::Changes };
            let cause = if object.retry { Cause::Retry } else { Cause::Change };
            let key = (lane, object.kind, cause);
            match batches.iter_mut().find(|(known, _)| *known == key) {
                Some((_, ids)) => ids.push(object.resource_id.clone()),
                None => batches.push((key, vec![object.resource_id.clone()])),
            }
        }
        let mut tasks = Vec::new();
        for ((lane, kind, cause), ids) in batches {
            for chunk in ids.chunks(OBJECTS_PER_TASK_MAX) {
                let name = provider.settings.name.clone();
                tasks.push(Task::new(TaskId(Uuid::now_v7()), None, name, kind, lane, cause, chunk.to_vec()));
            }
        }
        // Marked before it is published: a worker may be done, and the object owed again, before the publish
        // returns.
        let ids: Vec<ResourceId> = owed.iter().map(|object| object.resource_id.clone()).collect();
        self.store.mark_queued(provider.id, &ids).await?;
        if let Err(error) = self.queue.publish(&tasks, None).await {
            self.store.unmark_queued(provider.id, &ids).await?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Publishes the tasks of a phase, after they were inserted.
    pub(crate) async fn publish_tasks(
        &self,
        run: RunId,
        provider: &ProviderName,
        tasks: &[NewTask],
    ) -> Result<(), SchedulerError> {
        self.queue.declare_provider(provider).await?;
        for chunk in tasks.chunks(256) {
            let messages: Vec<Task> = chunk.iter().map(|task| task.message(run, provider)).collect();
            self.queue.publish(&messages, None).await?;
        }
        Ok(())
    }

    /// Publishes open tasks of runs that are due again (R14).
    pub(crate) async fn publish_due_tasks(&self) -> Result<(), SchedulerError> {
        loop {
            let due = self.store.tasks_due(TASKS_MAX).await?;
            if due.is_empty() {
                return Ok(());
            }
            let names = self.names().await?;
            let mut by_run: HashMap<(RunId, ProviderId), Vec<NewTask>> = HashMap::new();
            for (run, provider, task) in due {
                by_run.entry((run, provider)).or_default().push(task);
            }
            for ((run, provider), tasks) in by_run {
                if let Some(name) = names.get(&provider) {
                    self.publish_tasks(run, name, &tasks).await?;
                }
            }
        }
    }

    async fn names(&self) -> Result<HashMap<ProviderId, ProviderName>, SchedulerError> {
        let providers = self.store.providers().await?;
        Ok(providers.into_iter().map(|row| (row.id, row.settings.name)).collect())
    }

    /// The net below the signals: verdicts that are due, holds that expired, figures for the dashboards.
    pub(crate) async fn sweep(&self) -> Result<(), SchedulerError> {
        self.store.expire_holds().await?;
        self.store.erase_expired_passwords().await?;
        self.forget_old_log().await?;
        for provider in self.store.providers().await? {
            if provider.scope_due && self.duty == crate::Duty::Everything {
                self.judge_everything(&provider).await?;
                self.guard_leavers(&provider, None).await?;
            }
            self.measure(&provider).await?;
        }
        Ok(())
    }

    async fn measure(&self, provider: &ProviderRow) -> Result<(), SchedulerError> {
        use scimfleet_core::state::LinkState;
        use scimfleet_runtime::metrics::{DIRTY_OBJECTS, PARKED_OBJECTS, PROVIDER_STATE, QUEUE_MESSAGES};
        let name = provider.settings.name.to_string();
        let counts = self.store.link_counts(provider.id).await?;
        let parked = counts.by_state.get(&LinkState::Parked).copied().unwrap_or_default();
        metrics::gauge!(DIRTY_OBJECTS, "provider" => name.clone()).set(gauge(counts.dirty));
        metrics::gauge!(PARKED_OBJECTS, "provider" => name.clone()).set(gauge(parked));
        for state in ProviderState::ALL {
            let value = if *state == provider.state { 1.0 } else { 0.0 };
            metrics::gauge!(PROVIDER_STATE, "provider" => name.clone(), "state" => state.as_str()).set(value);
        }
        for lane in Lane::ALL {
            if let Ok(depth) = self.queue.depth(&provider.settings.name, *lane).await {
                metrics::gauge!(QUEUE_MESSAGES, "provider" => name.clone(), "lane" => lane.as_str()).set(gauge(depth));
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of a count needs no 53 bits")]
fn gauge(count: u64) -> f64 {
    count as f64
}
