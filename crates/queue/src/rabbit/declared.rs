//! Queues of providers, declared once by each process and by one process at a time.
//!
//! A broker names a quorum queue before its replicas run, tells whoever declares it meanwhile that it is there, and
//! ends the connection of whoever consumes from it then (RabbitMQ 3.10: `noproc` in `basic.consume`, answered by
//! INTERNAL_ERROR), with all other consumers on it. Every process declares the queues of a new provider at the same
//! moment, so each holds a lock of the broker's while it does: an exclusive queue, which nobody else may declare.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind};
use scimfleet_core::ProviderName;
use scimfleet_core::ports::QueueError;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::connection::{Link, answer, broken};
use super::topology;
use crate::names::{Names, lanes};

/// Another process declares three queues: that takes some ten milliseconds.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(30);
/// Whoever waits longer than this goes on without the lock: at the worst a connection is lost, and opened again.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(15);
/// A lock that nobody gave back ends by itself, in milliseconds.
const LOCK_EXPIRES_MS: i32 = 10_000;

/// The providers whose queues this process has declared on its present connection.
#[derive(Debug, Default)]
pub(super) struct Declared(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The connection on which they were declared: behind another one may be another broker.
    connection: u64,
    providers: HashMap<ProviderName, Arc<OnceCell<()>>>,
}

impl Declared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares the queues of a provider, unless that was done before, which costs no question. Those who come
    /// together wait for one of them.
    pub(super) async fn ensure(&self, link: &Link, names: &Names, provider: &ProviderName) -> Result<(), QueueError> {
        if link.present().await.is_some_and(|connection| self.once(connection, provider).initialized()) {
            return Ok(());
        }
        // Connects if there is no connection, so that its number is that of the one in use.
        let channel = link.channel().await?;
        let once = self.once(link.connected(), provider);
        once.get_or_try_init(|| declare(link, channel, names, provider)).await?;
        Ok(())
    }

    fn once(&self, connection: u64, provider: &ProviderName) -> Arc<OnceCell<()>> {
        let mut known = self.known();
        if known.connection != connection {
            *known = Known { connection, providers: HashMap::new() };
        }
        known.providers.entry(provider.clone()).or_default().clone()
    }

    /// A queue of the provider is not there any more.
    pub(super) fn forget(&self, provider: &ProviderName) {
        self.known().providers.remove(provider);
    }
}

async fn declare(link: &Link, channel: Channel, names: &Names, provider: &ProviderName) -> Result<(), QueueError> {
    let lock = names.lock(provider);
    let held = take(link, &lock).await?;
    let mut declared = Ok(());
    for source in lanes(provider) {
        declared = topology::declare_queue(&channel, names, &source).await;
        if declared.is_err() {
            break;
        }
    }
    if let Some(held) = held {
        let given_back = answer(held.queue_delete(lock.as_str().into(), QueueDeleteOptions::default())).await;
        if let Err(error) = given_back {
            tracing::debug!(lock, %error, "the lock ends by itself");
        }
    }
    declared
}

/// The channel on which the lock was taken; `None` when others held it for too long.
async fn take(link: &Link, lock: &str) -> Result<Option<Channel>, QueueError> {
    let began = Instant::now();
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    while began.elapsed() < LOCK_WAIT_MAX {
        let channel = link.channel().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongInt(LOCK_EXPIRES_MS));
        let asked = async { Ok(channel.queue_declare(lock.into(), options, arguments).await) };
        match answer(asked).await? {
            Ok(_) => return Ok(Some(channel)),
            Err(error) if is_locked(&error) => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
            Err(error) => return Err(broken(&error)),
        }
    }
    tracing::warn!(lock, "queues are declared although another process seems to be at it");
    Ok(None)
}

fn is_locked(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED))
        }
        _ => false,
    }
}
