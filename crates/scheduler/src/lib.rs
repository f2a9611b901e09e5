//! The scheduler: opens runs, moves them from phase to phase, cuts them into tasks of up to 100 objects,
//! relays changes of the directory, publishes what is due again, and reads jobs. It sends nothing to any
//! provider and keeps nothing that another scheduler could not take over.

mod cut;
mod forget;
mod gates;
mod guard;
mod jobs;
mod lead;
mod measure;
mod open;
mod publish;
mod relay;
mod runs;
mod schedules;
mod scope;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use scimfleet_core::ports::{Coordination, Queue, QueueError};
use scimfleet_expression::{Evaluator, EvaluatorError};
use scimfleet_runtime::{Drain, Schedule};
use scimfleet_store::{Store, StoreError};

pub use gates::Gates;
pub use jobs::{JobError, open_run, sync_object};
pub use lead::run;
pub use scope::{ScopeError, Scopes, count_movers, wanted};
pub use traces::Traces;

/// What a scheduler works with.
#[derive(Clone)]
pub struct Scheduler {
    /// The database.
    pub store: Store,
    /// The broker.
    pub queue: Arc<dyn Queue>,
    /// Where the database's number is kept beside it (R34).
    pub coordination: Arc<dyn Coordination>,
    /// Evaluates scopes.
    pub evaluator: Evaluator,
    /// When providers without a schedule of their own are synchronised.
    pub full_sync_every: Schedule,
    /// How long rows of the provisioning log are kept; `None` is for ever.
    pub log_kept: Option<Duration>,
    /// Unique among all schedulers.
    pub name: String,
    /// What it takes care of.
    pub duty: Duty,
    /// Contexts of what is about to be published.
    pub traces: Traces,
    /// Keep judging a provider and publishing for it apart.
    pub gates: Gates,
    /// When it ends.
    pub drain: Drain,
}

/// What a scheduler takes care of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Everything, as a role of a cluster or in `serve`.
    Everything,
    /// Runs only: a command does the work of one run in its own process. Changes of other providers are
    /// marked and wait for `serve`.
    RunsOnly,
}

/// What went wrong in a round of the scheduler. It is logged, and the next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Scopes could not be evaluated.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
}
