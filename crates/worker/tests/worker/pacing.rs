//! How fast a provider is called: every request takes its turn, and what one worker learned all know.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scimfleet_coordination::{Coordination, CoordinationError, Heartbeat, LearnedRate, MemoryCoordination, Rate};
use scimfleet_core::provider::Switch;
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{ProviderName, RemoteId, ResourceId, ResourceKind, TaskId};
use scimfleet_store::Share;
use scimfleet_testkit::provider::{Behaviour, Entry, RateLimit, RetryAfter};
use scimfleet_worker::examine::examine;
use scimfleet_worker::preview::dry_run;
use scimfleet_worker::reconcile::reconcile;
use scimfleet_worker::{Claim, TaskOutcome, Worker, process, take_over};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Stage, group, name, user, worker};

/// One worker's view of a coordination service that several share; notes what it was granted.
struct View {
    shared: Arc<MemoryCoordination>,
    granted: Mutex<Vec<(String, Option<Rate>)>>,
}

impl View {
    fn of(shared: &Arc<MemoryCoordination>) -> Arc<Self> {
        Arc::new(Self { shared: shared.clone(), granted: Mutex::default() })
    }

    fn alone() -> Arc<Self> {
        Self::of(&Arc::default())
    }

    /// The rates of the requests that were granted in a class, in order.
    fn granted(&self, class: &str) -> Vec<Option<Rate>> {
        let granted = self.granted.lock().unwrap();
        granted.iter().filter(|(route, _)| route == class).map(|(_, rate)| *rate).collect()
    }
}

#[async_trait]
impl Coordination for View {
    async fn try_acquire(&self, provider: &ProviderName, route: &str, rate: Option<Rate>) -> Option<Duration> {
        let wait = self.shared.try_acquire(provider, route, rate).await;
        if wait.is_none() {
            self.granted.lock().unwrap().push((route.to_owned(), rate));
        }
        wait
    }

    async fn close_gate(&self, provider: &ProviderName, wait: Duration) {
        self.shared.close_gate(provider, wait).await;
    }

    async fn gate(&self, provider: &ProviderName) -> Option<Duration> {
        self.shared.gate(provider).await
    }

    async fn learn_rate(&self, provider: &ProviderName, per_second: f64, ttl: Duration) {
        self.shared.learn_rate(provider, per_second, ttl).await;
    }

    async fn learned_rate(&self, provider: &ProviderName) -> Option<LearnedRate> {
        self.shared.learned_rate(provider).await
    }

    async fn heartbeat(&self, beat: &Heartbeat, ttl: Duration) -> Result<(), CoordinationError> {
        self.shared.heartbeat(beat, ttl).await
    }

    async fn ask_to_end(&self, worker: &str, ttl: Duration) -> Result<(), CoordinationError> {
        self.shared.ask_to_end(worker, ttl).await
    }

    async fn is_asked_to_end(&self, worker: &str) -> Result<bool, CoordinationError> {
        self.shared.is_asked_to_end(worker).await
    }

    async fn workers(&self) -> Result<Vec<Heartbeat>, CoordinationError> {
        self.shared.workers().await
    }

    async fn epoch(&self, database: &str) -> Result<Option<i64>, CoordinationError> {
        self.shared.epoch(database).await
    }

    async fn raise_epoch(&self, database: &str, epoch: i64) -> Result<(), CoordinationError> {
        self.shared.raise_epoch(database, epoch).await
    }

    async fn healthy(&self) -> Result<(), CoordinationError> {
        self.shared.healthy().await
    }
}

/// As many as need three pages of ten.
const COUNT: usize = 25;

fn in_pages_of_ten() -> Behaviour {
    Behaviour { page_size_max: 10, ..Behaviour::default() }
}

/// A stage with users and groups here and there, and the claims that bring them together.
async fn claimed(stage: &Stage) -> Vec<Claim> {
    let groups = [group("One", &["u0000"]), group("Two", &["u0001"])];
    stage.users(COUNT).await;
    stage.import(&groups).await;
    let mut claims = Vec::new();
    for index in 0..COUNT {
        let account = stage.target.seed_user(user(index)).unwrap();
        claims.push(claim(ResourceKind::User, format!("u{index:04}"), &account));
    }
    for one in ["One", "Two"] {
        let account = stage.target.seed_group(json!({ "displayName": one, "externalId": one })).unwrap();
        claims.push(claim(ResourceKind::Group, one.to_owned(), &account));
    }
    claims
}

fn claim(kind: ResourceKind, object: String, account: &str) -> Claim {
    Claim { kind, object, remote_id: RemoteId::parse(account).unwrap(), recorded: None }
}

#[tokio::test]
async fn reads_outside_of_tasks_take_their_turn() {
    let stage = Stage::with(in_pages_of_ten(), |settings| {
        settings.rate = Some("1000/s".to_owned());
        let rates = json!({ "any": "1000/s", "read": "1000/s", "write": "1/h" });
        settings.profile_override.insert("rates".to_owned(), rates);
    })
    .await;
    let claims = claimed(&stage).await;
    let provider = stage.worker.providers.get(&name()).await.unwrap().unwrap();
    for what in ["take over", "reconcile"] {
        let (view, mark) = (View::alone(), stage.target.mark());
        if what == "reconcile" {
            reconcile(&stage.store, &provider, &*view).await.unwrap();
        } else {
            let evaluator = &stage.worker.evaluator;
            let taken = take_over(&stage.store, evaluator, &provider, &*view, claims.clone()).await.unwrap();
            assert_eq!(taken.adopted, COUNT as u64 + 2, "{:?}", taken.refused);
        }
        let journal = stage.target.since(&mark);
        let users = journal.matching("GET", "/Users").count();
        assert!(users >= 3, "{what}: three pages");
        assert!(journal.matching("GET", "/Groups").count() >= 2, "{what}: each group for its members");
        assert_eq!(view.granted("write").len(), 0, "{what}");
        for class in ["any", "read", "all"] {
            assert_eq!(view.granted(class).len() as u64, journal.counts.of("GET"), "{what}: {class}");
        }
        assert!(view.granted("all").iter().all(Option::is_some), "{what}: by the provider's allowance");
    }
}

/// So little that every worker that nobody told meets a 429.
fn impatient() -> Behaviour {
    let limit = RateLimit { per_second: 20.0, burst: 1, retry_after: RetryAfter::Seconds };
    Behaviour { rate: Some(limit), ..in_pages_of_ten() }
}

#[tokio::test]
async fn a_command_waits_out_a_429_and_tells_the_workers() {
    let stage = Stage::new(Behaviour { discovery: false, ..in_pages_of_ten() }).await;
    let claims = claimed(&stage).await;
    let provider = stage.worker.providers.get(&name()).await.unwrap().unwrap();
    stage.target.change_behaviour(|behaviour| behaviour.rate = impatient().rate);
    let (view, mark) = (View::alone(), stage.target.mark());
    let taken = take_over(&stage.store, &stage.worker.evaluator, &provider, &*view, claims).await.unwrap();
    assert_eq!(taken.refused_count, 0, "{:?}", taken.refused);
    assert!(stage.target.counts_since(&mark).answered(429) > 0, "the limit was met");
    assert!(view.learned_rate(&name()).await.is_some());
}

/// One task for everybody whom the provider is owed.
async fn work(stage: &Stage, worker: &Worker) -> usize {
    let owed = stage.store.dirty_after(stage.provider, ResourceKind::User, Share::Wanted, None, 100).await.unwrap();
    let count = owed.len();
    let task = |ids: Vec<ResourceId>| {
        let id = TaskId(Uuid::now_v7());
        Task::new(id, None, name(), ResourceKind::User, Lane::Changes, Cause::Change, ids)
    };
    assert_eq!(process(worker, &task(owed), None).await, TaskOutcome::Completed);
    count
}

#[tokio::test]
async fn a_new_worker_begins_with_the_pace_that_another_learned() {
    let stage = Stage::new(Behaviour { discovery: false, ..Behaviour::default() }).await;
    let shared = Arc::new(MemoryCoordination::new());
    let (first, second) = (View::of(&shared), View::of(&shared));
    let learner = Worker { coordination: first.clone(), ..stage.worker.clone() };
    let newcomer = Worker { coordination: second.clone(), ..worker(&stage.store) };
    learner.providers.get(&name()).await.unwrap().unwrap();
    newcomer.providers.get(&name()).await.unwrap().unwrap();
    stage.users(COUNT).await;
    stage.target.change_behaviour(|behaviour| behaviour.rate = impatient().rate);
    work(&stage, &learner).await;
    let learned = shared.learned_rate(&name()).await.expect("a 429 was met");
    assert_eq!(first.granted("all").first(), Some(&None), "nobody knew a number before");

    stage.target.change_behaviour(|behaviour| behaviour.rate = None);
    while let Some(wait) = shared.gate(&name()).await {
        tokio::time::sleep(wait).await;
    }
    stage.no_more_waiting().await;
    assert!(work(&stage, &newcomer).await > 0, "somebody is left");
    let pace = second.granted("all").first().copied().flatten().expect("it knows from the first request on");
    let per_second = f64::from(pace.requests) / pace.per.as_secs_f64();
    assert!(per_second >= learned.per_second, "{per_second} and grows from {}", learned.per_second);
}

#[tokio::test]
async fn rehearsals_and_examinations_take_their_turn() {
    let stage = Stage::with(in_pages_of_ten(), |settings| settings.rate = Some("1000/s".to_owned())).await;
    let _ = claimed(&stage).await;
    let provider = stage.worker.providers.get(&name()).await.unwrap().unwrap();
    let (view, mark) = (View::alone(), stage.target.mark());
    let evaluator = &stage.worker.evaluator;
    let dry = dry_run(&stage.store, evaluator, &provider, &*view, &HashSet::new(), 10, &|_| ()).await.unwrap();
    let read = stage.target.since(&mark).counts;
    assert_eq!((dry.reads, read.writes(), view.granted("all").len() as u64), (read.of("GET"), 0, read.of("GET")));
    assert!(read.of("GET") > 3, "users have three pages");

    let (view, mark) = (View::alone(), stage.target.mark());
    let _ = examine(&provider, &*view, true).await;
    let counts = stage.target.since(&mark).counts;
    assert_eq!(view.granted("all").len() as u64, counts.total());
    assert!(counts.of("POST") == 2 && counts.of("DELETE") == 2 && counts.of("PATCH") >= 2, "{counts:?}");
}

fn bytes_of_patch(entry: &Entry) -> Option<usize> {
    entry.body.as_deref().filter(|_| entry.method == "PATCH").map(<[u8]>::len)
}

#[tokio::test]
async fn large_requests_have_a_pace_of_their_own() {
    let mut stage = Stage::with(Behaviour { journal_bodies: true, ..Behaviour::default() }, |settings| {
        settings.bulk = Switch::Off;
        let own = json!({ "update": "patch", "rates": { "group-update>500": "1/h", "group-update": "600/m+100" } });
        settings.profile_override = own.as_object().unwrap().clone();
    })
    .await;
    let view = View::alone();
    stage.worker.coordination = view.clone();
    stage.users(40).await;
    let everyone: Vec<String> = (0..40).map(|index| format!("u{index:04}")).collect();
    let members: Vec<&str> = everyone.iter().map(String::as_str).collect();
    stage.import(&[group("One", &[]), group("Two", &[]), group("Three", &[])]).await;
    stage.changes(ResourceKind::User, Lane::Changes).await;
    stage.changes(ResourceKind::Group, Lane::Changes).await;
    let mark = stage.target.mark();
    stage.import(&[group("One", &members), group("Two", &members), group("Three", &members[..2])]).await;
    stage.relay().await;
    stage.changes(ResourceKind::Group, Lane::Changes).await;
    let sizes: Vec<usize> = stage.target.since(&mark).entries.iter().filter_map(bytes_of_patch).collect();
    assert_eq!((sizes.len(), sizes.iter().filter(|bytes| **bytes > 500).count()), (2, 1), "{sizes:?}");
    assert_eq!((view.granted("group-update>500").len(), view.granted("group-update").len()), (1, 3));
}
