//! Publishing: what providers are owed, and the tasks of runs. Messages carry ids only; whatever gets
//! lost is dirty in the database and published again.

use std::collections::{HashMap, HashSet};

use scimfleet_core::state::ProviderState;
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind, RunId, TaskId};
use scimfleet_runtime::trace::follow;
use scimfleet_store::{NewTask, Owed, ProviderRow, TOMBSTONES_KEPT_MS};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::gates::Passed;
use crate::traces::APART_MAX;
use crate::{Scheduler, SchedulerError};

/// What the messages of one batch have in common.
type Common = (Lane, ResourceKind, Cause, Option<String>);

/// Objects published for one provider in one go.
const OWED_MAX: i64 = 2_000;
/// Tombstones forgotten in one go.
const TOMBSTONES_MAX: i64 = 1_000;
/// Tasks published again in one go.
const TASKS_MAX: i64 = 200;

/// How much of what is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    All,
    /// Only what takes access away.
    Leavers,
}

/// What one round of publishing leaves to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// What is owed is published, as far as it is known.
    Nothing,
    /// Something may be owed where others are at work, who end by themselves.
    Waiting,
    /// There may be another portion.
    More,
}

impl Scheduler {
    /// Publishes what active providers are owed (R33: nothing for the others), a portion for each, leavers
    /// first. Returns whether there may be more. A provider whose gate is closed gets its own later.
    pub(crate) async fn publish_owed(&self, part: Part) -> Result<bool, SchedulerError> {
        let mut left = Left::Nothing;
        for provider in self.store.providers().await? {
            if provider.state != ProviderState::Active || provider.settings.dry_run {
                continue;
            }
            left = left.max(match self.gates.pass_now(provider.id) {
                Some(passed) => self.publish_owed_to(&passed, &provider, part).await?,
                None => Left::Waiting,
            });
        }
        if part == Part::All && left == Left::Nothing {
            self.traces.forget_objects();
        }
        Ok(left == Left::More)
    }

    async fn publish_owed_to(
        &self,
        passed: &Passed,
        provider: &ProviderRow,
        part: Part,
    ) -> Result<Left, SchedulerError> {
        let running = self.store.running(provider.id).await?;
        if running.is_none() && self.store.queued_run(provider.id).await?.is_some() {
            // It is about to begin and takes over all that is owed, leavers first.
            return Ok(Left::Waiting);
        }
        self.guard_leavers(passed, provider, None).await?;
        let since = running.and_then(|run| run.started_at_ms);
        let mut owed = self.store.owed(provider.id, since, OWED_MAX).await?;
        let portion = owed.len();
        if part == Part::Leavers {
            owed.retain(|object| object.leaving);
        }
        if !owed.is_empty() {
            self.publish_changes(provider, &owed).await?;
        }
        let whole = i64::try_from(portion).is_ok_and(|portion| portion < OWED_MAX);
        Ok(if whole { Left::Nothing } else { Left::More })
    }

    async fn publish_changes(&self, provider: &ProviderRow, owed: &[Owed]) -> Result<(), SchedulerError> {
        self.queue.declare_provider(&provider.settings.name).await?;
        let mut batches = Vec::new();
        for (common, ids) in self.batches(owed) {
            let cut = self.cut_objects(provider, common.1, &ids).await?;
            batches.push((common, cut));
        }
        // Marked before it is published: a worker may be done, and the object owed again, before the publish
        // returns.
        let all: Vec<ResourceId> = owed.iter().map(|object| object.resource_id.clone()).collect();
        self.store.mark_queued(provider.id, &all).await?;
        for ((lane, kind, cause, context), cut) in batches {
            let name = &provider.settings.name;
            let message =
                |ids: Vec<ResourceId>| Task::new(TaskId(Uuid::now_v7()), None, name.clone(), kind, lane, cause, ids);
            let tasks: Vec<Task> = cut.into_iter().map(message).collect();
            let span = tracing::info_span!("publish", provider = %name, lane = %lane, otel.kind = "producer");
            let context = follow(&span, context.as_deref());
            if let Err(error) = self.queue.publish(&tasks, context.as_deref()).instrument(span).await {
                self.store.unmark_queued(provider.id, &all).await?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// What is owed by what its messages have in common. Changes of one trace travel together and apart from
    /// others, as long as those are few.
    fn batches(&self, owed: &[Owed]) -> Vec<(Common, Vec<ResourceId>)> {
        let mut batches: Vec<(Common, Vec<ResourceId>)> = Vec::new();
        let mut apart: HashSet<String> = HashSet::new();
        for object in owed {
            let lane = if object.leaving { Lane::Leavers } else { Lane::Changes };
            let cause = if object.retry { Cause::Retry } else { Cause::Change };
            let context = self
                .traces
                .of(&object.resource_id)
                .filter(|context| apart.contains(context) || apart.len() < APART_MAX && apart.insert(context.clone()));
            let key = (lane, object.kind, cause, context);
            match batches.iter_mut().find(|(known, _)| *known == key) {
                Some((_, ids)) => ids.push(object.resource_id.clone()),
                None => batches.push((key, vec![object.resource_id.clone()])),
            }
        }
        batches
    }

    /// Publishes the tasks of a phase, after they were inserted.
    pub(crate) async fn publish_tasks(
        &self,
        run: RunId,
        provider: &ProviderName,
        tasks: &[NewTask],
    ) -> Result<(), SchedulerError> {
        if let Err(error) = self.queue.declare_provider(provider).await {
            self.store.tasks_unpublished(tasks).await?;
            return Err(error.into());
        }
        let span = tracing::info_span!("publish", run = %run, provider = %provider, otel.kind = "producer");
        let context = follow(&span, self.traces.of_run(run).as_deref());
        for chunk in tasks.chunks(256) {
            let messages: Vec<Task> = chunk.iter().map(|task| task.message(run, provider)).collect();
            if let Err(error) = self.queue.publish(&messages, context.as_deref()).instrument(span.clone()).await {
                self.store.tasks_unpublished(tasks).await?;
                return Err(error.into());
            }
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

    /// What nobody began with although its queue holds nothing was lost with a queue or a broker, and is owed
    /// again at once (R7, R14). Messages in hand look the same until their worker has a place for them; what
    /// is then published twice is claimed once.
    pub(crate) async fn recover_lost(&self) -> Result<(), SchedulerError> {
        for provider in self.store.providers().await? {
            let name = &provider.settings.name;
            for lane in Lane::ALL {
                let (id, lane) = (provider.id, *lane);
                if !self.store.has_unbegun(id, lane).await? || self.queue.depth(name, lane).await? > 0 {
                    continue;
                }
                let lost = self.store.take_for_lost(id, lane).await?;
                tracing::info!(provider = %name, lane = %lane, lost, "published, and neither begun nor in the queue: published again");
            }
        }
        Ok(())
    }

    async fn names(&self) -> Result<HashMap<ProviderId, ProviderName>, SchedulerError> {
        let providers = self.store.providers().await?;
        Ok(providers.into_iter().map(|row| (row.id, row.settings.name)).collect())
    }

    /// The net below the signals: verdicts that are due, holds that expired, figures for the dashboards.
    pub(crate) async fn sweep(&self) -> Result<(), SchedulerError> {
        self.store.expire_holds().await?;
        self.store.erase_expired_passwords().await?;
        self.store.purge_tombstones(TOMBSTONES_KEPT_MS, TOMBSTONES_MAX).await?;
        self.forget_old_log().await?;
        let providers = self.store.providers().await?;
        for provider in &providers {
            if provider.scope_due && self.duty == crate::Duty::Everything {
                let passed = self.gates.pass(provider.id).await;
                self.judge_everything(provider).await?;
                self.guard_leavers(&passed, provider, None).await?;
            }
        }
        self.measure_links(&providers).await
    }
}
