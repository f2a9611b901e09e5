//! Consuming with prefetch 1 and a channel for each consumer.
//!
//! A delivery that is dropped unsettled is given back by closing the channel, not by a nack: the
//! consumer subscribes again after a pause, so a task that kills its handler each time does not use
//! up the broker's delivery limit in a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use lapin::Acker;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use scimfleet_core::ports::{Consumer, Delivery, QueueError, REASON_HEADER, Settle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Link, answer, broken, unreachable};
use super::dead;
use super::publisher::{Outgoing, Publisher};
use super::topology::is_absent;
use crate::message::{Message, short_reason};

/// A crash returns everything prefetched and counts a delivery for each.
const PREFETCH: u16 = 1;

/// Between a dropped delivery and the next subscription.
const PAUSE_AFTER_DROP: Duration = Duration::from_secs(1);

/// Between attempts to subscribe again; doubles up to [`RETRY_PAUSE_MAX`], so that a worker is back
/// within two seconds of its broker.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

pub(super) struct RabbitConsumer {
    link: Arc<Link>,
    publisher: Arc<Publisher>,
    queue: String,
    closed: CancellationToken,
    session: Option<Session>,
    retry: Retry,
    /// Cancelled, closed, or its queue is gone.
    ended: bool,
}

/// One subscription on one channel.
struct Session {
    deliveries: lapin::Consumer,
    held: Arc<Held>,
}

/// A channel that lives as long as its consumer or a delivery from it.
struct Held {
    channel: Channel,
    delivery_dropped: AtomicBool,
}

struct Retry {
    not_before: Instant,
    pause: Duration,
}

impl Retry {
    fn new() -> Self {
        Self { not_before: Instant::now(), pause: RETRY_PAUSE_MIN }
    }

    fn failed(&mut self) {
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(RETRY_PAUSE_MAX);
    }
}

impl RabbitConsumer {
    pub(super) async fn subscribe(
        link: Arc<Link>,
        publisher: Arc<Publisher>,
        queue: String,
        closed: CancellationToken,
    ) -> Result<Self, QueueError> {
        let session = Some(Session::open(&link, &queue).await?);
        Ok(Self { link, publisher, queue, closed, session, retry: Retry::new(), ended: false })
    }

    /// One attempt; safe to be dropped half-way, because a channel closes with its last handle.
    async fn resubscribe(&mut self) {
        tokio::time::sleep_until(self.retry.not_before).await;
        match Session::open(&self.link, &self.queue).await {
            Ok(session) => {
                self.session = Some(session);
                self.retry = Retry::new();
            }
            Err(QueueError::Undeclared { queue }) => {
                tracing::info!(queue, "the queue was deleted; its consumer ends");
                self.ended = true;
            }
            Err(error) => {
                tracing::warn!(queue = self.queue, %error, "could not subscribe again");
                self.retry.failed();
            }
        }
    }

    /// `None`: the subscription is over, and a new one is to be tried.
    async fn receive(&mut self) -> Option<Delivery> {
        let Some(session) = &mut self.session else {
            self.resubscribe().await;
            return None;
        };
        if let Some(Ok(delivery)) = session.deliveries.next().await {
            return Some(hand_out(delivery, session.held.clone(), self.publisher.clone()));
        }
        if session.held.delivery_dropped.load(Ordering::Acquire) {
            self.retry.not_before = Instant::now() + PAUSE_AFTER_DROP;
        }
        self.session = None;
        None
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let closed = self.closed.clone();
        while !self.ended {
            tokio::select! {
                biased;
                () = closed.cancelled() => self.ended = true,
                received = self.receive() => if received.is_some() {
                    return received;
                },
            }
        }
        None
    }

    async fn cancel(&mut self) {
        self.ended = true;
        let Some(mut session) = self.session.take() else { return };
        if let Err(error) = session.cancel().await {
            // Closing gives everything back, at the price that a delivery in hand comes again.
            tracing::warn!(queue = self.queue, %error, "could not cancel; closing the channel");
            session.held.close();
        }
    }
}

impl Session {
    async fn open(link: &Link, queue: &str) -> Result<Self, QueueError> {
        let channel = link.channel().await?;
        answer(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions::default();
        let asked = async { Ok(channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await) };
        let deliveries = answer(asked).await?.map_err(|error| {
            if is_absent(&error) { QueueError::Undeclared { queue: queue.to_owned() } } else { broken(&error) }
        })?;
        Ok(Self { deliveries, held: Arc::new(Held { channel, delivery_dropped: AtomicBool::new(false) }) })
    }

    /// Stops deliveries and gives back the one that may be in the buffer. With prefetch 1 there is
    /// none while another is in hand, so nothing that was handed out is touched.
    async fn cancel(&mut self) -> Result<(), QueueError> {
        let tag = self.deliveries.tag();
        answer(self.held.channel.basic_cancel(tag, BasicCancelOptions::default())).await?;
        let deliveries = &mut self.deliveries;
        answer(async {
            while let Some(delivery) = deliveries.next().await {
                delivery?.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await?;
            }
            Ok(())
        })
        .await
    }
}

impl Held {
    /// Without waiting: this is called where a value is dropped.
    fn close(&self) {
        let channel = self.channel.clone();
        // Without a runtime the process is ending, and the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { answer(channel.close(200, "a delivery is given back".into())).await });
        }
    }
}

fn hand_out(delivery: lapin::message::Delivery, held: Arc<Held>, publisher: Arc<Publisher>) -> Delivery {
    let message = dead::message(&delivery);
    let (body, headers): (Bytes, _) = (message.body.clone(), message.headers.clone());
    let settle = RabbitSettle { acker: delivery.acker, held, publisher, message, settled: false };
    Delivery::new(body, headers, delivery.redelivered, Box::new(settle))
}

struct RabbitSettle {
    acker: Acker,
    held: Arc<Held>,
    publisher: Arc<Publisher>,
    message: Message,
    settled: bool,
}

#[async_trait]
impl Settle for RabbitSettle {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        if !answer(self.acker.ack(BasicAckOptions::default())).await? {
            return Err(unreachable("the delivery's channel was closed; it will be delivered again"));
        }
        self.settled = true;
        Ok(())
    }

    async fn dead_letter(mut self: Box<Self>, reason: &str) -> Result<(), QueueError> {
        self.message.headers.insert(REASON_HEADER.to_owned(), short_reason(reason));
        self.publisher.bury(Outgoing::new(&self.message)).await?;
        self.ack().await
    }
}

impl Drop for RabbitSettle {
    fn drop(&mut self) {
        if !self.settled {
            self.held.delivery_dropped.store(true, Ordering::Release);
            self.held.close();
        }
    }
}
