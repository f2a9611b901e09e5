//! One connection that is opened again when it is needed and gone.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use scimfleet_core::ports::QueueError;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::topology;
use crate::names::Names;

/// Every question to the broker, so that a broker that accepts and never answers holds nobody.
/// Declaring a quorum queue while a cluster elects a leader takes a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that vanished without a word is noticed after two of these.
const HEARTBEAT_SECONDS: u16 = 10;

/// One connection, shared; the AMQP URI in it holds the password, so it is never shown.
pub(super) struct Link {
    uri: AMQPUri,
    name: &'static str,
    names: Names,
    current: Mutex<Option<Arc<Connection>>>,
    /// How often it connected.
    connected: AtomicU64,
    closed: CancellationToken,
}

impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(
        url: &str,
        name: &'static str,
        names: Names,
        closed: CancellationToken,
    ) -> Result<Self, QueueError> {
        // The parser's words are left out: they may quote the URL.
        let mut uri: AMQPUri = url.parse().map_err(|_: String| {
            unreachable("the queue's URL cannot be read as `amqp://user:password@host:port/vhost`")
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self { uri, name, names, current: Mutex::default(), connected: AtomicU64::new(0), closed })
    }

    /// A fresh channel; connects if there is no connection. Callers that come together wait for one
    /// and the same attempt.
    pub(super) async fn channel(&self) -> Result<Channel, QueueError> {
        if self.closed.is_cancelled() {
            return Err(unreachable("the queue was closed"));
        }
        let connection = self.connection().await?;
        answer(connection.create_channel()).await
    }

    async fn connection(&self) -> Result<Arc<Connection>, QueueError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(connection.clone());
        }
        *current = None;
        let properties = ConnectionProperties::default().with_connection_name(self.name.into());
        let connection = Arc::new(answer(Connection::connect_uri(self.uri.clone(), properties)).await?);
        let channel = answer(connection.create_channel()).await?;
        // Also after a reconnect: the broker may be a new and empty one.
        topology::declare_common(&channel, &self.names).await?;
        tracing::info!(connection = self.name, "connected to the broker");
        *current = Some(connection.clone());
        self.connected.fetch_add(1, Ordering::AcqRel);
        Ok(connection)
    }

    /// How often it connected: the number of the connection that the last channel came from.
    pub(super) fn connected(&self) -> u64 {
        self.connected.load(Ordering::Acquire)
    }

    /// The number of the present connection; `None` when there is none.
    pub(super) async fn present(&self) -> Option<u64> {
        let current = self.current.lock().await;
        current.as_ref().filter(|connection| connection.status().connected()).map(|_| self.connected())
    }

    /// Whether the broker has stopped reading what this connection publishes.
    pub(super) async fn blocked(&self) -> bool {
        self.current.lock().await.as_ref().is_some_and(|connection| connection.status().blocked())
    }

    pub(super) async fn close(&self) {
        if let Some(connection) = self.current.lock().await.take()
            && let Err(error) = answer(connection.close(200, "closing".into())).await
        {
            // The broker gives back what was in hand in either case.
            tracing::debug!(connection = self.name, %error, "the broker did not confirm the end of a connection");
        }
    }
}

/// Waits for the broker's answer, not for ever.
pub(super) async fn answer<T>(question: impl Future<Output = lapin::Result<T>>) -> Result<T, QueueError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
        Ok(result) => result.map_err(|error| broken(&error)),
        Err(_) => Err(unreachable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
    }
}

/// The library's errors name states, codes and the broker's texts; none holds a URL or a password.
pub(super) fn broken(error: &lapin::Error) -> QueueError {
    unreachable(error.to_string())
}

pub(super) fn unreachable(reason: impl Into<String>) -> QueueError {
    QueueError::Unreachable { reason: reason.into() }
}
