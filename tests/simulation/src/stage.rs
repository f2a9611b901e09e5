//! One play: the world is set up, the script is performed, and when all is quiet the oracle judges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scimfleet_coordination::MemoryCoordination;
use scimfleet_core::provider::{Guard, Leavers, MappingText, ProviderSettings};
use scimfleet_core::state::{HoldState, LinkState, ProviderState};
use scimfleet_core::task::Lane;
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind};
use scimfleet_expression::default_mappings;
use scimfleet_scim_client::{Carried, Egress};
use scimfleet_store::{Absent, Imported, LinkRow, Opening, RunKind, Sealer, Store};
use scimfleet_testkit::provider::{Behaviour, CreateMembers, ServiceProvider};
use secrecy::SecretString;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::broker::Broker;
use crate::cast::{Alive, World};
use crate::failure::Told;
use crate::network::{Defect, Host, Network};
use crate::oracle;
use crate::script::{Event, Habit, ProviderPlan, Role, SCOPE_GROUP, Script};
use crate::trace::Trace;

/// Whose objects these are.
const SOURCE: &str = "import:staff";
/// 2026-01-01T00:00:30Z: when every play begins.
const BEGAN_MS: i64 = 1_767_225_630_000;
/// How often it is asked whether all is quiet.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Holds that are looked at; a play has few.
const HOLDS_MAX: i64 = 100;
/// What is not at rest by then never will be: providers that were given up are asked again within a quarter of an
/// hour, and an object is tried again within an hour.
const REST_WITHIN: Duration = Duration::from_secs(6 * 3600);

/// A provider on stage.
pub struct Seat {
    /// As the script wants it.
    pub plan: ProviderPlan,
    /// Its name.
    pub name: ProviderName,
    /// Its key.
    pub id: ProviderId,
    /// What is behind it.
    pub host: Arc<Host>,
}

/// Everything that a play consists of while it goes on.
pub struct Stage<'a> {
    script: &'a Script,
    world: World,
    broker: Arc<Broker>,
    network: Arc<Network>,
    trace: Arc<Trace>,
    seats: Vec<Seat>,
    /// The roles by their place; those between two lives are absent.
    alive: BTreeMap<String, Alive>,
    /// Who comes back, and when.
    returning: Vec<(Instant, Role)>,
    /// Counts lives: a role that was killed comes back under another name.
    lives: usize,
    began: Instant,
}

impl<'a> Stage<'a> {
    /// Sets up the world.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn new(script: &'a Script, seed: u64, defect: Option<Defect>, trace: Arc<Trace>) -> Told<Self> {
        let sealer = Sealer::from_base64(&SecretString::from(format!("{}=", "A".repeat(43))))?;
        let store = Store::simulated("sqlite::memory:", Some(sealer), BEGAN_MS)?;
        store.migrate().await?;
        for mapping in default_mappings() {
            let expression = mapping.source.to_string();
            let text = MappingText { name: mapping.name.clone(), resource: mapping.kind, expression };
            store.put_mapping(&text, "built-in").await?;
        }
        let names: Vec<String> = (0..script.providers.len()).map(|index| format!("p{index}.example")).collect();
        let targets = script.providers.iter().map(|plan| ServiceProvider::unbound(behaviour(plan.habit)));
        let behind = names.iter().cloned().zip(targets).collect();
        let faults = (seed ^ 0x6e65_7477, script.faults_per_mille);
        let network = Arc::new(Network::new(faults, defect, trace.clone(), behind));
        let broker = Arc::new(Broker::new(seed ^ 0x6272_6f6b, script.faults_per_mille)?);
        let mut seats = Vec::new();
        for (plan, host_name) in script.providers.iter().zip(&names) {
            let Some(host) = network.host(host_name) else { continue };
            let name = ProviderName::parse(host_name.split('.').next().unwrap_or_default())?;
            let settings = settings(&name, host_name, plan);
            let (id, _) = store.put_provider(&settings).await?;
            store.put_provider_secret(id, &SecretString::from(host.provider().token())).await?;
            seats.push(Seat { plan: plan.clone(), name, id, host: host.clone() });
        }
        let egress = Egress { carrier: Some(Carried::by(network.clone())), ..Egress::default() };
        let coordination = Arc::new(MemoryCoordination::new());
        let world = World { store, broker: broker.clone(), coordination, egress };
        Ok(Self {
            script,
            world,
            broker,
            network,
            trace,
            seats,
            alive: BTreeMap::new(),
            returning: Vec::new(),
            lives: 0,
            began: Instant::now(),
        })
    }

    /// Plays to the end; returns what the oracle found wrong.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn play(mut self) -> Told<Vec<String>> {
        let schedulers = (0..self.script.schedulers).map(Role::Scheduler);
        for role in schedulers.chain((0..self.script.workers).map(Role::Worker)) {
            self.start(role);
        }
        for (at, event) in &self.script.events {
            self.wait_until(self.began + *at).await;
            self.perform(event).await?;
        }
        self.wait_until(self.began + self.script.quiet_after).await;
        self.trace.tell(|| "no more edits, no more faults".to_owned());
        self.network.calm_down();
        self.broker.calm_down();
        // Nothing is at rest before everybody is back who was killed.
        let everybody_back = self.returning.iter().map(|(at, _)| *at).max();
        self.wait_until(everybody_back.unwrap_or_else(Instant::now)).await;
        let limit = Instant::now() + REST_WITHIN;
        while !self.is_quiet().await? {
            if Instant::now() > limit {
                let mut found = vec!["not at rest within six hours".to_owned()];
                found.extend(self.restless().await?);
                return Ok(found);
            }
            self.approve().await?;
            sleep(LOOK_EVERY).await;
        }
        self.judge().await
    }

    /// Lets time pass; whoever is to come back meanwhile does.
    async fn wait_until(&mut self, until: Instant) {
        loop {
            self.returning.sort_by_key(|(at, _)| *at);
            match self.returning.first().copied() {
                Some((at, role)) if at <= until => {
                    sleep_until(at).await;
                    self.returning.remove(0);
                    self.start(role);
                }
                _ => return sleep_until(until).await,
            }
        }
    }

    fn start(&mut self, role: Role) {
        self.lives += 1;
        let name = format!("{role:?}-{}", self.lives);
        self.trace.tell(|| format!("{name} starts"));
        let alive = match role {
            Role::Scheduler(_) => self.world.scheduler(name),
            Role::Worker(_) => self.world.worker(name),
        };
        self.alive.insert(format!("{role:?}"), alive);
    }

    async fn perform(&mut self, event: &Event) -> Told<()> {
        match event {
            Event::Write(ids, directory) => {
                let lines: Vec<_> =
                    ids.iter().filter_map(|id| directory.user_line(id).or_else(|| directory.group_line(id))).collect();
                for id in ids {
                    self.trace.tell(|| match directory.users.get(id) {
                        Some(user) => format!("the directory writes {id}: {user:?}"),
                        None => format!("the directory writes {id}: {:?}", directory.groups.get(id)),
                    });
                }
                for outcome in self.world.store.import_as(SOURCE, Absent::Clears, lines).await? {
                    if let Imported::Rejected(rejection) = outcome {
                        return Err(format!("an edit was rejected: {rejection}").into());
                    }
                }
            }
            Event::Delete(id) => {
                self.trace.tell(|| format!("the directory deletes {id}"));
                let kind = if id.starts_with("u-") { ResourceKind::User } else { ResourceKind::Group };
                let allow = |_: &_| Ok::<_, std::convert::Infallible>(());
                self.world.store.delete_resource(SOURCE, kind, &ResourceId::parse(id)?, allow).await?;
            }
            Event::Sync(index) => {
                if let Some(seat) = self.seats.get(*index) {
                    self.trace.tell(|| format!("a full sync of {}", seat.name));
                    self.world.store.queue_run(seat.id, RunKind::Full, Opening::Asked).await?;
                }
            }
            Event::Kill(role, pause) => {
                if self.alive.remove(&format!("{role:?}")).is_some() {
                    self.trace.tell(|| format!("{role:?} is killed"));
                    self.returning.push((Instant::now() + *pause, *role));
                }
            }
            Event::Away(index, time) => {
                if let Some(seat) = self.seats.get(*index) {
                    self.trace.tell(|| format!("{} is away for {} s", seat.name, time.as_secs()));
                    seat.host.go_away(*time);
                }
            }
            Event::TasksLost => {
                self.trace.tell(|| "the broker will lose the next tasks".to_owned());
                self.broker.lose_next();
            }
        }
        Ok(())
    }

    /// Whether nothing will happen any more: nothing is owed, on its way or under way.
    async fn is_quiet(&self) -> Told<bool> {
        let store = &self.world.store;
        if self.network.is_busy() || store.count_outbox().await? > 0 {
            return Ok(false);
        }
        let rows = store.providers().await?;
        if rows.iter().any(|row| row.state != ProviderState::Active || row.scope_due) {
            return Ok(false);
        }
        for seat in &self.seats {
            for lane in Lane::ALL {
                use scimfleet_core::ports::Queue as _;
                if self.broker.depth(&seat.name, *lane).await? > 0 {
                    return Ok(false);
                }
            }
            if store.count_held(seat.id).await? > 0 {
                return Ok(false);
            }
            let owed = self.links(seat.id).await?.iter().any(|link| link.dirty && link.state != LinkState::Parked);
            let goes_on = store.running(seat.id).await?.is_some() || store.queued_run(seat.id).await?.is_some();
            if owed || goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The person who is asked when all accounts of a provider would go.
    async fn approve(&self) -> Told<()> {
        for hold in self.world.store.holds(None, HOLDS_MAX).await? {
            if hold.state == HoldState::Waiting {
                self.trace.tell(|| format!("a person approves: {}", hold.reason));
                self.world.store.decide_hold(&hold.id, HoldState::Approved, "play").await?;
            }
        }
        Ok(())
    }

    /// What keeps a play from its end.
    async fn restless(&self) -> Told<Vec<String>> {
        let store = &self.world.store;
        let mut found = vec![format!("{} changes wait in the outbox", store.count_outbox().await?)];
        for row in store.providers().await? {
            found.push(format!("{} is {}", row.settings.name, row.state));
            for link in self.links(row.id).await? {
                if link.dirty && link.state != LinkState::Parked {
                    found.push(format!("{} at {}: {link:?}", link.resource_id, row.settings.name));
                }
            }
        }
        Ok(found)
    }

    async fn links(&self, provider: ProviderId) -> Told<Vec<LinkRow>> {
        Ok(self.world.store.links(provider, None, None, 10_000).await?)
    }

    async fn judge(&self) -> Told<Vec<String>> {
        let mut found = Vec::new();
        for seat in &self.seats {
            let evidence = oracle::Evidence {
                directory: &self.script.directory,
                plan: &seat.plan,
                content: seat.host.provider().content(),
                links: self.links(seat.id).await?,
                writes: oracle::writes_of(&seat.host),
                log: oracle::log_of(&self.world.store, seat.id).await?,
            };
            found.extend(oracle::judge(&evidence).into_iter().map(|words| format!("{}: {words}", seat.name)));
            let broken = seat.host.provider().violations();
            found.extend(broken.iter().map(|broken| format!("{}: broke the RFC: {broken:?}", seat.name)));
        }
        Ok(found)
    }
}

fn behaviour(habit: Habit) -> Behaviour {
    let strict = Behaviour::default();
    match habit {
        Habit::Strict => strict,
        Habit::PutOnly => Behaviour { patch: false, bulk: false, etag: false, ..strict },
        Habit::Patch => Behaviour { bulk: false, ..strict },
        Habit::IgnoresMembers => Behaviour { members_in_create: CreateMembers::Ignored, bulk: false, ..strict },
        Habit::Flat => Behaviour { nested_groups: false, bulk: false, ..strict },
    }
}

fn settings(name: &ProviderName, host: &str, plan: &ProviderPlan) -> ProviderSettings {
    let mut settings = ProviderSettings::new(name.clone(), format!("http://{host}/scim/v2"));
    let action = plan.leavers;
    settings.leavers = Leavers { out_of_scope: action, deleted: action, ..Leavers::default() };
    // A play takes away more than any guard would let pass; guards have tests of their own.
    settings.guard = Guard { share: "100%".to_owned(), cap: 10_000, at_least: 10_000 };
    if plan.scoped {
        settings.scope.members_of = vec![SCOPE_GROUP.to_owned()];
    }
    let switches = match plan.habit {
        Habit::IgnoresMembers => json!({ "members_in_create": false }),
        Habit::Flat => json!({ "nested_groups": "flatten" }),
        Habit::Strict | Habit::PutOnly | Habit::Patch => json!({}),
    };
    settings.profile_override = switches.as_object().cloned().unwrap_or_default();
    settings
}
