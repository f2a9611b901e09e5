//! Publishing that returns only when the broker has taken responsibility.
//!
//! Each call has a channel to itself. The broker confirms and returns messages per channel, and the
//! client library attaches a returned message to whichever confirm completes next: on a shared
//! channel one caller's unroutable message would count as another's.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lapin::Confirmation;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel};
use scimfleet_core::ports::QueueError;
use tokio::time::{Instant, timeout_at};

use super::connection::{Link, answer, broken, unreachable};
use crate::message::Message;
use crate::names::Names;

/// Longer than a quorum queue needs for a new leader, shorter than the 25 s in which a process must
/// have drained: a memory alarm must not keep it from leaving.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(20);

/// One confirmed publish at a time reaches a few hundred a second, this many about ten thousand.
const IN_FLIGHT_MAX: usize = 256;

/// Calls at the same moment keep their channels for the next ones; more than this many are rare.
const IDLE_CHANNELS_MAX: usize = 8;

/// AMQP: the message survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// A message ready for the wire.
pub(super) struct Outgoing {
    pub(super) routing_key: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
}

impl Outgoing {
    pub(super) fn new(message: &Message) -> Self {
        let mut headers = FieldTable::default();
        for (name, value) in &message.headers {
            headers.insert(name.as_str().into(), AMQPValue::LongString(LongString::from(value.as_str())));
        }
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(message.id.as_str().into())
            .with_headers(headers);
        Self { routing_key: message.routing_key.as_str().into(), properties, body: message.body.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    exchange: ShortString,
    dead_exchange: ShortString,
    idle: Mutex<Vec<Channel>>,
}

impl Publisher {
    pub(super) fn new(link: Link, names: &Names) -> Self {
        let (exchange, dead_exchange) = (names.exchange().into(), names.dead().as_str().into());
        Self { link, exchange, dead_exchange, idle: Mutex::default() }
    }

    /// To the queues that the routing keys name.
    pub(super) async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), QueueError> {
        self.publish_to(&self.exchange, messages).await
    }

    /// To the dead-letter queue.
    pub(super) async fn bury(&self, message: Outgoing) -> Result<(), QueueError> {
        self.publish_to(&self.dead_exchange, vec![message]).await
    }

    async fn publish_to(&self, exchange: &ShortString, messages: Vec<Outgoing>) -> Result<(), QueueError> {
        self.ensure_unblocked().await?;
        let channel = self.lease().await?;
        // After an error the channel is not used again: confirms of it may still be on their way.
        send_all(&channel, exchange, messages).await?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CHANNELS_MAX {
            idle.push(channel);
        }
        Ok(())
    }

    async fn lease(&self) -> Result<Channel, QueueError> {
        loop {
            let popped = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match popped {
                Some(channel) if channel.status().connected() => return Ok(channel),
                Some(_) => {}
                None => break,
            }
        }
        let channel = self.link.channel().await?;
        answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// What is written while the broker does not read piles up in this process and is sent all the
    /// same when it reads again.
    async fn ensure_unblocked(&self) -> Result<(), QueueError> {
        if self.link.blocked().await {
            return Err(unreachable("it blocks publishers because it is short of memory or disk"));
        }
        Ok(())
    }

    pub(super) async fn healthy(&self) -> Result<(), QueueError> {
        self.ensure_unblocked().await?;
        self.link.channel().await.map(|_| ())
    }

    pub(super) async fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.link.close().await;
    }
}

async fn send_all(channel: &Channel, exchange: &ShortString, messages: Vec<Outgoing>) -> Result<(), QueueError> {
    let mut confirms = FuturesUnordered::new();
    for message in messages {
        if confirms.len() >= IN_FLIGHT_MAX
            && let Some(confirmed) = confirms.next().await
        {
            let () = confirmed?;
        }
        let deadline = Instant::now() + CONFIRM_TIMEOUT;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let Outgoing { routing_key, properties, body } = message;
        // Written one after the other, which keeps their order; only the confirms overlap.
        let written = channel.basic_publish(exchange.clone(), routing_key.clone(), options, &body, properties);
        let confirm = within(deadline, written).await?;
        confirms.push(async move { judge(within(deadline, confirm).await?, &routing_key) });
    }
    while let Some(confirmed) = confirms.next().await {
        let () = confirmed?;
    }
    Ok(())
}

async fn within<T>(deadline: Instant, step: impl Future<Output = lapin::Result<T>>) -> Result<T, QueueError> {
    match timeout_at(deadline, step).await {
        Ok(result) => result.map_err(|error| broken(&error)),
        Err(_) => Err(QueueError::Unconfirmed { seconds: CONFIRM_TIMEOUT.as_secs() }),
    }
}

/// An unroutable message is acknowledged, too; what tells is that it came back.
fn judge(confirmation: Confirmation, routing_key: &ShortString) -> Result<(), QueueError> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => Err(unroutable(&returned)),
        Confirmation::Nack(None) => {
            Err(unreachable(format!("it refused a message for `{routing_key}`; the queue may be full")))
        }
        Confirmation::NotRequested => Err(unreachable("the channel does not confirm")),
    }
}

fn unroutable(returned: &BasicReturnMessage) -> QueueError {
    QueueError::Unroutable { routing_key: returned.delivery.routing_key.to_string() }
}
