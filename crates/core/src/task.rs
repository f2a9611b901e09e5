//! Messages on the broker: tasks for workers and jobs for the scheduler, format version 1.
//!
//! A message carries ids, a lane and a cause. It never carries attribute values or secrets, so that a
//! late message cannot overwrite newer state and a broker's disk is not a copy of the directory.

use serde::{Deserialize, Serialize};

use crate::identity::{ProviderName, ResourceId, RunId, TaskId};
use crate::scim::ResourceKind;
use crate::state::words;

/// The format version that this build writes.
pub const VERSION: u64 = 1;

/// Objects in one task at the most: enough to fill a connection, few enough that a lost worker costs
/// little and several workers share one provider's load.
pub const OBJECTS_PER_TASK_MAX: usize = 100;

/// Members that a worker reads for the groups of one task at the most, unless a single group has more: a task of
/// large groups would otherwise take a gigabyte, and one worker would read what several could.
pub const MEMBERS_PER_TASK_MAX: u64 = 25_000;

words!(
    /// The three queues of a provider, in the order of their importance.
    Lane, "lane" {
        /// Takes access away.
        Leavers = "leavers",
        /// Everything else that just changed.
        Changes = "changes",
        /// Full synchronisation.
        Sync = "sync",
    }
);

words!(
    /// Why a task exists.
    Cause, "cause" {
        /// A phase of a full synchronisation.
        Full = "full",
        /// A change in the directory.
        Change = "change",
        /// A failed attempt that is due again.
        Retry = "retry",
        /// Asked for by a person or a job message.
        Job = "job",
        /// Lists what the provider holds; carries no objects.
        Observe = "observe",
    }
);

/// Up to 100 directory resources of one kind that a worker shall bring in step with one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    v: u64,
    /// The task's id; the same for a task that is published again.
    pub task: TaskId,
    /// The run that it belongs to, if any.
    pub run: Option<RunId>,
    /// The provider's name.
    pub provider: ProviderName,
    /// What kind of objects.
    pub kind: ResourceKind,
    /// The queue that it travels in.
    pub lane: Lane,
    /// Why.
    pub cause: Cause,
    /// Directory ids, at most [`OBJECTS_PER_TASK_MAX`]; empty when `cause` is `observe`.
    pub objects: Vec<ResourceId>,
}

/// What a job message asks the scheduler for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// A full sync of one provider, or of all.
    Sync {
        /// The provider to synchronise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<ProviderName>,
        /// All active providers.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all: bool,
    },
    /// One object at one provider.
    SyncObject {
        /// The provider.
        provider: ProviderName,
        /// Its id, `userName` or `externalId`.
        object: String,
    },
}

/// A message that cannot be read; it goes to the dead-letter queue with this text as the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or not the fields that the format demands.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// `task` or `job`.
        what: &'static str,
        /// What is wrong, without the message's content.
        reason: String,
    },
    /// A version that this build does not know.
    #[error("unknown {what} version {version}; this build reads version 1")]
    UnknownVersion {
        /// `task` or `job`.
        what: &'static str,
        /// The version as it stands in the message.
        version: String,
    },
}

impl Task {
    /// A task of the current version.
    pub fn new(
        task: TaskId,
        run: Option<RunId>,
        provider: ProviderName,
        kind: ResourceKind,
        lane: Lane,
        cause: Cause,
        objects: Vec<ResourceId>,
    ) -> Self {
        debug_assert!(objects.len() <= OBJECTS_PER_TASK_MAX);
        Self { v: VERSION, task, run, provider, kind, lane, cause, objects }
    }

    /// The message body.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message body; refuses other versions, unknown fields and more than 100 objects.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let task: Self = decode_versioned("task", body)?;
        if task.objects.len() > OBJECTS_PER_TASK_MAX {
            let reason = format!("{} objects, at most {OBJECTS_PER_TASK_MAX} are allowed", task.objects.len());
            return Err(MessageError::Malformed { what: "task", reason });
        }
        Ok(task)
    }
}

impl Job {
    /// The message body.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = serde_json::json!({ "v": VERSION });
        if let (Some(body), Ok(serde_json::Value::Object(fields))) = (body.as_object_mut(), serde_json::to_value(self))
        {
            body.extend(fields);
        }
        body.to_string().into_bytes()
    }

    /// Reads a message body; a `sync` must name a provider or say `all`, not both.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        let job: Self = decode_versioned("job", body)?;
        match &job {
            Self::Sync { provider: None, all: false } => {
                Err(malformed("job", "`sync` needs `provider` or `\"all\": true`"))
            }
            Self::Sync { provider: Some(_), all: true } => {
                Err(malformed("job", "`sync` takes `provider` or `all`, not both"))
            }
            Self::SyncObject { object, .. } if object.is_empty() => Err(malformed("job", "`object` is empty")),
            _ => Ok(job),
        }
    }
}

fn malformed(what: &'static str, reason: impl Into<String>) -> MessageError {
    MessageError::Malformed { what, reason: reason.into() }
}

/// Looks at the version first, so that a newer message is named as such and not as malformed.
fn decode_versioned<T: serde::de::DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, MessageError> {
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| malformed(what, format!("not JSON ({error})")))?;
    match value.get("v") {
        Some(version) if version.as_u64() == Some(VERSION) => {}
        Some(version) => return Err(MessageError::UnknownVersion { what, version: version.to_string() }),
        None => return Err(malformed(what, "field `v` is missing")),
    }
    serde_json::from_value(value).map_err(|error| malformed(what, error.to_string()))
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
