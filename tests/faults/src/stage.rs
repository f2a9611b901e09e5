//! One scenario's world: a database and a queue prefix of its own, target providers in this process, roles
//! of the real binary as processes, and a proxy in front of each service for each role that asks for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use scimfleet_core::state::RunState;
use scimfleet_core::task::Lane;
use scimfleet_core::{ProviderId, ProviderName};
use scimfleet_store::{Store, StoreOptions};
use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use scimfleet_testkit::proxy::{Mode, Proxy};
use serde_json::Value;

use crate::failure::{Failure, Told, ensure};
use crate::figures::Figures;
use crate::model::Model;
use crate::oracle::{Evidence, judge, links, writes_of};
use crate::process::{Role, binary, tail};
use crate::services::{Services, address_of, postgres_tool, through};
use crate::wait::until;

/// A sealing key for tests; it protects nothing.
/// Names a file with the sealing key, in place of the key of the suite.
pub const KEY_FILE: &str = "SCIMFLEET_SECRETS_KEY_FILE";
const SEALING_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The admin token of every stage.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-fault-suite";

/// What a scenario begins with.
pub struct Setup {
    /// Users of the directory.
    pub users: usize,
    /// Groups of the directory.
    pub groups: usize,
    /// Workers to start.
    pub workers: usize,
    /// Schedulers to start.
    pub schedulers: usize,
    /// How the target behaves.
    pub behaviour: Behaviour,
    /// Further lines of the provider's table in the fleet file.
    pub provider: &'static str,
    /// Whether workers reach the services through proxies of their own.
    pub proxied: bool,
    /// Further environment of all roles.
    pub environment: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            users: 200,
            groups: 6,
            workers: 2,
            schedulers: 1,
            behaviour: Behaviour::default(),
            // One stage is small: the guard is a scenario of its own.
            provider: "guard = { share = \"100%\", cap = 1000000, at_least = 1000000 }",
            proxied: false,
            environment: Vec::new(),
        }
    }
}

/// The proxies of one role.
#[derive(Debug)]
pub struct Doors {
    /// To the broker.
    pub broker: Proxy,
    /// To the database.
    pub database: Proxy,
    /// To Redis.
    pub redis: Proxy,
}

/// The world of a scenario.
pub struct Stage {
    /// Where the services are.
    pub services: Services,
    /// The target.
    pub target: Running,
    /// The directory as it should be.
    pub model: Model,
    /// A connection of the suite's own.
    pub store: Store,
    /// Workers that run now.
    pub workers: Vec<Role>,
    /// Schedulers that run now.
    pub schedulers: Vec<Role>,
    /// Proxies by role.
    pub doors: HashMap<String, Doors>,
    /// Where logs and files lie.
    pub folder: PathBuf,
    /// The name of the scenario, of its provider and of its database.
    pub name: String,
    /// `externalId`s that are at the target and not ours.
    pub strangers: Vec<String>,
    environment: Vec<(String, String)>,
    proxied: bool,
    keep: Option<tempfile::TempDir>,
    began: Instant,
    roles: usize,
}

impl Stage {
    /// Starts everything and applies a fleet file with one provider. The directory is not loaded yet.
    ///
    /// # Errors
    /// What did not start.
    pub async fn open(services: &Services, name: &str, seed: u64, setup: Setup) -> Told<Self> {
        let began = Instant::now();
        let keep = tempfile::tempdir()?;
        let folder = keep.path().to_path_buf();
        let database = database_of(name);
        services.sql("postgres", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await?;
        services.sql("postgres", &format!("CREATE DATABASE {database}")).await?;
        let mut url = url::Url::parse(&services.postgres)?;
        url.set_path(&database);
        let mut environment: Vec<(String, String)> = [
            ("SCIMFLEET_STORE_URL", url.as_str()),
            ("SCIMFLEET_QUEUE_URL", &services.amqp),
            ("SCIMFLEET_QUEUE_PREFIX", &format!("f{name}")),
            ("SCIMFLEET_COORDINATION_URL", &services.redis),
            ("SCIMFLEET_SECRETS_KEY", SEALING_KEY),
            ("SCIMFLEET_ADMIN_TOKEN", ADMIN_TOKEN),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        environment.extend(setup.environment);
        if environment.iter().any(|(name, _)| name == KEY_FILE) {
            // The key in the environment would win.
            environment.retain(|(name, _)| name != "SCIMFLEET_SECRETS_KEY");
        }
        let target = ServiceProvider::start(setup.behaviour).await?;
        let migrated = Command::new(&folder, &environment).run(&["migrate"]).await?;
        ensure(migrated.code == 0, || format!("migrate: {}", migrated.stderr))?;
        let store = Store::connect(&StoreOptions { url: url.to_string(), connections: 3 }, None).await?;
        let mut stage = Self {
            services: services.clone(),
            target,
            model: Model::new(seed, setup.users, setup.groups),
            store,
            workers: Vec::new(),
            schedulers: Vec::new(),
            doors: HashMap::new(),
            folder,
            name: name.to_owned(),
            strangers: Vec::new(),
            environment,
            proxied: setup.proxied,
            keep: Some(keep),
            began,
            roles: 0,
        };
        let table = stage.provider_table(name, &stage.target.base_url(), &stage.target.token(), setup.provider);
        stage.apply(&table).await?;
        for _ in 0..setup.schedulers {
            stage.start_scheduler().await?;
        }
        for _ in 0..setup.workers {
            stage.start_worker().await?;
        }
        Ok(stage)
    }

    /// A `[[provider]]` table.
    pub fn provider_table(&self, name: &str, base_url: &str, token: &str, more: &str) -> String {
        format!(
            "[[provider]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nschedule = \"off\"\n\
             auth = {{ kind = \"bearer\", token = {{ value = \"{token}\" }} }}\n{more}\n"
        )
    }

    /// Applies a fleet file with this text.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn apply(&self, text: &str) -> Told<()> {
        let path = self.folder.join("fleet.toml");
        tokio::fs::write(&path, text).await?;
        self.cli(&["apply", "fleet.toml"]).await.map(drop)
    }

    /// The environment of the roles.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Starts one more worker.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_worker(&mut self) -> Told<()> {
        let role = self.start("worker").await?;
        self.workers.push(role);
        Ok(())
    }

    /// Starts one more scheduler.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_scheduler(&mut self) -> Told<()> {
        let role = self.start("scheduler").await?;
        self.schedulers.push(role);
        Ok(())
    }

    /// Starts a role; who keeps it ends it.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start(&mut self, role: &str) -> Told<Role> {
        self.roles += 1;
        let name = format!("{role}-{}", self.roles);
        let mut environment = self.environment.clone();
        if self.proxied && role == "worker" {
            let doors = Doors {
                broker: Proxy::start(address_of(&self.services.amqp)?).await?,
                database: Proxy::start(address_of(&self.services.postgres)?).await?,
                redis: Proxy::start(address_of(&self.services.redis)?).await?,
            };
            for (variable, proxy) in [
                ("SCIMFLEET_QUEUE_URL", &doors.broker),
                ("SCIMFLEET_STORE_URL", &doors.database),
                ("SCIMFLEET_COORDINATION_URL", &doors.redis),
            ] {
                if let Some((_, url)) = environment.iter_mut().find(|(name, _)| name == variable) {
                    *url = through(url, proxy.address())?;
                }
            }
            self.doors.insert(name.clone(), doors);
        }
        let mut started = Role::spawn(&name, role, &self.folder, &environment)?;
        started.ready().await?;
        Ok(started)
    }

    /// SIGKILL to all workers.
    ///
    /// # Errors
    /// When one is gone already.
    pub fn kill_workers(&mut self) -> Told<usize> {
        let killed = self.workers.len();
        self.workers.drain(..).try_for_each(Role::kill)?;
        Ok(killed)
    }

    /// Switches one door of every worker.
    pub async fn switch(&self, door: impl Fn(&Doors) -> &Proxy, mode: Mode) {
        for doors in self.doors.values() {
            door(doors).set(mode).await;
        }
    }

    /// Runs a command of the binary; its JSON.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub async fn cli(&self, arguments: &[&str]) -> Told<Value> {
        let ran = self.try_cli(arguments).await?;
        ensure(ran.code == 0, || {
            format!(
                "`scimfleet {}` ended with {}: {} {}",
                arguments.join(" "),
                ran.code,
                ran.stderr,
                ran.json["runs"][0]
            )
        })?;
        Ok(ran.json)
    }

    /// Runs a command of the binary.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn try_cli(&self, arguments: &[&str]) -> Told<Ran> {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        Command::new(&self.folder, &self.environment).run(&all).await
    }

    /// Imports lines; what is refused is a failure.
    ///
    /// # Errors
    /// When a line is refused.
    pub async fn import(&self, lines: &str) -> Told<()> {
        self.import_with(lines, &[]).await.map(drop)
    }

    /// Imports lines with further arguments.
    ///
    /// # Errors
    /// When a line is refused.
    pub async fn import_with(&self, lines: &str, more: &[&str]) -> Told<Value> {
        tokio::fs::write(self.folder.join("people.jsonl"), lines).await?;
        let mut arguments = vec!["import", "people.jsonl", "--source", "faults"];
        arguments.extend_from_slice(more);
        self.cli(&arguments).await
    }

    /// Imports the whole model.
    ///
    /// # Errors
    /// When a line is refused.
    pub async fn load(&self) -> Told<()> {
        self.import(&self.model.lines(None, true)).await
    }

    /// Imports the whole model as a snapshot: what it lacks is removed.
    ///
    /// # Errors
    /// When a line is refused.
    pub async fn load_snapshot(&self) -> Told<()> {
        let lines = self.model.lines(None, true);
        self.import_with(&lines, &["--snapshot", "--allow-removals", "1000000"]).await.map(drop)
    }

    /// `sync --wait`, and the only run of its report.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub async fn sync(&self) -> Told<Value> {
        let mut report = self.cli(&["sync", &self.name, "--wait"]).await?;
        Ok(report["runs"][0].take())
    }

    /// Opens a run and does not wait for it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn open_run(&self) -> Told<()> {
        self.cli(&["sync", &self.name]).await.map(drop)
    }

    /// The id of the provider.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn provider(&self) -> Told<ProviderId> {
        let name: ProviderName = self.name.parse()?;
        let row = self.store.provider(&name).await?;
        row.map(|row| row.id).ok_or_else(|| Failure::new("the provider is gone"))
    }

    /// Tasks of a lane that the broker has and that no worker holds.
    ///
    /// # Errors
    /// Those of the broker.
    pub async fn tasks_waiting(&self, lane: Lane) -> Told<u64> {
        let queue = scimfleet_queue::connect(&self.services.amqp, &format!("f{}", self.name)).await?;
        let waiting = queue.depth(&self.name.parse()?, lane).await?;
        queue.close().await;
        Ok(waiting)
    }

    /// Waits until nothing is owed: no change unrelayed, no link dirty, no run under way.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn rest(&self, limit: Duration) -> Told<()> {
        let provider = self.provider().await?;
        let store = &self.store;
        let rests = until(limit, "nothing is owed any more", || async {
            let (Ok(outbox), Ok(glance), Ok(runs)) =
                (store.count_outbox().await, store.glance(provider).await, store.runs(Some(provider), 3).await)
            else {
                return Ok(false);
            };
            let owed = glance.owed.saturating_sub(glance.held);
            Ok(outbox == 0 && owed == 0 && runs.iter().all(|run| run.state.is_final()))
        });
        let Err(failure) = rests.await else { return Ok(()) };
        let glance = store.glance(provider).await?;
        let runs = store.runs(Some(provider), 3).await?;
        let open: Vec<RunState> = runs.iter().map(|run| run.state).filter(|state| !state.is_final()).collect();
        let state = store.providers().await?.first().map(|row| row.state);
        let logs = self.workers.first().map(|role| tail(role.log())).unwrap_or_default();
        Err(Failure(format!("{}: {glance:?}, runs {open:?}, provider {state:?}\n{logs}", failure.0)))
    }

    /// Asks the oracle, and adds its judgement to the figures.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn judge(&self, figures: &mut Figures) -> Told<()> {
        let provider = self.provider().await?;
        let links = links(&self.store, provider).await?;
        let ids: Vec<_> = links.iter().map(|link| link.resource_id.clone()).collect();
        let mut names = HashMap::new();
        for row in self.store.resources(&ids).await? {
            let name = row.document.get("externalId").and_then(Value::as_str).unwrap_or_default().to_owned();
            names.insert(row.id.clone(), name);
        }
        let uncertain = format!(
            "SELECT count(*) FROM provisioning_log WHERE provider_id = '{provider}' AND outcome IN ('uncertain', 'unknown', 'transient')"
        );
        let evidence = Evidence {
            model: &self.model,
            content: self.target.content(),
            writes: writes_of(&self.target.journal()),
            links,
            names,
            rows: self.store.count_log(provider).await?,
            uncertain: self.sql(&uncertain).await?.parse()?,
            strangers: self.strangers.clone(),
        };
        judge(&evidence, figures);
        Ok(())
    }

    /// A statement in the database of this stage.
    ///
    /// # Errors
    /// The words of psql.
    pub async fn sql(&self, statement: &str) -> Told<String> {
        self.services.sql(&database_of(&self.name), statement).await
    }

    /// The whole database as text.
    ///
    /// # Errors
    /// The words of pg_dump.
    pub async fn dump(&self) -> Told<Vec<u8>> {
        let mut url = url::Url::parse(&self.services.postgres)?;
        url.set_path(&database_of(&self.name));
        let output = tokio::process::Command::new(postgres_tool("pg_dump")).arg(url.as_str()).output().await?;
        ensure(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok(output.stdout)
    }

    /// Ends everything; the duration goes into the figures.
    ///
    /// # Errors
    /// When a role does not drain.
    pub async fn close(mut self, figures: &mut Figures) -> Told<()> {
        for role in self.workers.drain(..).chain(self.schedulers.drain(..)) {
            role.drain().await?;
        }
        figures.duration = self.began.elapsed();
        self.store.close().await;
        self.services.sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", database_of(&self.name))).await?;
        drop(self.keep.take());
        Ok(())
    }
}

fn database_of(name: &str) -> String {
    format!("faults_{}", name.replace('-', "_"))
}

/// What one call of the binary did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// The JSON document on its standard output.
    pub json: Value,
    /// Its standard error.
    pub stderr: String,
}

struct Command<'a> {
    folder: &'a std::path::Path,
    environment: &'a [(String, String)],
}

impl<'a> Command<'a> {
    fn new(folder: &'a std::path::Path, environment: &'a [(String, String)]) -> Self {
        Self { folder, environment }
    }

    async fn run(&self, arguments: &[&str]) -> Told<Ran> {
        let output = tokio::process::Command::new(binary()?)
            .args(arguments)
            .current_dir(self.folder)
            .env_remove("SCIMFLEET_LOG")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
