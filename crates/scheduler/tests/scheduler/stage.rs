//! A scheduler on a database of its own, and the broker that it publishes to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scimfleet_core::ports::{Consumer, DeadLetter, Queue, QueueError, Source};
use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::state::{LinkState, Ownership};
use scimfleet_core::task::{Job, Lane, Task};
use scimfleet_core::{ProviderId, ProviderName, RemoteId, ResourceId, ResourceKind};
use scimfleet_expression::{Evaluator, EvaluatorConfig, Limits};
use scimfleet_queue::MemoryQueue;
use scimfleet_runtime::Drain;
use scimfleet_scheduler::{Duty, Gates, Scheduler, Traces};
use scimfleet_store::{IncomingResource, LinkResult, Store, StoreOptions, TaskRecord};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);

/// A broker that tells what is published, and does not confirm the tasks of `slow` until it is told to.
pub(crate) struct Told {
    inner: MemoryQueue,
    store: Store,
    published: mpsc::UnboundedSender<Published>,
    pub(crate) slow: Mutex<Option<ProviderName>>,
    pub(crate) confirm: Notify,
}

#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) provider: ProviderName,
    pub(crate) lane: Lane,
    pub(crate) objects: Vec<ResourceId>,
    pub(crate) traceparent: Option<String>,
    /// How many changes waited in the outbox then.
    pub(crate) behind: u64,
}

#[async_trait]
impl Queue for Told {
    async fn declare_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.inner.declare_provider(provider).await
    }
    async fn delete_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.inner.delete_provider(provider).await
    }
    async fn publish(&self, tasks: &[Task], traceparent: Option<&str>) -> Result<(), QueueError> {
        for task in tasks {
            let (provider, lane, objects) = (task.provider.clone(), task.lane, task.objects.clone());
            let behind = self.store.count_outbox().await.unwrap();
            let traceparent = traceparent.map(str::to_owned);
            let _ = self.published.send(Published { provider, lane, objects, traceparent, behind });
        }
        let slow = self.slow.lock().unwrap().clone();
        if slow.is_some_and(|slow| tasks.iter().any(|task| task.provider == slow)) {
            self.confirm.notified().await;
        }
        self.inner.publish(tasks, traceparent).await
    }
    async fn publish_job(&self, job: &Job) -> Result<(), QueueError> {
        self.inner.publish_job(job).await
    }
    async fn publish_raw_job(&self, body: &[u8]) -> Result<(), QueueError> {
        self.inner.publish_raw_job(body).await
    }
    async fn consume(&self, source: &Source) -> Result<Box<dyn Consumer>, QueueError> {
        self.inner.consume(source).await
    }
    async fn depth(&self, provider: &ProviderName, lane: Lane) -> Result<u64, QueueError> {
        self.inner.depth(provider, lane).await
    }
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        self.inner.dead_letters(limit).await
    }
    async fn replay_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.inner.replay_dead_letters(ids).await
    }
    async fn drop_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.inner.drop_dead_letters(ids).await
    }
    async fn healthy(&self) -> Result<(), QueueError> {
        self.inner.healthy().await
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) queue: Arc<Told>,
    published: mpsc::UnboundedReceiver<Published>,
    pub(crate) drain: Drain,
    _folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let store = Store::connect(&StoreOptions { url, connections: 4 }, None).await.unwrap();
        store.migrate().await.unwrap();
        let (sender, published) = mpsc::unbounded_channel();
        let queue = Told {
            inner: MemoryQueue::new("test").unwrap(),
            store: store.clone(),
            published: sender,
            slow: Mutex::default(),
            confirm: Notify::new(),
        };
        Self { store, queue: Arc::new(queue), published, drain: Drain::default(), _folder: folder }
    }

    pub(crate) async fn import(&self, lines: impl Iterator<Item = Value>) {
        let incoming = |line: Value| {
            let Value::Object(attributes) = line else { panic!("an object") };
            IncomingResource { kind: ResourceKind::User, id: None, attributes, members: None, password: None }
        };
        self.store.import("test", lines.map(incoming).collect()).await.unwrap();
    }

    /// A provider at which this user has an account; their changes are relayed.
    pub(crate) async fn provider_with(&self, name: &str, user: &str) -> (ProviderId, ResourceId) {
        let settings = ProviderSettings::new(ProviderName::parse(name).unwrap(), "https://acme.example/scim/v2");
        let (provider, _) = self.store.put_provider(&settings).await.unwrap();
        self.import([json!({ "userName": user })].into_iter()).await;
        let id = self.store.find_resources(user).await.unwrap().remove(0).id;
        self.store.want_everything(provider).await.unwrap();
        let ids = std::slice::from_ref(&id);
        let (claimed, _) = self.store.claim(provider, "test", ids, Duration::from_secs(60)).await.unwrap();
        let results = vec![LinkResult {
            resource_id: id.clone(),
            fencing: claimed[0].fencing,
            marked: claimed[0].marked,
            state: LinkState::InSync,
            park_reason: None,
            remote_id: Some(RemoteId::parse(format!("remote-{user}")).unwrap()),
            ownership: Some(Ownership::Created),
            version: None,
            sent_digest: Some("digest".to_owned()),
            sent_document: Some("{}".to_owned()),
            synced_generation: 1,
            still_dirty: false,
            attempts: 0,
            due_at_ms: 0,
            last_error: None,
            intent: None,
            last_run: None,
            rewritten: true,
            members_compared: false,
        }];
        self.store.record(provider, &TaskRecord { results, ..TaskRecord::default() }).await.unwrap();
        let changes = self.store.outbox(1_000).await.unwrap();
        self.store.relay(&changes, &[]).await.unwrap();
        (provider, id)
    }

    pub(crate) fn start(&self) {
        let scheduler = Scheduler {
            store: self.store.clone(),
            queue: self.queue.clone(),
            coordination: Arc::new(scimfleet_coordination::MemoryCoordination::new()),
            evaluator: Evaluator::new(EvaluatorConfig {
                program: "/nobody/asks/it".into(),
                children: 1,
                limits: Limits::default(),
            }),
            full_sync_every: "off".parse().unwrap(),
            log_kept: None,
            name: "scheduler".to_owned(),
            duty: Duty::Everything,
            traces: Traces::default(),
            gates: Gates::default(),
            drain: self.drain.clone(),
        };
        tokio::spawn(scimfleet_scheduler::run(scheduler));
    }

    /// The next publication that this holds for; those before it are passed over.
    pub(crate) async fn published(&mut self, wanted: impl Fn(&Published) -> bool) -> Published {
        let found = async {
            loop {
                let one = self.published.recv().await.unwrap();
                if wanted(&one) {
                    return one;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it is published")
    }
}
