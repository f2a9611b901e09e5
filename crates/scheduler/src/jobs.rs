//! Jobs: what any AMQP client, or a person, asks for.

use std::time::Duration;

use scimfleet_core::ports::{Delivery, QueueError, Source, TRACEPARENT_HEADER};
use scimfleet_core::task::Job;
use scimfleet_core::{ProviderName, ResourceId, RunId};
use scimfleet_runtime::trace::follow;
use scimfleet_store::{Opening, ProviderRow, RunKind, Store, StoreError};
use tracing::Instrument as _;

use crate::Scheduler;
use crate::scope::{ScopeError, Scopes};

const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why a job cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The scope.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The provider is not known.
    #[error("there is no provider `{0}`; `scimfleet providers list` shows them")]
    NoProvider(ProviderName),
    /// The object is not known.
    #[error("the directory has no object `{0}` (by id, externalId, userName or displayName)")]
    NoObject(String),
    /// The name fits several objects.
    #[error("`{0}` fits more than one object; name it by id or externalId")]
    Ambiguous(String),
}

impl JobError {
    fn is_trouble(&self) -> bool {
        matches!(self, Self::Store(error) | Self::Scope(ScopeError::Store(error)) if error.is_trouble())
    }
}

/// Queues a full sync of a provider; one that is queued already serves.
pub async fn open_run(store: &Store, provider: &ProviderName) -> Result<RunId, JobError> {
    let row = provider_row(store, provider).await?;
    loop {
        if let Some(run) = store.queue_run(row.id, RunKind::Full, Opening::Asked).await? {
            return Ok(run);
        }
        if let Some(run) = store.queued_run(row.id).await? {
            return Ok(run);
        }
    }
}

/// Marks one object at one provider, so that it is looked at whatever is known of it.
pub async fn sync_object(scheduler: &Scheduler, provider: &ProviderName, object: &str) -> Result<ResourceId, JobError> {
    let store = &scheduler.store;
    let row = provider_row(store, provider).await?;
    let mut found = store.find_resources(object).await?;
    let resource = match found.len() {
        0 => return Err(JobError::NoObject(object.to_owned())),
        1 => found.remove(0),
        _ => return Err(JobError::Ambiguous(object.to_owned())),
    };
    let id = resource.id.clone();
    let scopes = Scopes::of(store, &scheduler.evaluator, &row).await?;
    let verdicts = scopes.judge(vec![resource], true).await?;
    store.apply_verdicts(row.id, &verdicts).await?;
    store.mark(row.id, std::slice::from_ref(&id)).await?;
    Ok(id)
}

async fn provider_row(store: &Store, name: &ProviderName) -> Result<ProviderRow, JobError> {
    store.provider(name).await?.ok_or_else(|| JobError::NoProvider(name.clone()))
}

/// Consumes jobs until the drain begins.
pub(crate) async fn consume(scheduler: Scheduler) {
    while !scheduler.drain.is_begun() {
        match scheduler.queue.consume(&Source::Jobs).await {
            Ok(mut consumer) => {
                loop {
                    let delivery = tokio::select! {
                        delivery = consumer.next() => delivery,
                        () = scheduler.drain.begun() => None,
                    };
                    let Some(delivery) = delivery else { break };
                    if let Err(error) = settle(&scheduler, delivery).await {
                        tracing::warn!(error = %error, "a job could not be settled; it comes again");
                        break;
                    }
                }
                consumer.cancel().await;
            }
            Err(error) => tracing::warn!(error = %error, "jobs cannot be consumed; tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(TRY_AGAIN_AFTER) => {}
            () = scheduler.drain.begun() => {}
        }
    }
}

async fn settle(scheduler: &Scheduler, delivery: Delivery) -> Result<(), QueueError> {
    let job = match Job::decode(&delivery.body) {
        Ok(job) => job,
        Err(error) => {
            tracing::error!(reason = %error, "a job was dead-lettered");
            return delivery.dead_letter(&error.to_string()).await;
        }
    };
    let span = tracing::info_span!("job", otel.kind = "consumer");
    let context = follow(&span, delivery.headers.get(TRACEPARENT_HEADER).map(String::as_str));
    loop {
        match perform(scheduler, &job, context.as_deref()).instrument(span.clone()).await {
            Ok(()) => return delivery.ack().await,
            Err(error) if error.is_trouble() && !scheduler.drain.is_begun() => {
                tracing::warn!(error = %error, "a job waits for the database");
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            Err(error) if error.is_trouble() => return Ok(()),
            Err(error) => {
                tracing::error!(reason = %error, "a job was dead-lettered");
                return delivery.dead_letter(&error.to_string()).await;
            }
        }
    }
}

async fn perform(scheduler: &Scheduler, job: &Job, context: Option<&str>) -> Result<(), JobError> {
    let open = async |provider: &ProviderName| -> Result<(), JobError> {
        let run = open_run(&scheduler.store, provider).await?;
        scheduler.traces.note_run(run, context);
        Ok(())
    };
    match job {
        Job::Sync { provider: Some(provider), .. } => open(provider).await,
        Job::Sync { provider: None, .. } => {
            for row in scheduler.store.providers().await? {
                open(&row.settings.name).await?;
            }
            Ok(())
        }
        Job::SyncObject { provider, object } => {
            let id = sync_object(scheduler, provider, object).await?;
            scheduler.traces.note(&id, context);
            Ok(())
        }
    }
}
