//! The dead-letter queue: look, publish again, remove.
//!
//! Looking takes messages without acknowledging them and then closes the channel, which puts them
//! back: behind those that were not looked at, because the queue has a delivery limit. So the order
//! stays only if one looks at all of them, also when just a few are wanted. Two who look at the same
//! moment share what there is.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use scimfleet_core::ports::{DeadLetter, QueueError, REASON_HEADER};

use super::connection::{Link, answer};
use super::publisher::{Outgoing, Publisher};
use crate::message::Message;

/// The broker's own word for the first death, set beside the `x-death` list.
const BROKER_REASON_HEADER: &str = "x-first-death-reason";

/// One look goes this far: 10,000 take about two seconds, and all that is passed over stays in the
/// broker's memory until the end of it. Beyond that the order of dead letters is no longer kept.
const SCAN_MAX: u64 = 10_000;

pub(super) async fn list(link: &Link, queue: &str, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
    let mut scan = Scan::open(link, queue, SCAN_MAX).await?;
    let mut letters = Vec::new();
    while let Some(delivery) = scan.next().await? {
        if letters.len() < limit {
            letters.push(show(&message(&delivery)));
        }
    }
    scan.release().await?;
    Ok(letters)
}

/// Each goes out confirmed before it is acknowledged here: a crash in between makes two, never none.
pub(super) async fn replay(link: &Link, publisher: &Publisher, queue: &str, ids: &[String]) -> Result<u64, QueueError> {
    let mut scan = Scan::open(link, queue, scan_limit(ids)).await?;
    let (mut replayed, mut first_error) = (0, None);
    while let Some(delivery) = scan.next().await? {
        let message = message(&delivery);
        if !chosen(ids, &message.id) {
            continue;
        }
        match publisher.publish(vec![Outgoing::new(&without_death(message))]).await {
            Ok(()) => {
                answer(delivery.acker.ack(BasicAckOptions::default())).await?;
                replayed += 1;
            }
            Err(error @ QueueError::Unroutable { .. }) => {
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    scan.release().await?;
    first_error.map_or(Ok(replayed), Err)
}

pub(super) async fn discard(link: &Link, queue: &str, ids: &[String]) -> Result<u64, QueueError> {
    if ids.is_empty() {
        let channel = link.channel().await?;
        return answer(channel.queue_purge(queue.into(), QueuePurgeOptions::default())).await.map(u64::from);
    }
    let mut scan = Scan::open(link, queue, scan_limit(ids)).await?;
    let mut removed = 0;
    while let Some(delivery) = scan.next().await? {
        if chosen(ids, &message(&delivery).id) {
            answer(delivery.acker.ack(BasicAckOptions::default())).await?;
            removed += 1;
        }
    }
    scan.release().await?;
    Ok(removed)
}

/// Who wants all passes nothing over.
fn scan_limit(ids: &[String]) -> u64 {
    if ids.is_empty() { u64::MAX } else { SCAN_MAX }
}

fn chosen(ids: &[String], id: &str) -> bool {
    ids.is_empty() || ids.iter().any(|chosen| chosen == id)
}

/// One pass over the dead letters that are there when it begins.
struct Scan<'a> {
    channel: Channel,
    queue: &'a str,
    left: u64,
    begun: bool,
}

impl<'a> Scan<'a> {
    async fn open(link: &Link, queue: &'a str, limit: u64) -> Result<Self, QueueError> {
        Ok(Self { channel: link.channel().await?, queue, left: limit, begun: false })
    }

    async fn next(&mut self) -> Result<Option<Delivery>, QueueError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let Some(got) = answer(self.channel.basic_get(self.queue.into(), BasicGetOptions::default())).await? else {
            return Ok(None);
        };
        if !self.begun {
            // What is replayed and comes back dead at once must not make this endless.
            self.left = self.left.min(got.message_count.into());
            self.begun = true;
        }
        Ok(Some(got.delivery))
    }

    /// Puts back what was passed over. By a nack, although it counts as a delivery here, too: what a
    /// closed channel leaves is back only a moment later, and the next look would miss it.
    async fn release(self) -> Result<(), QueueError> {
        let all = BasicNackOptions { requeue: true, multiple: true };
        answer(self.channel.basic_nack(0, all)).await?;
        answer(self.channel.close(200, "done looking".into())).await
    }
}

/// What a delivery carries, as far as it is ours to publish again: text headers only, because
/// others (`CC`, `BCC`) would route copies elsewhere, and no property that a user may not set.
pub(super) fn message(delivery: &Delivery) -> Message {
    let properties = &delivery.properties;
    let headers: BTreeMap<String, String> = properties
        .headers()
        .iter()
        .flat_map(FieldTable::inner)
        .filter_map(|(name, value)| Some((name.to_string(), as_text(value)?)))
        .collect();
    let id = properties.message_id().as_ref().map(ToString::to_string).filter(|id| !id.is_empty());
    Message {
        routing_key: delivery.routing_key.to_string(),
        id: id.unwrap_or_else(|| made_up_id(&delivery.data)),
        headers,
        body: delivery.data.clone().into(),
    }
}

/// The same each time that one looks, so that it can be used to choose.
fn made_up_id(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("anonymous-{:016x}", hasher.finish())
}

fn as_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn show(message: &Message) -> DeadLetter {
    let reason = message.headers.get(REASON_HEADER).or_else(|| message.headers.get(BROKER_REASON_HEADER));
    DeadLetter {
        id: message.id.clone(),
        reason: reason.map_or_else(|| "unknown".to_owned(), Clone::clone),
        routing_key: message.routing_key.clone(),
        body: String::from_utf8_lossy(&message.body).into_owned(),
    }
}

/// A second death must tell its own reason, not the first one's.
fn without_death(mut message: Message) -> Message {
    message.headers.retain(|name, _| {
        name != REASON_HEADER && !name.starts_with("x-first-death-") && !name.starts_with("x-last-death-")
    });
    message
}
