//! Putting roles together from the configuration.

use std::sync::Arc;

use scimfleet_core::ports::{Coordination, Queue};
use scimfleet_core::state::ProviderState;
use scimfleet_directory::sources::Repeating;
use scimfleet_expression::Evaluator;
use scimfleet_runtime::Drain;
use scimfleet_runtime::health::Checks;
use scimfleet_scheduler::{Duty, Gates, Scheduler, Traces};
use scimfleet_scim_client::Egress;
use scimfleet_store::Store;
use scimfleet_worker::{Places, Providers, Worker, WorkerLimits};

use crate::context::Context;
use crate::error::CliError;
use crate::insight::Wired;

/// The parts that roles share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) coordination: Arc<dyn Coordination>,
    pub(crate) evaluator: Evaluator,
    pub(crate) drain: Drain,
    /// Unique per process.
    pub(crate) name: String,
}

impl Parts {
    pub(crate) async fn new(context: &Context, store: Store, drain: Drain) -> Result<Self, CliError> {
        Ok(Self {
            store,
            queue: context.queue().await?,
            coordination: coordination(context).await?,
            evaluator: context.evaluator()?,
            drain,
            name: format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()),
        })
    }

    pub(crate) fn worker(&self, context: &Context) -> Worker {
        let limits = &context.config.worker;
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let egress = egress(context);
        Worker {
            store: self.store.clone(),
            queue: self.queue.clone(),
            coordination: self.coordination.clone(),
            evaluator: self.evaluator.clone(),
            egress: egress.clone(),
            limits: WorkerLimits {
                tasks_in_flight: count(limits.tasks_in_flight.saturating_sub(limits.leavers_reserved).max(1)),
                requests_in_flight: count(limits.requests_in_flight),
                leavers_reserved: count(limits.leavers_reserved),
            },
            requests: Arc::new(Places::new(count(limits.requests_in_flight))),
            name: format!("worker-{}", self.name),
            providers: Providers::new(self.store.clone(), egress),
            drain: self.drain.clone(),
        }
    }

    pub(crate) fn scheduler(&self, context: &Context, duty: Duty) -> Scheduler {
        Scheduler {
            store: self.store.clone(),
            queue: self.queue.clone(),
            coordination: self.coordination.clone(),
            evaluator: self.evaluator.clone(),
            full_sync_every: context.config.scheduler.full_sync_every.clone(),
            log_kept: context.config.scheduler.log_kept,
            name: format!("scheduler-{}", self.name),
            duty,
            traces: Traces::default(),
            gates: Gates::default(),
            drain: self.drain.clone(),
        }
    }

    pub(crate) fn sources(&self, context: &Context) -> Repeating {
        Repeating {
            store: self.store.clone(),
            sources: context.config.sources.clone(),
            egress: egress(context),
            name: format!("sources-{}", self.name),
            drain: self.drain.clone(),
        }
    }

    /// What the console asks of the other roles.
    pub(crate) fn insight(&self, context: &Context) -> Wired {
        let providers = Providers::new(self.store.clone(), egress(context));
        Wired { scheduler: self.scheduler(context, Duty::RunsOnly), providers }
    }

    /// What `/readyz` asks.
    pub(crate) fn checks(&self) -> Checks {
        let (store, queue, coordination) = (self.store.clone(), self.queue.clone(), self.coordination.clone());
        Checks::new()
            .needed("store", move || {
                let store = store.clone();
                async move { store.healthy().await.map_err(|error| error.to_string()) }
            })
            .needed("broker", move || {
                let queue = queue.clone();
                async move { queue.healthy().await.map_err(|error| error.to_string()) }
            })
            .helpful("coordination", move || {
                let coordination = coordination.clone();
                async move { coordination.healthy().await.map_err(|error| error.to_string()) }
            })
            .helpful("providers", {
                let store = self.store.clone();
                move || {
                    let store = store.clone();
                    async move { out_of_order(&store).await }
                }
            })
            .until(&self.drain)
    }
}

/// Names every provider that cannot be reached as it should; a role does its work without them.
async fn out_of_order(store: &Store) -> Result<(), String> {
    let rows = store.providers().await.map_err(|_| "unknown: the store is away".to_owned())?;
    let away = rows.iter().filter(|row| matches!(row.state, ProviderState::Degraded | ProviderState::Quarantined));
    let names: Vec<String> = away.map(|row| format!("{} is {}", row.settings.name, row.state)).collect();
    if names.is_empty() { Ok(()) } else { Err(names.join(", ")) }
}

/// Connects to Redis, or makes what stands in for it in one process.
pub(crate) async fn coordination(context: &Context) -> Result<Arc<dyn Coordination>, CliError> {
    let epoch_file = context.config.secrets.key_file.with_extension("epoch");
    let url = context.config.coordination.url.expose();
    scimfleet_coordination::connect(url, "scimfleet:", &epoch_file).await.map_err(CliError::failed)
}

pub(crate) fn egress(context: &Context) -> Egress {
    let egress = &context.config.egress;
    Egress {
        private: egress.private,
        loopback: egress.loopback,
        proxy: egress.proxy.as_ref().and_then(|proxy| url::Url::parse(proxy.expose()).ok()),
        carrier: None,
    }
}
