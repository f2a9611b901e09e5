//! Exchanges and queues. Arguments are for ever; limits come by policy (see the crate's page).

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, ErrorKind, ExchangeKind};
use scimfleet_core::ports::{QueueError, Source};

use super::connection::{answer, broken, unreachable};
use crate::names::{Names, routing_key};

/// Looking at a dead letter counts as a delivery, and RabbitMQ 4 drops a message after 20 of them
/// unless the queue says otherwise.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// The exchanges, the jobs queue and the dead-letter queue. Idempotent.
pub(super) async fn declare_common(channel: &Channel, names: &Names) -> Result<(), QueueError> {
    let dead = names.dead();
    declare_exchange(channel, names.exchange(), ExchangeKind::Direct).await?;
    declare_exchange(channel, &dead, ExchangeKind::Fanout).await?;
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT));
    declare_and_bind(channel, &dead, &dead, "", arguments).await?;
    declare_queue(channel, names, &Source::Jobs).await
}

/// The queue of `source`, with its dead letters going to the common queue. Idempotent.
pub(super) async fn declare_queue(channel: &Channel, names: &Names, source: &Source) -> Result<(), QueueError> {
    let mut arguments = quorum();
    // At least once needs quorum queues and `reject-publish`; the default may lose a message between
    // two queues. The routing key stays the original one, which tells where to replay to.
    arguments.insert("x-dead-letter-exchange".into(), text(&names.dead()));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    declare_and_bind(channel, &names.queue(source), names.exchange(), &routing_key(source), arguments).await
}

/// Idempotent. The messages go with the queue: the database knows what they were for.
pub(super) async fn delete_queue(channel: &Channel, queue: &str) -> Result<(), QueueError> {
    answer(channel.queue_delete(queue.into(), QueueDeleteOptions::default())).await.map(|_| ())
}

/// Messages that wait in a queue; zero when it does not exist. Uses the channel up.
pub(super) async fn count(channel: &Channel, queue: &str) -> Result<u64, QueueError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    let asked = async { Ok(channel.queue_declare(queue.into(), options, FieldTable::default()).await) };
    match answer(asked).await? {
        Ok(declared) => Ok(declared.message_count().into()),
        Err(error) if is_absent(&error) => Ok(0),
        Err(error) => Err(broken(&error)),
    }
}

/// Whether the broker says that the queue does not exist. A queue that is only out of reach for a
/// moment has the same code and another text.
pub(super) fn is_absent(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
                && error.get_message().as_str().contains("no queue")
        }
        _ => false,
    }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), QueueError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    answer(channel.exchange_declare(name.into(), kind, options, FieldTable::default())).await
}

async fn declare_and_bind(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
    arguments: FieldTable,
) -> Result<(), QueueError> {
    answer(channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments))
        .await
        .map_err(|error| unreachable(format!("declaring `{queue}` failed: {error}")))?;
    let options = QueueBindOptions::default();
    answer(channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default())).await
}
