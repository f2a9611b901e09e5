//! The directory of an installation, opened from here, so that the moment of a commit is known; and, for an
//! embedded one, its roles in this process, as `serve` runs them.

use std::path::Path;
use std::sync::Arc;

use scimfleet_core::scim::Document;
use scimfleet_core::{ProviderName, ResourceKind, RunId};
use scimfleet_expression::{Evaluator, EvaluatorConfig};
use scimfleet_runtime::{Drain, Schedule};
use scimfleet_scheduler::{Duty, Gates, Scheduler, Traces};
use scimfleet_scim_client::Egress;
use scimfleet_store::{Edit, MemberEdit, ResourceRow, Sealer, Store, StoreOptions, WriteError};
use scimfleet_worker::{Places, Providers, Worker, WorkerLimits};
use tokio::runtime::Runtime;

use crate::figure::{BenchError, wrong};
use crate::install::Installation;

/// The name of the roles' threads.
pub(crate) const THREADS: &str = "roles";
/// As the configuration's defaults say.
const LIMITS: WorkerLimits = WorkerLimits { tasks_in_flight: 3, requests_in_flight: 64, leavers_reserved: 1 };

/// A directory that can be changed, and whatever brings the changes to the provider.
pub(crate) struct Roles {
    pub(crate) store: Store,
    drain: Drain,
    runtime: Option<Runtime>,
}

impl Roles {
    /// Opens the directory; an embedded installation gets a scheduler and a worker in this process.
    pub(crate) async fn start(installation: &Installation) -> Result<Self, BenchError> {
        let Some(url) = installation.variable("SCIMFLEET_STORE_URL") else { return wrong("no database") };
        let embedded = url.starts_with("sqlite");
        let sealer =
            if embedded { Some(Sealer::from_file(&installation.folder().join("bench.key"), false)?) } else { None };
        let options = StoreOptions::new(url);
        let drain = Drain::default();
        if !embedded {
            return Ok(Self { store: Store::connect(&options, sealer).await?, drain, runtime: None });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name(THREADS).enable_all().build()?;
        let within = drain.clone();
        let epoch_file = installation.folder().join("bench.epoch");
        let store = runtime.spawn(async move { serve(&options, sealer, &epoch_file, within).await }).await??;
        Ok(Self { store, drain, runtime: Some(runtime) })
    }

    pub(crate) async fn stop(self) {
        self.drain.begin();
        self.drain.finish().await;
        self.store.close().await;
    }

    pub(crate) async fn open_run(&self, provider: &str) -> Result<RunId, BenchError> {
        Ok(scimfleet_scheduler::open_run(&self.store, &ProviderName::parse(provider)?).await?)
    }

    /// The one resource with this externalId.
    pub(crate) async fn find(&self, external_id: &str) -> Result<ResourceRow, BenchError> {
        let mut found = self.store.find_resources(external_id).await?;
        match (found.pop(), found.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => wrong(format!("the directory has no single `{external_id}`")),
        }
    }

    /// Changes a resource's document and commits.
    pub(crate) async fn change(
        &self,
        row: &ResourceRow,
        edit: impl Fn(&mut Document) + Send + Sync,
    ) -> Result<(), BenchError> {
        let edited = |row: &ResourceRow| {
            let mut document = row.document.clone();
            edit(&mut document);
            Ok::<_, std::convert::Infallible>(Edit { document: Some(document), ..Edit::default() })
        };
        let done = self.store.modify_resource(&row.source, row.kind, &row.id, edited).await;
        done.map(drop).map_err(|error: WriteError<_>| BenchError(error.to_string()))
    }

    /// Puts one more member into a group and commits.
    pub(crate) async fn add_member(&self, group: &ResourceRow, member: &ResourceRow) -> Result<(), BenchError> {
        let id = member.id.to_string();
        let edited = move |_: &ResourceRow| {
            let members = vec![MemberEdit::Add(vec![id])];
            Ok::<_, std::convert::Infallible>(Edit { members, ..Edit::default() })
        };
        let done = self.store.modify_resource(&group.source, ResourceKind::Group, &group.id, edited).await;
        done.map(drop).map_err(|error: WriteError<_>| BenchError(error.to_string()))
    }
}

impl Drop for Roles {
    /// Also when a case breaks off: a runtime must not be dropped by a task of another one.
    fn drop(&mut self) {
        self.drain.begin();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(
    options: &StoreOptions,
    sealer: Option<Sealer>,
    epoch_file: &Path,
    drain: Drain,
) -> Result<Store, BenchError> {
    let store = Store::connect(options, sealer).await?;
    let queue = scimfleet_queue::connect("memory://", "bench").await?;
    let coordination = scimfleet_coordination::connect("memory://", "bench:", epoch_file).await?;
    let children = std::thread::available_parallelism().map_or(2, usize::from);
    let evaluator = Evaluator::new(EvaluatorConfig::own_program(children)?);
    let egress = Egress { private: true, loopback: true, ..Egress::default() };
    let Ok(full_sync_every) = "off".parse::<Schedule>() else { return wrong("`off` is no schedule") };
    let worker = Worker {
        store: store.clone(),
        queue: Arc::clone(&queue),
        coordination: Arc::clone(&coordination),
        evaluator: evaluator.clone(),
        egress: egress.clone(),
        limits: LIMITS,
        requests: Arc::new(Places::new(LIMITS.requests_in_flight)),
        name: "worker-bench".to_owned(),
        providers: Providers::new(store.clone(), egress),
        drain: drain.clone(),
    };
    let scheduler = Scheduler {
        store: store.clone(),
        queue,
        coordination,
        evaluator,
        full_sync_every,
        log_kept: None,
        name: "scheduler-bench".to_owned(),
        duty: Duty::Everything,
        traces: Traces::default(),
        gates: Gates::default(),
        drain: drain.clone(),
    };
    drain.spawn(scimfleet_worker::run(worker));
    drain.spawn(scimfleet_scheduler::run(scheduler));
    Ok(store)
}
