//! The worker: consumes tasks, brings each object in step with one provider, records what happened and
//! then acknowledges. It keeps nothing that another worker could not take over, and never decides what
//! runs when: that is the scheduler's.

mod allowance;
mod caller;
mod consume;
mod desire;
mod drift;
pub mod examine;
mod impact;
mod listing;
mod observe;
mod patience;
mod places;
mod planted;
pub mod preview;
pub mod probe;
mod provider;
pub mod reconcile;
mod referring;
mod takeover;
mod task;

use std::sync::Arc;

use scimfleet_core::ports::{Coordination, Queue};
use scimfleet_expression::Evaluator;
use scimfleet_runtime::Drain;
use scimfleet_scim_client::Egress;
use scimfleet_store::Store;

pub use consume::run;
pub use desire::{Desire, Desired};
pub use impact::impact;
pub use places::Places;
pub use provider::{Provider, ProviderError, Providers, curated_profile, resolve_profile};
pub use takeover::{Claim, Refused, TakenOver, take_over};
pub use task::{TaskOutcome, process};

/// How much a worker takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Tasks at once.
    pub tasks_in_flight: usize,
    /// Requests at once, over all providers.
    pub requests_in_flight: usize,
    /// Further tasks at once that only leavers may take.
    pub leavers_reserved: usize,
}

/// What a worker works with.
#[derive(Clone)]
pub struct Worker {
    /// The database.
    pub store: Store,
    /// The broker.
    pub queue: Arc<dyn Queue>,
    /// Rate limits and gates.
    pub coordination: Arc<dyn Coordination>,
    /// Runs mapping expressions.
    pub evaluator: Evaluator,
    /// Where requests may go.
    pub egress: Egress,
    /// How much it takes on.
    pub limits: WorkerLimits,
    /// Requests under way, over all providers.
    pub requests: Arc<Places>,
    /// Unique among all workers: holds leases and signs tasks.
    pub name: String,
    /// Providers as they are configured now, with their clients.
    pub providers: Providers,
    /// When it ends.
    pub drain: Drain,
}
