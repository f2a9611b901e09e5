//! Noticing changes without polling tables: LISTEN/NOTIFY on PostgreSQL; on SQLite a notification
//! inside the process, and `PRAGMA data_version` every 50 ms for what other processes write (R9).

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Pool;
use crate::sql::Dialect;

/// The channel of NOTIFY.
const CHANNEL: &str = "scimfleet";
/// How soon another process's write to the same SQLite file is noticed.
const DATA_VERSION_EVERY: Duration = Duration::from_millis(50);
/// The wait before a broken LISTEN connection is opened again.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What may have changed. A signal says "look"; it never carries data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The directory: rows wait in the outbox.
    Outbox,
    /// A run was opened, a phase ended, a run was cancelled.
    Runs,
    /// A provider or a mapping.
    Providers,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Outbox, Self::Runs, Self::Providers];

    const fn word(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Runs => "runs",
            Self::Providers => "providers",
        }
    }
}

#[derive(Debug)]
struct Channels([watch::Sender<u64>; 3]);

impl Channels {
    fn fire(&self, signal: Signal) {
        self.0[signal as usize].send_modify(|count| *count = count.wrapping_add(1));
    }

    fn fire_all(&self) {
        Signal::ALL.into_iter().for_each(|signal| self.fire(signal));
    }
}

/// Where changes are noticed.
#[derive(Debug)]
pub struct Signals {
    channels: Arc<Channels>,
    /// Notices what other processes change.
    watcher: Option<JoinHandle<()>>,
}

impl Signals {
    pub(crate) fn start(dialect: Dialect, url: &str, read: &Pool) -> Self {
        let channels = Self::of_this_process().channels.clone();
        let watcher = match dialect {
            Dialect::Postgres => tokio::spawn(listen(url.to_owned(), channels.clone())),
            Dialect::Sqlite => tokio::spawn(watch_data_version(read.clone(), channels.clone())),
        };
        Self { channels, watcher: Some(watcher) }
    }

    /// Of what this process changes, and nobody else.
    pub(crate) fn of_this_process() -> Self {
        Self { channels: Arc::new(Channels(std::array::from_fn(|_| watch::Sender::new(0)))), watcher: None }
    }

    /// A receiver that changes whenever `signal` fires; many changes may show as one.
    pub fn subscribe(&self, signal: Signal) -> watch::Receiver<u64> {
        self.channels.0[signal as usize].subscribe()
    }

    pub(crate) fn stop(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Store {
    /// Tells everybody who watches the database. Called after the commit, so that whoever looks sees.
    pub(crate) async fn fire(&self, signal: Signal) -> Result<(), StoreError> {
        self.inner.signals.channels.fire(signal);
        if self.dialect() == Dialect::Postgres {
            let sql = "SELECT CAST(pg_notify($1, $2) AS TEXT)";
            sqlx::query(sql).bind(CHANNEL).bind(signal.word()).execute(&self.inner.write).await?;
        }
        Ok(())
    }
}

async fn listen(url: String, channels: Arc<Channels>) {
    loop {
        if let Err(error) = listen_once(&url, &channels).await {
            tracing::debug!(error = %error, "the notification connection broke; it is opened again");
        }
        tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
    }
}

async fn listen_once(url: &str, channels: &Channels) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    // Whatever happened while nobody listened.
    channels.fire_all();
    while let Some(notification) = listener.try_recv().await? {
        match Signal::ALL.into_iter().find(|signal| signal.word() == notification.payload()) {
            Some(signal) => channels.fire(signal),
            None => channels.fire_all(),
        }
    }
    Ok(())
}

async fn watch_data_version(pool: Pool, channels: Arc<Channels>) {
    let Ok(mut connection) = pool.acquire().await else { return };
    let mut seen = None;
    loop {
        let version: Option<i64> = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await.ok();
        if version != seen && seen.replace(version.unwrap_or(0)).is_some() {
            channels.fire_all();
        }
        tokio::time::sleep(DATA_VERSION_EVERY).await;
    }
}
