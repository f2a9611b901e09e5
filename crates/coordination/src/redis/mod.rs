//! Coordination through Redis: each question is one script on the server, with the server's clock.
//!
//! Without Redis each worker goes on with its share of a limit: the limit divided by the number of
//! workers that were last seen alive. It asks again once a second and returns by itself.

mod outage;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Cmd, FromRedisValue, RedisError, Script, ScriptInvocation, cmd};
use deadpool_redis::{Config, Connection, Pool, PoolError, Runtime};
use scimfleet_core::ProviderName;
use scimfleet_core::ports::{Coordination, CoordinationError, Heartbeat, LEARNED_SETTLES, LearnedRate, Rate};
use tokio::sync::Mutex;

use self::outage::Outage;
use crate::gcra::Pace;
use crate::local::Local;

/// The prefix of all keys when the configuration gives none.
pub const DEFAULT_PREFIX: &str = "scimfleet";

/// A hundred times what Redis takes in a healthy network; a request to a provider waits no longer
/// than this for its permission.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// One carries all questions; a second is opened while the first one's end is not yet known.
const CONNECTIONS_MAX: usize = 2;

/// The share of a worker that never saw the others: rather too slow than too fast.
const WORKERS_ASSUMED: u32 = 8;

/// A gate is closed for a day at most: a service provider's mistake must not silence it for ever,
/// and Redis refuses times beyond its range.
const GATE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Coordination between processes. Cheap to ask: one round trip each.
pub struct RedisCoordination {
    pool: Pool,
    /// Taken out of the pool, which would ask it for a sign of life before each question and so
    /// double their cost. Questions are pipelined on it.
    current: Mutex<Option<MultiplexedConnection>>,
    prefix: String,
    scripts: Scripts,
    /// Gates that this process closed and paces that it learned (they hold even when Redis forgets), and the
    /// share of each limit during an outage.
    local: Local,
    outage: Outage,
    workers_seen: AtomicU32,
}

/// The pool's own `Debug` shows the URL with its password.
impl fmt::Debug for RedisCoordination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RedisCoordination").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

struct Scripts {
    acquire: Script,
    close_gate: Script,
    learn_rate: Script,
    learned_rate: Script,
    workers: Script,
    raise_epoch: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            acquire: Script::new(include_str!("acquire.lua")),
            close_gate: Script::new(include_str!("close_gate.lua")),
            learn_rate: Script::new(include_str!("learn_rate.lua")),
            learned_rate: Script::new(include_str!("learned_rate.lua")),
            workers: Script::new(include_str!("workers.lua")),
            raise_epoch: Script::new(include_str!("raise_epoch.lua")),
        }
    }
}

impl RedisCoordination {
    /// Prepares connections; the first is opened by the first question.
    ///
    /// # Errors
    /// [`CoordinationError`] when `url` cannot be read.
    pub fn open(url: &str, prefix: &str) -> Result<Self, CoordinationError> {
        // The parser's words are left out: they may quote the URL.
        let unreadable = || unreachable("the URL cannot be read as `redis://user:password@host:port/database`");
        let builder = Config::from_url(url).builder().map_err(|_| unreadable())?;
        let pool = builder.max_size(CONNECTIONS_MAX).runtime(Runtime::Tokio1).build().map_err(|_| unreadable())?;
        Ok(Self {
            pool,
            current: Mutex::default(),
            prefix: prefix.to_owned(),
            scripts: Scripts::new(),
            local: Local::new(),
            outage: Outage::default(),
            workers_seen: AtomicU32::new(WORKERS_ASSUMED),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    fn epoch_key(&self, database: &str) -> String {
        self.key(&format!("epoch:{database}"))
    }

    fn gate_key(&self, provider: &ProviderName) -> String {
        self.key(&format!("gate:{provider}"))
    }

    fn learned_key(&self, provider: &ProviderName) -> String {
        self.key(&format!("learned:{provider}"))
    }

    /// Waits for Redis, not for ever, and remembers whether it answered.
    async fn watch<T>(
        &self,
        asked: impl Future<Output = Result<T, CoordinationError>>,
    ) -> Result<T, CoordinationError> {
        let result = match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(result) => result,
            Err(_) => Err(unreachable(format!("no answer within {} ms", ANSWER_TIMEOUT.as_millis()))),
        };
        match &result {
            Ok(_) => self.outage.over(),
            Err(error) => {
                self.outage.seen(error);
                // Somebody who holds the lock is already opening another one.
                if let Ok(mut current) = self.current.try_lock() {
                    *current = None;
                }
            }
        }
        result
    }

    async fn connection(&self) -> Result<MultiplexedConnection, CoordinationError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref() {
            return Ok(connection.clone());
        }
        let fresh = Connection::take(self.pool.get().await.map_err(no_connection)?);
        Ok(current.insert(fresh).clone())
    }

    async fn run<T: FromRedisValue + Send>(&self, script: &ScriptInvocation<'_>) -> Result<T, CoordinationError> {
        self.watch(async {
            let mut connection = self.connection().await?;
            script.invoke_async(&mut connection).await.map_err(|error: RedisError| unreachable(error.to_string()))
        })
        .await
    }

    async fn command<T: FromRedisValue + Send>(&self, command: &Cmd) -> Result<T, CoordinationError> {
        self.watch(async {
            let mut connection = self.connection().await?;
            command.query_async(&mut connection).await.map_err(|error: RedisError| unreachable(error.to_string()))
        })
        .await
    }

    async fn living(&self, script: &ScriptInvocation<'_>) -> Result<Vec<Heartbeat>, CoordinationError> {
        let beats: Vec<String> = self.run(script).await?;
        // Written by another version: it counts as a worker, but cannot be shown.
        let mut workers: Vec<Heartbeat> = beats.iter().filter_map(|beat| serde_json::from_str(beat).ok()).collect();
        workers.sort_by(|one, other| one.worker.cmp(&other.worker));
        if let Ok(seen @ 1..) = u32::try_from(beats.len()) {
            self.workers_seen.store(seen, Ordering::Relaxed);
        }
        Ok(workers)
    }

    fn workers_invocation(&self) -> ScriptInvocation<'_> {
        let mut script = self.scripts.workers.key(self.key("workers:until"));
        script.key(self.key("workers"));
        script
    }

    async fn acquire(
        &self,
        provider: &ProviderName,
        route: &str,
        rate: Option<Rate>,
    ) -> Result<u64, CoordinationError> {
        let pace = rate.map(Pace::new);
        let mut script = self.scripts.acquire.key(self.gate_key(provider));
        script.key(self.key(&format!("rate:{provider}:{route}")));
        script.arg(pace.map_or(0.0, |pace| micros(pace.interval)));
        script.arg(pace.map_or(0.0, |pace| micros(pace.tolerance)));
        self.run(&script).await
    }
}

#[async_trait]
impl Coordination for RedisCoordination {
    async fn try_acquire(&self, provider: &ProviderName, route: &str, rate: Option<Rate>) -> Option<Duration> {
        if let Some(wait) = self.local.gate(provider) {
            return Some(wait);
        }
        if self.outage.may_ask()
            && let Ok(wait) = self.acquire(provider, route, rate).await
        {
            return Some(Duration::from_micros(wait)).filter(|wait| !wait.is_zero());
        }
        let workers = self.workers_seen.load(Ordering::Relaxed);
        self.local.try_acquire(provider, route, rate.map(|rate| Pace::share(rate, workers)))
    }

    async fn close_gate(&self, provider: &ProviderName, wait: Duration) {
        let wait = wait.min(GATE_MAX);
        self.local.close_gate(provider, wait);
        let mut script = self.scripts.close_gate.key(self.gate_key(provider));
        // At least one: Redis refuses a time to live of zero.
        script.arg(wait.as_millis().max(1).to_string());
        if let Err(error) = self.run::<i64>(&script).await {
            tracing::warn!(%provider, %error, "a gate is closed in this process only");
        }
    }

    async fn gate(&self, provider: &ProviderName) -> Option<Duration> {
        let local = self.local.gate(provider);
        if !self.outage.may_ask() {
            return local;
        }
        let shared = self.acquire(provider, "", None).await.unwrap_or_default();
        local.max(Some(Duration::from_micros(shared)).filter(|wait| !wait.is_zero()))
    }

    async fn learn_rate(&self, provider: &ProviderName, per_second: f64, ttl: Duration) {
        self.local.learn_rate(provider, per_second, ttl);
        let mut script = self.scripts.learn_rate.key(self.learned_key(provider));
        script.arg(per_second).arg(ttl.as_millis().max(1).to_string()).arg(LEARNED_SETTLES.as_millis().to_string());
        if let Err(error) = self.run::<i64>(&script).await {
            tracing::warn!(%provider, %error, "a pace is known in this process only");
        }
    }

    async fn learned_rate(&self, provider: &ProviderName) -> Option<LearnedRate> {
        if self.outage.may_ask()
            && let Ok(Some((per_second, age_ms))) =
                self.run::<Option<(f64, u64)>>(&self.scripts.learned_rate.key(self.learned_key(provider))).await
        {
            return Some(LearnedRate { per_second, age: Duration::from_millis(age_ms) });
        }
        self.local.learned_rate(provider)
    }

    async fn heartbeat(&self, beat: &Heartbeat, ttl: Duration) -> Result<(), CoordinationError> {
        let text = serde_json::to_string(beat).map_err(|error| unreachable(error.to_string()))?;
        let mut script = self.workers_invocation();
        script.arg(&beat.worker).arg(ttl.as_millis().to_string()).arg(text);
        self.living(&script).await.map(|_| ())
    }

    async fn ask_to_end(&self, worker: &str, ttl: Duration) -> Result<(), CoordinationError> {
        let ms = ttl.as_millis().max(1).to_string();
        self.command(cmd("SET").arg(self.key(&format!("end:{worker}"))).arg(1).arg("PX").arg(ms)).await
    }

    async fn is_asked_to_end(&self, worker: &str) -> Result<bool, CoordinationError> {
        self.command(cmd("EXISTS").arg(self.key(&format!("end:{worker}")))).await
    }

    async fn workers(&self) -> Result<Vec<Heartbeat>, CoordinationError> {
        self.living(&self.workers_invocation()).await
    }

    async fn epoch(&self, database: &str) -> Result<Option<i64>, CoordinationError> {
        self.command(cmd("GET").arg(self.epoch_key(database))).await
    }

    async fn raise_epoch(&self, database: &str, epoch: i64) -> Result<(), CoordinationError> {
        let mut script = self.scripts.raise_epoch.key(self.epoch_key(database));
        script.arg(epoch);
        self.run::<i64>(&script).await.map(|_| ())
    }

    async fn healthy(&self) -> Result<(), CoordinationError> {
        self.command::<String>(&cmd("PING")).await.map(|_| ())
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000_000.0
}

/// The cause alone: that it happened in a pool helps nobody.
fn no_connection(error: PoolError) -> CoordinationError {
    match error {
        PoolError::Backend(error) => unreachable(error.to_string()),
        other => unreachable(other.to_string()),
    }
}

fn unreachable(reason: impl Into<String>) -> CoordinationError {
    CoordinationError { reason: reason.into() }
}
