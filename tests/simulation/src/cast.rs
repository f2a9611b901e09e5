//! The roles: the product's own loops, started, killed and started anew. Killing is dropping: a role ends between
//! two steps, with everything that it began, and leaves what it held as a dead process would.

use std::sync::Arc;

use scimfleet_coordination::MemoryCoordination;
use scimfleet_expression::{Evaluator, EvaluatorConfig, Limits};
use scimfleet_runtime::{Drain, Schedule};
use scimfleet_scheduler::{Duty, Gates, Scheduler, Traces};
use scimfleet_scim_client::Egress;
use scimfleet_store::Store;
use scimfleet_worker::{Places, Providers, Worker, WorkerLimits};
use tokio_util::task::AbortOnDropHandle;

use crate::broker::Broker;

/// What roles share: what outlives each of them.
#[derive(Clone)]
pub struct World {
    /// The database.
    pub store: Store,
    /// The broker.
    pub broker: Arc<Broker>,
    /// Limits, gates and heartbeats.
    pub coordination: Arc<MemoryCoordination>,
    /// The way to providers.
    pub egress: Egress,
}

/// A role that works until it is dropped.
pub type Alive = AbortOnDropHandle<()>;

impl World {
    /// Starts a scheduler with a name that none had before.
    pub fn scheduler(&self, name: String) -> Alive {
        let scheduler = Scheduler {
            store: self.store.clone(),
            queue: self.broker.clone(),
            coordination: self.coordination.clone(),
            evaluator: evaluator(),
            full_sync_every: Schedule::Off,
            log_kept: None,
            name,
            duty: Duty::Everything,
            traces: Traces::default(),
            gates: Gates::default(),
            drain: Drain::default(),
        };
        AbortOnDropHandle::new(tokio::spawn(scimfleet_scheduler::run(scheduler)))
    }

    /// Starts a worker with a name that none had before.
    pub fn worker(&self, name: String) -> Alive {
        let worker = Worker {
            store: self.store.clone(),
            queue: self.broker.clone(),
            coordination: self.coordination.clone(),
            evaluator: evaluator(),
            egress: self.egress.clone(),
            limits: WorkerLimits { tasks_in_flight: 4, requests_in_flight: 8, leavers_reserved: 1 },
            requests: Arc::new(Places::new(8)),
            name,
            providers: Providers::new(self.store.clone(), self.egress.clone()),
            drain: Drain::default(),
        };
        AbortOnDropHandle::new(tokio::spawn(scimfleet_worker::run(worker)))
    }
}

/// The built-in mappings need no interpreter.
fn evaluator() -> Evaluator {
    Evaluator::new(EvaluatorConfig { program: "/nobody/asks/it".into(), children: 1, limits: Limits::default() })
}
