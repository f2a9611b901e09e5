//! What became of an object, and of a task: values that one place acts upon.

use std::time::Duration;

use serde::Serialize;

use crate::retry::Class;
use crate::scim::validate::Violation;
use crate::state::ParkReason;

/// Data that may not be sent (mission point 11): which mapping, which violations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidData {
    /// The mapping to blame, if one can be named.
    pub mapping: Option<String>,
    /// For people.
    pub message: String,
    /// Every violation.
    pub violations: Vec<Violation>,
}

/// What became of one object in one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has an account since now.
    Created,
    /// An account that existed was taken over; `true`: and changed.
    Adopted(bool),
    /// Its account was changed.
    Updated,
    /// Its account was deleted.
    Deleted,
    /// Its account was deactivated.
    Deactivated,
    /// No request was needed.
    Unchanged,
    /// Left alone by policy.
    Kept,
    /// Nothing is there and nothing should be.
    Absent,
    /// Its data may not be sent.
    Invalid(InvalidData),
    /// It needs a change here or there.
    Parked(ParkReason, String),
    /// It failed and is tried again.
    Retry {
        /// What kind of failure.
        class: Class,
        /// For people.
        words: String,
        /// Whether a write may have been applied: look before the next one (R20).
        unknown: bool,
    },
    /// The provider asked to wait; no attempt is counted.
    Throttled(Duration),
    /// It lost something it stood on (404, a moved version): plan again at once.
    Again(String),
    /// The guard withheld it (R28).
    Held,
    /// Not begun: the task's time was over, or the provider was set aside meanwhile.
    NotBegun,
}

impl Outcome {
    /// The counter of the report that it adds to (contract §2); `None` for what is not finished.
    pub const fn counter(&self) -> Option<&'static str> {
        match self {
            Self::Created => Some("created"),
            Self::Adopted(_) => Some("adopted"),
            Self::Updated => Some("updated"),
            Self::Deleted => Some("deleted"),
            Self::Deactivated => Some("deactivated"),
            Self::Unchanged | Self::Kept | Self::Absent => Some("unchanged"),
            Self::Invalid(_) | Self::Parked(..) => Some("parked"),
            Self::Retry { .. } => Some("failed"),
            Self::Held => Some("held"),
            Self::Throttled(_) | Self::Again(_) | Self::NotBegun => None,
        }
    }

    /// The word in logs and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Adopted(_) => "adopted",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Deactivated => "deactivated",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Absent => "absent",
            Self::Invalid(_) | Self::Parked(..) => "parked",
            Self::Retry { .. } => "retrying",
            Self::Throttled(_) => "throttled",
            Self::Again(_) => "again",
            Self::Held => "held",
            Self::NotBegun => "not_begun",
        }
    }
}
