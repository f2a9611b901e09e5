//! Opening the database.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions as _, SqlStr};
use uuid::Uuid;

use crate::clock::{Clock, wall_ms};
use crate::error::StoreError;
use crate::pool::{Pool, Transaction};
use crate::provider::Announcements;
use crate::seal::Sealer;
use crate::signal::Signals;
use crate::sql::{Dialect, statement};

/// A statement that waits longer than this for a connection counts as database trouble.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the connection that writes, and each that reads, may keep of the file. The writer comes back to pages
/// that it wrote; readers find theirs in the operating system's cache, of which there is one for all.
const SQLITE_WRITER_CACHE_KIB: u32 = 16 * 1024;
const SQLITE_READER_CACHE_KIB: u32 = 4 * 1024;

/// WAL lets readers go on beside the one writer; FULL makes an intent durable before the request that
/// it announces; the busy timeout covers other processes on the same file.
fn sqlite_pragmas(cache_kib: u32) -> SqlStr {
    statement(format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{cache_kib}"
    ))
}

/// Statements touch what one task is about. PostgreSQL compiles what it guesses to be expensive, again for each
/// execution: 370 ms to read ten thousand members, which takes 30.
const POSTGRES_SETTINGS: &str = "SET jit = off";

/// Nothing of a simulation outlives it, so that nothing is written where it would be found again.
const SIMULATED_PRAGMAS: &str = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; \
     PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY";

/// How to open the database.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite://FILE` or `postgres://…`.
    pub url: String,
    /// Connections at the most.
    pub connections: u32,
}

impl StoreOptions {
    /// Options with the default number of connections.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections: 8 }
    }
}

/// A handle to the database; clones share the connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    /// Sources that may change what others brought (R2).
    overlays: Arc<[String]>,
}

pub(crate) struct Inner {
    pub(crate) dialect: Dialect,
    pub(crate) read: Pool,
    pub(crate) write: Pool,
    pub(crate) clock: Clock,
    pub(crate) signals: Signals,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) url: String,
    pub(crate) announcements: Announcements,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Store").field("dialect", &self.inner.dialect).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects. The schema is left as it is: see [`Store::migrate`]. Without a `sealer` everything
    /// works but secrets.
    pub async fn connect(options: &StoreOptions, sealer: Option<Sealer>) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = dialect_of(&options.url)?;
        let (read, write) = match dialect {
            Dialect::Postgres => {
                let settings = statement(POSTGRES_SETTINGS.to_owned());
                let pool = Pool::Shared(pool(&options.url, options.connections, settings).await?);
                (pool.clone(), pool)
            }
            Dialect::Sqlite => {
                let url = sqlite_url(&options.url);
                // The writer comes first: it creates the file and switches it to WAL.
                let write = pool(&url, 1, sqlite_pragmas(SQLITE_WRITER_CACHE_KIB)).await?;
                let read = pool(&url, options.connections, sqlite_pragmas(SQLITE_READER_CACHE_KIB)).await?;
                (Pool::Shared(read), Pool::Shared(write))
            }
        };
        let signals = Signals::start(dialect, &options.url, &read);
        let clock = Clock::local();
        let inner = Inner {
            dialect,
            read,
            write,
            clock,
            signals,
            sealer,
            url: options.url.clone(),
            announcements: Announcements::default(),
        };
        let store = Self { inner: Arc::new(inner), overlays: Arc::default() };
        store.refresh_clock().await?;
        Ok(store)
    }

    /// Connects for a simulation: one connection to an SQLite file that nobody else has open, whose statements end
    /// within the poll that began them, and a clock that begins at `began_ms` (milliseconds since 1970) and goes on
    /// with tokio's. A crash of the machine is not survived.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn simulated(url: &str, sealer: Option<Sealer>, began_ms: i64) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(url).map_err(|_| StoreError::Url("cannot be read".to_owned()))?;
        let connection = block_on(async {
            let mut connection = options.connect().await?;
            sqlx::raw_sql(SIMULATED_PRAGMAS).execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        })?;
        let pool = Pool::alone(connection);
        let (signals, clock) = (Signals::of_this_process(), Clock::beginning_at(began_ms));
        let inner = Inner {
            dialect: Dialect::Sqlite,
            read: pool.clone(),
            write: pool,
            clock,
            signals,
            sealer,
            url: url.to_owned(),
            announcements: Announcements::default(),
        };
        Ok(Self { inner: Arc::new(inner), overlays: Arc::default() })
    }

    /// The same handle, with sources that may change what other sources brought (R2). It stays theirs: an
    /// overlay deletes nothing, and what the owner says next time counts again.
    #[must_use]
    pub fn with_overlays(self, overlays: Vec<String>) -> Self {
        Self { overlays: overlays.into(), ..self }
    }

    /// Whether a source may change what others brought.
    pub(crate) fn is_overlay(&self, source: &str) -> bool {
        self.overlays.iter().any(|overlay| overlay == source)
    }

    /// Milliseconds since 1970 by the database's clock.
    pub fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// Reads the database's clock again when the last reading is old. Leases rest on it.
    pub(crate) async fn refresh_clock(&self) -> Result<(), StoreError> {
        let now = match self.inner.dialect {
            Dialect::Sqlite => match self.inner.read {
                Pool::Shared(_) => wall_ms(),
                Pool::Alone(_) => self.now_ms(),
            },
            Dialect::Postgres => {
                let sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
                sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.inner.read).await?
            }
        };
        self.inner.clock.set(now);
        Ok(())
    }

    /// The time for a lease: never older than [`crate::clock::FRESH_FOR`].
    pub(crate) async fn lease_clock_ms(&self) -> Result<i64, StoreError> {
        if self.inner.clock.is_stale() {
            self.refresh_clock().await?;
        }
        Ok(self.now_ms())
    }

    /// Whether the database answers.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.inner.read).await?;
        Ok(())
    }

    /// Whether the database answers within a time: for whoever shows an outage sooner than statements give up.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] when it does not.
    pub async fn answers_within(&self, wait: Duration) -> Result<(), StoreError> {
        match tokio::time::timeout(wait, self.healthy()).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Unreachable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Whether the database is a file of this machine.
    pub fn is_embedded(&self) -> bool {
        self.inner.dialect == Dialect::Sqlite
    }

    /// What changed in the database, as it happens.
    pub fn signals(&self) -> &Signals {
        &self.inner.signals
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    pub(crate) fn read(&self) -> &Pool {
        &self.inner.read
    }

    /// A writing transaction. SQLite takes its write lock at once: a transaction that reads first and
    /// writes later could otherwise fail half-way.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        let statement = match self.inner.dialect {
            Dialect::Postgres => "BEGIN",
            Dialect::Sqlite => "BEGIN IMMEDIATE",
        };
        Ok(self.inner.write.begin(statement).await?)
    }

    /// A new key, ordered by time.
    pub(crate) fn new_key(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.inner.signals.stop();
        self.inner.read.close().await;
        self.inner.write.close().await;
    }
}

fn dialect_of(url: &str) -> Result<Dialect, StoreError> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("postgres" | "postgresql") => Ok(Dialect::Postgres),
        Some("sqlite") => Ok(Dialect::Sqlite),
        Some(other) => Err(StoreError::Url(format!("unknown scheme `{other}`"))),
        None => Err(StoreError::Url("no scheme".to_owned())),
    }
}

fn sqlite_url(url: &str) -> String {
    if url.contains('?') { url.to_owned() } else { format!("{url}?mode=rwc") }
}

async fn pool(url: &str, connections: u32, on_connect: SqlStr) -> Result<AnyPool, StoreError> {
    // The driver's message may hold the URL with its password; only the kind of mistake is passed on.
    let options = AnyConnectOptions::from_str(url).map_err(|_| StoreError::Url("cannot be read".to_owned()))?;
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            let on_connect = on_connect.clone();
            Box::pin(async move {
                sqlx::raw_sql(on_connect).execute(connection).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    Ok(pool)
}
