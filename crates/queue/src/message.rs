//! What travels: the same messages for both implementations.

use std::collections::BTreeMap;

use bytes::Bytes;
use scimfleet_core::ports::{Source, TRACEPARENT_HEADER};
use scimfleet_core::task::Task;
use uuid::Uuid;

use crate::names::{JOBS_KEY, routing_key};

/// The header that names the provider of a task.
pub const PROVIDER_HEADER: &str = "x-scimfleet-provider";

/// The header that names the run of a task.
pub const RUN_HEADER: &str = "x-scimfleet-run";

/// A reason is read by a person in a table; a decoder's error may be as long as its input.
const REASON_CHARACTERS_MAX: usize = 500;

/// One message with the key that leads it to its queue.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) routing_key: String,
    /// The AMQP `message-id`.
    pub(crate) id: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Message {
    pub(crate) fn task(task: &Task, traceparent: Option<&str>) -> Self {
        let mut headers = BTreeMap::from([(PROVIDER_HEADER.to_owned(), task.provider.to_string())]);
        if let Some(run) = task.run {
            headers.insert(RUN_HEADER.to_owned(), run.to_string());
        }
        if let Some(traceparent) = traceparent {
            headers.insert(TRACEPARENT_HEADER.to_owned(), traceparent.to_owned());
        }
        Self {
            routing_key: routing_key(&Source::Tasks(task.provider.clone(), task.lane)),
            id: task.task.to_string(),
            headers,
            body: task.encode().into(),
        }
    }

    pub(crate) fn job(body: Bytes) -> Self {
        Self { routing_key: JOBS_KEY.to_owned(), id: new_id(), headers: BTreeMap::new(), body }
    }
}

/// An id for a message that has none.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// The reason as it stands on a dead letter.
pub(crate) fn short_reason(reason: &str) -> String {
    reason.chars().take(REASON_CHARACTERS_MAX).collect()
}
