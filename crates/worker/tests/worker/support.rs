//! A worker with a database of its own and a service provider on loopback, driven task by task.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use scimfleet_core::provider::{MappingText, ProviderSettings};
use scimfleet_core::state::{LinkState, RunState};
use scimfleet_core::task::{Cause, Lane, OBJECTS_PER_TASK_MAX, Task};
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind, RunId, TaskId};
use scimfleet_expression::{Evaluator, EvaluatorConfig, Limits, default_mappings};
use scimfleet_queue::MemoryQueue;
use scimfleet_runtime::Drain;
use scimfleet_scim_client::Egress;
use scimfleet_store::{
    Counts, IncomingResource, LinkRow, NewTask, Opening, Password, RunKind, Sealer, Share, Store, StoreOptions,
    Verdict, Wanted,
};
use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use scimfleet_worker::{Places, Providers, TaskOutcome, Worker, WorkerLimits, process};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

/// Everything that a case needs.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) target: Running,
    pub(crate) worker: Worker,
    pub(crate) provider: ProviderId,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new(behaviour: Behaviour) -> Self {
        Self::with(behaviour, |_| {}).await
    }

    /// A stage whose provider `acme` has these settings.
    pub(crate) async fn with(behaviour: Behaviour, change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let sealer = Sealer::from_base64(&SecretString::from(format!("{}=", "A".repeat(43)))).unwrap();
        let store = Store::connect(&StoreOptions { url, connections: 4 }, Some(sealer)).await.unwrap();
        store.migrate().await.unwrap();
        for mapping in default_mappings() {
            let text = MappingText {
                name: mapping.name.clone(),
                resource: mapping.kind,
                expression: mapping.source.to_string(),
            };
            store.put_mapping(&text, "built-in").await.unwrap();
        }
        let target = ServiceProvider::start(behaviour).await.unwrap();
        let mut settings = ProviderSettings::new(name(), target.base_url());
        change(&mut settings);
        let (provider, _) = store.put_provider(&settings).await.unwrap();
        store.put_provider_secret(provider, &SecretString::from(target.token())).await.unwrap();
        let worker = worker(&store);
        Self { store, target, worker, provider, _folder: folder }
    }

    /// A stage whose provider is sent references inside of a bulk request.
    pub(crate) async fn with_references(behaviour: Behaviour) -> Self {
        Self::with(behaviour, |settings| {
            settings.profile_override.insert("bulk_references".to_owned(), true.into());
        })
        .await
    }

    /// So many users, `u0000` and on, each with a title.
    pub(crate) async fn users(&self, count: usize) {
        let lines: Vec<Value> = (0..count).map(user).collect();
        self.import(&lines).await;
    }

    /// Imports documents, wants them all, and marks what changed.
    pub(crate) async fn import(&self, documents: &[Value]) {
        let imported = self.store.import("test", documents.iter().map(incoming).collect()).await.unwrap();
        assert_eq!(imported.len(), documents.len());
        self.store.want_everything(self.provider).await.unwrap();
        self.store.mark_moved(self.provider).await.unwrap();
    }

    /// Marks what the outbox says was changed, as the relay does; everybody is wanted.
    pub(crate) async fn relay(&self) {
        let changes = self.store.outbox(100_000).await.unwrap();
        let ids: BTreeSet<ResourceId> = changes.iter().map(|change| change.resource_id.clone()).collect();
        let rows = self.store.resources(&ids.into_iter().collect::<Vec<_>>()).await.unwrap();
        let verdicts = rows.into_iter().map(|row| Verdict {
            wanted: if row.deleted { Wanted::Deleted } else { Wanted::Yes },
            resource_id: row.id,
            kind: row.kind,
            changed: true,
        });
        self.store.relay(&changes, &[(self.provider, verdicts.collect())]).await.unwrap();
    }

    pub(crate) async fn id(&self, reference: &str) -> ResourceId {
        let found = self.store.find_resources(reference).await.unwrap();
        assert_eq!(found.len(), 1, "`{reference}`: {found:?}");
        found.into_iter().next().unwrap().id
    }

    pub(crate) async fn link(&self, reference: &str) -> LinkRow {
        let id = self.id(reference).await;
        self.store.links_at(self.provider, &[id]).await.unwrap().remove(0)
    }

    /// How many links are in a state.
    pub(crate) async fn links(&self, state: LinkState) -> u64 {
        let counts = self.store.link_counts(self.provider).await.unwrap();
        counts.by_state.get(&state).copied().unwrap_or_default()
    }

    /// One task outside a run for everything of a kind that is owed and due; says how many that were.
    pub(crate) async fn changes(&self, kind: ResourceKind, lane: Lane) -> usize {
        let mut done = 0;
        for share in [Share::Wanted, Share::Leaving] {
            let ids = self.store.dirty_after(self.provider, kind, share, None, 100_000).await.unwrap();
            done += ids.len();
            for chunk in ids.chunks(OBJECTS_PER_TASK_MAX) {
                let task = Task::new(TaskId(Uuid::now_v7()), None, name(), kind, lane, Cause::Change, chunk.to_vec());
                assert_eq!(process(&self.worker, &task, None).await, TaskOutcome::Completed);
            }
        }
        done
    }

    /// Makes everything owed due at once, as if the time had passed.
    pub(crate) async fn no_more_waiting(&self) {
        for kind in ResourceKind::ALL {
            let links = self.store.links(self.provider, None, None, 100_000).await.unwrap();
            let due: Vec<ResourceId> = links
                .into_iter()
                .filter(|link| link.kind == *kind && link.dirty && link.due_at_ms > 0)
                .map(|link| link.resource_id)
                .collect();
            self.store.mark(self.provider, &due).await.unwrap();
        }
    }

    /// A whole run, phase by phase, as the scheduler does it.
    pub(crate) async fn full_sync(&self) -> Counts {
        self.full_sync_with(|_| {}).await
    }

    /// The same, with something that happens when everybody was listed.
    pub(crate) async fn full_sync_with(&self, meanwhile: impl FnOnce(&Self)) -> Counts {
        let run = self.store.queue_run(self.provider, RunKind::Full, Opening::Asked).await.unwrap().unwrap();
        let observe = |kind| task(kind, Lane::Sync, Cause::Observe, Vec::new());
        let mut before = RunState::Queued;
        let listing = ResourceKind::ALL.iter().map(|kind| observe(*kind)).collect();
        self.phase(run, &mut before, RunState::Observing, listing).await;
        meanwhile(self);
        let phases = [
            (RunState::Users, ResourceKind::User, Share::Wanted),
            (RunState::Groups, ResourceKind::Group, Share::Wanted),
            (RunState::References, ResourceKind::User, Share::Wanted),
            (RunState::CleanUp, ResourceKind::User, Share::Leaving),
        ];
        for (phase, kind, share) in phases {
            let ids = self.store.dirty_after(self.provider, kind, share, None, 100_000).await.unwrap();
            let tasks =
                ids.chunks(OBJECTS_PER_TASK_MAX).map(|ids| task(kind, Lane::Sync, Cause::Full, ids.to_vec())).collect();
            self.phase(run, &mut before, phase, tasks).await;
        }
        self.phase(run, &mut before, RunState::Completed, Vec::new()).await;
        let mut sum = Counts::default();
        for row in self.store.run_tasks(run).await.unwrap() {
            sum.add(&row.counts);
        }
        sum
    }

    async fn phase(&self, run: RunId, before: &mut RunState, phase: RunState, tasks: Vec<NewTask>) {
        if self.store.run_state(run).await.unwrap().is_some_and(RunState::is_final) {
            return;
        }
        assert!(self.store.open_phase(run, self.provider, *before, phase, &tasks, 0).await.unwrap());
        *before = phase;
        for task in tasks {
            let message = task.message(run, &name());
            assert_eq!(process(&self.worker, &message, None).await, TaskOutcome::Completed);
        }
    }

    /// Nothing that was sent broke the RFC.
    pub(crate) fn assert_well_formed(&self) {
        assert!(self.target.violations().is_empty(), "{:?}", self.target.violations());
    }
}

fn task(kind: ResourceKind, lane: Lane, cause: Cause, objects: Vec<ResourceId>) -> NewTask {
    NewTask { id: TaskId(Uuid::now_v7()), kind, lane, cause, objects }
}

pub(crate) fn name() -> ProviderName {
    ProviderName::parse("acme").unwrap()
}

pub(crate) fn worker(store: &Store) -> Worker {
    let egress = Egress { private: true, loopback: true, ..Egress::default() };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_worker-child"));
    Worker {
        store: store.clone(),
        queue: Arc::new(MemoryQueue::new("test").unwrap()),
        coordination: Arc::new(scimfleet_coordination::MemoryCoordination::new()),
        evaluator: Evaluator::new(EvaluatorConfig { program, children: 1, limits: Limits::default() }),
        egress: egress.clone(),
        limits: WorkerLimits { tasks_in_flight: 4, requests_in_flight: 64, leavers_reserved: 1 },
        requests: Arc::new(Places::new(64)),
        name: format!("worker-{}", Uuid::now_v7()),
        providers: Providers::new(store.clone(), egress),
        drain: Drain::default(),
    }
}

/// The `index`th user.
pub(crate) fn user(index: usize) -> Value {
    json!({ "userName": format!("u{index:04}"), "externalId": format!("u{index:04}"), "title": "Engineer",
        "name": { "givenName": "User", "familyName": format!("Number {index}") }, "active": true })
}

/// A group with members by their externalId.
pub(crate) fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": member })).collect();
    json!({ "displayName": name, "externalId": name, "members": members })
}

fn incoming(document: &Value) -> IncomingResource {
    let mut attributes = document.as_object().unwrap().clone();
    let kind = if attributes.contains_key("userName") { ResourceKind::User } else { ResourceKind::Group };
    let password = attributes.shift_remove("password").map(|text| Password::new(text.as_str().unwrap()));
    let members = attributes.shift_remove("members").map(|list| {
        let values = list.as_array().unwrap().iter();
        values.map(|member| serde_json::from_value(member["value"].clone()).unwrap()).collect()
    });
    IncomingResource { kind, id: None, attributes, members, password }
}
