//! RabbitMQ, 3.10 to 4.x.
//!
//! Two connections: one publishes, the other does everything else. A broker that is short of memory
//! or disk stops reading from connections that publish; consumers must not notice.
//!
//! Broken connections are opened again here and not by the client library's own recovery, which
//! restores all channels of a connection or none: one queue deleted during an outage would keep
//! every other consumer away. Here each consumer subscribes again for itself.

mod connection;
mod consumer;
mod dead;
mod declared;
mod publisher;
mod topology;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use scimfleet_core::ProviderName;
use scimfleet_core::ports::{Consumer, DeadLetter, Queue, QueueError, Source};
use scimfleet_core::task::{Job, Lane, Task};
use tokio_util::sync::CancellationToken;

use self::connection::Link;
use self::consumer::RabbitConsumer;
use self::declared::Declared;
use self::publisher::{Outgoing, Publisher};
use crate::message::Message;
use crate::names::{Names, lanes};

/// The queue on a RabbitMQ broker.
///
/// It reconnects by itself. While the broker is away, publishing fails at once with
/// [`QueueError::Unreachable`] (the database remembers), and consumers wait.
pub struct RabbitQueue {
    names: Names,
    publisher: Arc<Publisher>,
    /// Consumes, declares and looks; never publishes.
    link: Arc<Link>,
    declared: Declared,
    closed: CancellationToken,
}

impl RabbitQueue {
    /// Connects twice and declares what is common to all providers.
    ///
    /// # Errors
    /// [`QueueError::Unreachable`] when the broker does not answer, refuses the credentials, or
    /// already has one of the queues with other arguments.
    pub async fn connect(url: &str, prefix: &str) -> Result<Self, QueueError> {
        let names = Names::new(prefix)?;
        let closed = CancellationToken::new();
        let link = Link::new(url, "scimfleet consumer", names.clone(), closed.clone())?;
        let publishing = Link::new(url, "scimfleet publisher", names.clone(), closed.clone())?;
        publishing.channel().await?;
        link.channel().await?;
        let publisher = Arc::new(Publisher::new(publishing, &names));
        Ok(Self { names, publisher, link: Arc::new(link), declared: Declared::default(), closed })
    }
}

#[async_trait]
impl Queue for RabbitQueue {
    async fn declare_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.declared.ensure(&self.link, &self.names, provider).await
    }

    async fn delete_provider(&self, provider: &ProviderName) -> Result<(), QueueError> {
        self.declared.forget(provider);
        let channel = self.link.channel().await?;
        for source in lanes(provider) {
            topology::delete_queue(&channel, &self.names.queue(&source)).await?;
        }
        Ok(())
    }

    async fn publish(&self, tasks: &[Task], traceparent: Option<&str>) -> Result<(), QueueError> {
        let messages = tasks.iter().map(|task| Outgoing::new(&Message::task(task, traceparent))).collect();
        let published = self.publisher.publish(messages).await;
        if published.is_err() {
            // Perhaps because a queue is gone; declaring it once more than necessary harms nobody.
            tasks.iter().for_each(|task| self.declared.forget(&task.provider));
        }
        published
    }

    async fn publish_job(&self, job: &Job) -> Result<(), QueueError> {
        self.publish_raw_job(&job.encode()).await
    }

    async fn publish_raw_job(&self, body: &[u8]) -> Result<(), QueueError> {
        let message = Message::job(Bytes::copy_from_slice(body));
        self.publisher.publish(vec![Outgoing::new(&message)]).await
    }

    async fn consume(&self, source: &Source) -> Result<Box<dyn Consumer>, QueueError> {
        let queue = self.names.queue(source);
        let (link, publisher) = (self.link.clone(), self.publisher.clone());
        let consumer = RabbitConsumer::subscribe(link, publisher, queue, self.closed.clone()).await;
        if let (Err(QueueError::Undeclared { .. }), Source::Tasks(provider, _)) = (&consumer, source) {
            self.declared.forget(provider);
        }
        Ok(Box::new(consumer?))
    }

    async fn depth(&self, provider: &ProviderName, lane: Lane) -> Result<u64, QueueError> {
        let queue = self.names.queue(&Source::Tasks(provider.clone(), lane));
        topology::count(&self.link.channel().await?, &queue).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        dead::list(&self.link, &self.names.dead(), limit).await
    }

    async fn replay_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        dead::replay(&self.link, &self.publisher, &self.names.dead(), ids).await
    }

    async fn drop_dead_letters(&self, ids: &[String]) -> Result<u64, QueueError> {
        dead::discard(&self.link, &self.names.dead(), ids).await
    }

    async fn healthy(&self) -> Result<(), QueueError> {
        topology::count(&self.link.channel().await?, &self.names.queue(&Source::Jobs)).await?;
        self.publisher.healthy().await
    }

    async fn close(&self) {
        self.closed.cancel();
        self.publisher.close().await;
        self.link.close().await;
    }
}
