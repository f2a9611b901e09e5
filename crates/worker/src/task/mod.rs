//! One task: claim → load → map → merge → validate → plan → intend → send → record. Acknowledging is the
//! consumer's, and comes after.

mod attempt;
mod bulk;
mod create;
mod doubt;
mod guard;
mod invalid;
mod learned;
pub(crate) mod lookup;
mod members;
mod merge;
pub(crate) mod pace;
mod password;
pub(crate) mod proof;
pub(crate) mod rate;
mod reference;
mod send;
mod settle;
mod turn;
mod update;
pub(crate) mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Leaving, Plan, leaver_action, plan_away, plan_wanted};
use scimfleet_core::provider::Drift;
use scimfleet_core::retry::Class;
use scimfleet_core::state::{ProviderState, RunState};
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_scim_client::RequestContext;
use scimfleet_store::{ClaimedLink, ProviderRow, Recorded, ResourceRow, RunError, StoreError, TaskClose, Wanted};

use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::attempt::Attempt;
use self::bulk::{Bulk, Room};
use self::doubt::doubts_of;
use self::lookup::{Everybody, Listed, Sought};
use self::pace::{Health, LEASE, RENEW_EVERY, Tenure, Trip};
use self::settle::intent_of;
use self::turn::WRITER_WAIT;
use crate::Worker;
use crate::allowance::charge_discovery;
use crate::desire::{Desire, DesireError, desires};
use crate::provider::{Provider, ProviderError};

/// What became of a task, for the broker.
#[derive(Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// Recorded as far as it goes: ack. What is left of it stays dirty in the database.
    Completed,
    /// The database is in trouble: nothing was recorded, nothing is acknowledged (R32).
    Held(String),
    /// Nobody can ever work on it: dead letter.
    Discarded(String),
}

/// Why a task was broken off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Desire(#[from] DesireError),
}

impl TaskError {
    fn is_trouble(&self) -> bool {
        match self {
            Self::Store(error) | Self::Desire(DesireError::Store(error)) => error.is_trouble(),
            Self::Provider(error) => error.is_trouble(),
            Self::Desire(DesireError::Evaluator(_)) => false,
        }
    }
}

/// What one task works with.
pub(crate) struct Session<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) provider: Arc<Provider>,
    pub(crate) task: &'a Task,
    pub(crate) context: RequestContext,
    pub(crate) tenure: Tenure,
    pub(crate) health: Arc<Health>,
    pub(crate) bulk: Bulk,
    refused: OnceCell<bool>,
    resolves: OnceCell<bool>,
    /// Everybody at the provider, where look-ups need a listing.
    pub(crate) everybody: tokio::sync::Mutex<Option<Everybody>>,
    throttled: Mutex<Option<Duration>>,
    tripped: Mutex<Option<(Trip, String)>>,
}

/// Works on a task to its end, whatever that is. `traceparent` is the trace context of the change.
pub async fn process(worker: &Worker, task: &Task, traceparent: Option<String>) -> TaskOutcome {
    match work(worker, task, traceparent).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_trouble() => TaskOutcome::Held(error.to_string()),
        Err(error) => broken(worker, task, &error).await,
    }
}

/// A task that cannot be worked on fails its run; objects outside a run stay dirty and come again.
async fn broken(worker: &Worker, task: &Task, error: &TaskError) -> TaskOutcome {
    tracing::error!(error = %error, "the task could not be worked on");
    let (code, trip) = match error {
        TaskError::Provider(ProviderError::Unreachable(error)) if error.class() == Class::Credentials => {
            ("credentials", Some(Trip::Credentials))
        }
        TaskError::Provider(ProviderError::Unreachable(_)) => ("unreachable", Some(Trip::Down)),
        TaskError::Provider(ProviderError::Settings { .. }) => ("configuration", None),
        _ => ("internal", None),
    };
    let failed = async {
        if let Some(run) = task.run {
            worker.store.end_run(run, RunState::Failed, Some(&run_error(code, &error.to_string()))).await?;
        }
        if trip.is_some()
            && let Some(row) = worker.store.provider(&task.provider).await?
        {
            leave_to_sweep(worker, &row, task, &task.objects).await?;
            if row.state == ProviderState::Active {
                worker.store.set_provider_state(row.id, ProviderState::Degraded, Some(&error.to_string())).await?;
            }
        }
        Ok::<(), StoreError>(())
    };
    match failed.await {
        Ok(()) => TaskOutcome::Completed,
        Err(error) => TaskOutcome::Held(error.to_string()),
    }
}

pub(crate) fn run_error(code: &str, message: &str) -> RunError {
    RunError { code: code.to_owned(), message: message.to_owned(), object: None, mapping: None, violations: Vec::new() }
}

async fn work(worker: &Worker, task: &Task, traceparent: Option<String>) -> Result<TaskOutcome, TaskError> {
    let Some(row) = worker.store.provider(&task.provider).await? else {
        return Ok(TaskOutcome::Discarded(format!("there is no provider `{}`", task.provider)));
    };
    if task.run.is_some() {
        worker.store.begin_run_task(task.task, &worker.name).await?;
    }
    if !may_work(task, row.state) || !run_goes_on(worker, task).await? {
        leave_to_sweep(worker, &row, task, &task.objects).await?;
        return Ok(TaskOutcome::Completed);
    }
    if task.cause == Cause::Observe || row.announced.is_none() {
        charge_discovery(worker, &row).await;
    }
    let provider = if task.cause == Cause::Observe {
        // A listing begins with what the provider announces now, and shows whether it is back.
        worker.providers.discover(row).await?
    } else {
        match worker.providers.get(&task.provider).await? {
            Some(provider) => provider,
            None => return Ok(TaskOutcome::Completed),
        }
    };
    let bulk = Bulk::new(Room::of(&provider.row.settings, &provider.profile));
    let session = Session {
        worker,
        bulk,
        health: provider.health.clone(),
        provider,
        task,
        context: RequestContext { traceparent },
        tenure: Tenure::new(Instant::now()),
        refused: OnceCell::new(),
        resolves: OnceCell::new(),
        everybody: tokio::sync::Mutex::new(None),
        throttled: Mutex::new(None),
        tripped: Mutex::new(None),
    };
    if task.cause == Cause::Observe {
        session.observe().await?;
    } else {
        session.objects().await?;
    }
    session.open_breaker().await?;
    Ok(TaskOutcome::Completed)
}

/// Leavers are tried while a provider is degraded or quarantined; a listing by hand is its probe.
fn may_work(task: &Task, state: ProviderState) -> bool {
    match state {
        ProviderState::Active => true,
        ProviderState::Degraded | ProviderState::Quarantined => {
            task.cause == Cause::Observe || task.lane == Lane::Leavers
        }
        // Somebody asked for this one by name: `offboard` (R31).
        ProviderState::Paused | ProviderState::Disabled => task.lane == Lane::Leavers && task.cause == Cause::Job,
    }
}

/// What this message cannot do is published again as soon as it can be done: when the provider is active, or
/// the lease of a holder who may be dead has ended. Tasks of runs are published again by their run.
async fn leave_to_sweep(
    worker: &Worker,
    provider: &ProviderRow,
    task: &Task,
    objects: &[ResourceId],
) -> Result<(), StoreError> {
    if task.run.is_some() || objects.is_empty() {
        return Ok(());
    }
    worker.store.unmark_queued(provider.id, objects).await
}

async fn run_goes_on(worker: &Worker, task: &Task) -> Result<bool, StoreError> {
    match task.run {
        None => Ok(true),
        Some(run) => Ok(worker.store.run_state(run).await?.is_some_and(|state| !state.is_final())),
    }
}

impl Session<'_> {
    async fn objects(&self) -> Result<(), TaskError> {
        let (store, provider) = (&self.worker.store, self.provider.row.id);
        let asked_at = Instant::now();
        let (claimed, elsewhere) = store.claim(provider, &self.worker.name, &self.task.objects, LEASE).await?;
        self.tenure.renewed(asked_at);
        let elsewhere_ms = elsewhere.iter().map(|(_, wait)| *wait).max();
        let others: Vec<ResourceId> = elsewhere.into_iter().map(|(id, _)| id).collect();
        leave_to_sweep(self.worker, &self.provider.row, self.task, &others).await?;
        let held = others.len() as u64;
        let ids: Vec<ResourceId> = claimed.iter().map(|link| link.resource_id.clone()).collect();
        let mut resources: HashMap<ResourceId, ResourceRow> =
            store.resources(&ids).await?.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut attempts: Vec<Attempt> = claimed
            .into_iter()
            .map(|link| {
                let resource = resources.remove(&link.resource_id);
                let mut attempt = Attempt::new(link, resource);
                attempt.log_what_was_announced(self.task);
                attempt
            })
            .collect();
        if let Err(error) = self.prepare(&mut attempts).await {
            self.give_back(attempts).await;
            return Err(error);
        }
        if let Some(invalid) = self.first_invalid(&attempts) {
            let recorded = self.record(attempts, held, elsewhere_ms).await?;
            self.stop_run(invalid).await?;
            return self.follow_up(recorded).await;
        }
        // Boxed: the compiler cannot prove otherwise that the whole of it may move between threads.
        self.send(&mut attempts).boxed().await?;
        let recorded = self.record(attempts, held, elsewhere_ms).await?;
        self.follow_up(recorded).await
    }

    /// Everything before the first write: map, merge, validate, plan, guard.
    async fn prepare(&self, attempts: &mut [Attempt]) -> Result<(), TaskError> {
        for attempt in attempts.iter_mut() {
            if !attempt.link.dirty && !attempt.has_open_intent() && self.task.cause != Cause::Job {
                attempt.outcome = Some(Outcome::Unchanged);
                attempt.untouched = true;
            }
            // Users are sent all the same.
            if self.task.kind == ResourceKind::Group && !self.provider.profile.groups {
                attempt.outcome = Some(Outcome::Kept);
            }
        }
        self.desire(attempts).await?;
        if self.task.kind == ResourceKind::Group {
            self.load_members(attempts).await?;
        }
        for attempt in attempts.iter_mut().filter(|attempt| attempt.outcome.is_none()) {
            attempt.plan = self.plan(attempt);
            let mends = self.provider.row.settings.drift == Drift::Repair && attempt.link.drifted;
            attempt.repairs = mends && attempt.desired.is_some() && attempt.account.remote_id.is_some();
            attempt.doubts = doubts_of(attempt);
            if let Some(desired) = &attempt.desired {
                attempt.waits_for.extend(desired.waits_for.iter().cloned());
                attempt.left_out.extend(desired.left_out.iter().cloned());
            }
        }
        self.identify_orphans(attempts).await?;
        self.guard(attempts).await?;
        self.load_passwords(attempts).await?;
        Ok(())
    }

    async fn desire(&self, attempts: &mut [Attempt]) -> Result<(), TaskError> {
        let wanted: Vec<usize> = attempts
            .iter()
            .enumerate()
            .filter(|(_, attempt)| attempt.outcome.is_none() && attempt.link.wanted == Wanted::Yes)
            .filter(|(_, attempt)| attempt.resource.as_ref().is_some_and(|row| !row.deleted))
            .map(|(index, _)| index)
            .collect();
        let rows: Vec<&ResourceRow> = wanted.iter().filter_map(|index| attempts[*index].resource.as_ref()).collect();
        let (store, evaluator) = (&self.worker.store, &self.worker.evaluator);
        let verdicts = desires(store, evaluator, &self.provider, self.task.kind, &rows).await?;
        for (index, desire) in wanted.into_iter().zip(verdicts) {
            let attempt = &mut attempts[index];
            match desire {
                Desire::Wanted(mut desired) => {
                    if attempt.account.remote_id.is_some() {
                        desired.pin(attempt.account.sent.as_ref());
                    }
                    attempt.desired = Some(desired);
                }
                Desire::Skip => attempt.outcome = Some(Outcome::Kept),
                Desire::Invalid(data) => attempt.outcome = Some(Outcome::Invalid(data)),
            }
        }
        Ok(())
    }

    /// The plan for one object: for what is wanted by what is desired, for a leaver by the policy.
    pub(crate) fn plan(&self, attempt: &Attempt) -> Option<Plan> {
        let settings = &self.provider.row.settings;
        let (kind, standing) = (attempt.link.kind, attempt.standing());
        let leaving = match (attempt.link.wanted, &attempt.desired) {
            (Wanted::Yes, Some(desired)) => {
                return Some(plan_wanted(kind, &desired.document, standing, settings.leavers, &self.provider.profile));
            }
            (Wanted::Deleted, _) | (Wanted::Yes, None) => Leaving::Deleted,
            (Wanted::OutOfScope, _) => Leaving::OutOfScope,
        };
        let action = leaver_action(kind, leaving, standing.ownership, settings.leavers, settings.delete_adopted);
        Some(plan_away(kind, action, standing, &self.provider.profile))
    }

    /// Records the intents, then performs many objects at once, renewing the leases meanwhile.
    async fn send(&self, attempts: &mut [Attempt]) -> Result<(), TaskError> {
        for attempt in attempts.iter_mut().filter(|attempt| attempt.outcome.is_none() && !attempt.writes()) {
            self.perform(attempt, None).await;
        }
        if self.provider.row.settings.dry_run {
            return Ok(());
        }
        if !attempts.iter().any(Attempt::writes) {
            return Ok(());
        }
        if !self.may_write().await? {
            // Another worker writes: what is left of this task comes again soon.
            for attempt in attempts.iter_mut().filter(|attempt| attempt.writes()) {
                attempt.outcome = Some(Outcome::Throttled(WRITER_WAIT));
            }
            return Ok(());
        }
        let sent = self.send_all(attempts).await;
        self.write_no_more().await?;
        sent
    }

    async fn send_all(&self, attempts: &mut [Attempt]) -> Result<(), TaskError> {
        let listed = self.listed(attempts).await?;
        let asked_at = Instant::now();
        let intents: Vec<(&ClaimedLink, String)> = attempts
            .iter()
            .filter(|attempt| attempt.writes())
            .map(|attempt| (&attempt.link, intent_of(attempt)))
            .collect();
        if intents.is_empty() {
            return Ok(());
        }
        let ours = self.worker.store.intend(self.provider.row.id, &intents, LEASE).await?;
        self.tenure.renewed(asked_at);
        let links: Vec<ClaimedLink> = intents.iter().map(|(link, _)| (*link).clone()).collect();
        let writing: Vec<&mut Attempt> =
            attempts.iter_mut().filter(|attempt| attempt.writes() && ours.contains(attempt.id())).collect();
        // Objects that travel together are all at work at once; how many requests that makes is the wire's.
        let together = self.bulk.begin(writing.len(), self.to_create(&writing));
        let alone = if self.provider.profile.one_writer { 1 } else { self.worker.limits.requests_in_flight.max(1) };
        let in_flight = if together { writing.len() } else { alone };
        let mut work = Vec::with_capacity(writing.len());
        for attempt in writing {
            work.push(self.work_on(attempt, listed.as_ref()));
        }
        let sending = futures::stream::iter(work).buffer_unordered(in_flight).collect::<()>();
        tokio::select! {
            _ = futures::future::join(sending, self.conduct().boxed()) => {}
            () = self.renew(&links) => {}
        }
        Ok(())
    }

    fn work_on<'a>(&'a self, attempt: &'a mut Attempt, listed: Option<&'a Listed>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.perform(attempt, listed).await;
            self.bulk.leave(attempt.id(), attempt.account.remote_id.as_ref());
        })
    }

    /// Never ends by itself: it goes beside the sending.
    async fn renew(&self, links: &[ClaimedLink]) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let asked_at = Instant::now();
            let renewed = self.worker.store.renew(self.provider.row.id, &self.worker.name, links, LEASE).await;
            let is_writer = self.may_write().await.unwrap_or(false);
            if is_writer && renewed.is_ok_and(|ours| ours.len() == links.len()) {
                self.tenure.renewed(asked_at);
            }
        }
    }

    /// The candidates of this run's listing, if it was complete: the look-up for creates (R16).
    async fn listed(&self, attempts: &[Attempt]) -> Result<Option<Listed>, StoreError> {
        let Some(run) = self.task.run.filter(|_| self.task.lane == Lane::Sync) else { return Ok(None) };
        let kind = self.task.kind;
        let wishes: Vec<(Option<String>, String)> = attempts
            .iter()
            .filter(|attempt| attempt.writes() && attempt.account.remote_id.is_none())
            .filter_map(|attempt| attempt.desired.as_ref())
            .map(|desired| Sought::of(kind, &desired.document))
            .map(|sought| (sought.external_id, sought.name_key))
            .collect();
        if wishes.is_empty() {
            return Ok(None);
        }
        let complete = self.worker.store.run(run).await?.is_some_and(|run| {
            run.listings.get(kind.as_str()).and_then(|listing| listing.get("complete"))
                == Some(&serde_json::Value::Bool(true))
        });
        if !complete {
            return Ok(None);
        }
        Ok(Some(Listed::new(self.worker.store.candidates(self.provider.row.id, kind, &wishes).await?)))
    }

    /// What moved on meanwhile, and whoever waited for what arrived, is looked at again.
    async fn follow_up(&self, recorded: Recorded) -> Result<(), TaskError> {
        if !recorded.stale.is_empty() {
            tracing::warn!(objects = recorded.stale.len(), "leases were lost; nothing was recorded for these objects");
        }
        let mut ids = recorded.again;
        ids.extend(recorded.woken);
        // Within a run the phase `references` takes what is dirty by then.
        if ids.is_empty() || self.task.run.is_some() {
            return Ok(());
        }
        let store = &self.worker.store;
        let rows = store.resources(&ids).await?;
        for kind in [ResourceKind::User, ResourceKind::Group] {
            let objects: Vec<ResourceId> =
                rows.iter().filter(|row| row.kind == kind).map(|row| row.id.clone()).collect();
            for chunk in objects.chunks(scimfleet_core::task::OBJECTS_PER_TASK_MAX) {
                let id = scimfleet_core::TaskId(uuid::Uuid::now_v7());
                let provider = self.provider.row.name().clone();
                let task = Task::new(id, None, provider, kind, Lane::Changes, Cause::Change, chunk.to_vec());
                store.mark_queued(self.provider.row.id, chunk).await?;
                if let Err(error) = self.worker.queue.publish(&[task], self.context.traceparent.as_deref()).await {
                    tracing::debug!(error = %error, "the sweep publishes what could not be published now");
                    store.unmark_queued(self.provider.row.id, chunk).await?;
                }
            }
        }
        Ok(())
    }

    /// Nothing was sent: the leases are given back, and nothing else changes.
    async fn give_back(&self, attempts: Vec<Attempt>) {
        if let Err(error) = self.record_untouched(attempts).await {
            tracing::debug!(error = %error, "leases could not be given back; they end by themselves");
        }
    }

    async fn record_untouched(&self, mut attempts: Vec<Attempt>) -> Result<(), StoreError> {
        for attempt in &mut attempts {
            attempt.outcome = Some(Outcome::NotBegun);
            attempt.log.clear();
        }
        self.record(attempts, 0, None).await.map(|_| ())
    }

    /// Closes this task of a run.
    pub(crate) fn done(&self, counts: scimfleet_store::Counts) -> Option<TaskClose> {
        self.task.run.map(|_| TaskClose::Done { task: self.task.task, counts, worker: self.worker.name.clone() })
    }
}
