//! The task queue: RabbitMQ and in-process, behind one contract ([`Queue`]).
//!
//! A queue carries "look at these": ids, never attribute values. It keeps no attempts, no due times
//! and no priorities, because the database does; so a lost queue costs time and never work.
//!
//! # Topology
//! | Name | What |
//! |---|---|
//! | exchange `<prefix>` | direct; tasks and jobs are published here |
//! | queue `<prefix>.jobs` | bound with key `jobs` |
//! | queue `<prefix>.<provider>.<lane>` | three per provider, bound with key `<provider>.<lane>` |
//! | exchange and queue `<prefix>.dead` | fanout; what nobody could work on |
//!
//! # Limits come by policy
//! A queue's arguments can never change, so they hold only what is for ever (type, dead-letter
//! exchange and strategy, overflow). Limits are set by policy, for example:
//! ```text
//! rabbitmqctl set_policy scimfleet '^scimfleet\.(jobs|.+\.(leavers|changes|sync))$' \
//!     '{"delivery-limit": 20, "max-length": 1000000}' --apply-to queues
//! ```
//! The delivery limit is the backstop for a message that kills its worker each time. RabbitMQ 3.10
//! has none of its own, 4.x has 20. `<prefix>.dead` must match no policy with a delivery limit.

mod memory;
mod message;
mod names;
mod rabbit;

use std::sync::Arc;

pub use scimfleet_core::ports::{Consumer, DeadLetter, Delivery, Queue, QueueError, Source};

pub use self::memory::MemoryQueue;
pub use self::message::{PROVIDER_HEADER, RUN_HEADER};
pub use self::names::DEFAULT_PREFIX;
pub use self::rabbit::RabbitQueue;

/// Opens the queue that `url` names: `memory://`, `amqp://…` or `amqps://…`.
///
/// With RabbitMQ the exchanges, the jobs queue and the dead-letter queue exist afterwards.
///
/// # Errors
/// [`QueueError::Unreachable`] when the broker does not answer or refuses, and for another kind of
/// URL or a prefix that cannot be part of a queue's name. The URL is never repeated: it may hold a
/// password.
pub async fn connect(url: &str, prefix: &str) -> Result<Arc<dyn Queue>, QueueError> {
    match url.split_once("://") {
        Some(("memory", _)) => Ok(Arc::new(MemoryQueue::new(prefix)?)),
        Some(("amqp" | "amqps", _)) => Ok(Arc::new(RabbitQueue::connect(url, prefix).await?)),
        _ => {
            let reason = "the queue's URL must begin with `memory://`, `amqp://` or `amqps://`".to_owned();
            Err(QueueError::Unreachable { reason })
        }
    }
}
