//! What would be sent of one object, and why: the shapes that previews show and nobody sends.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::identity::{RemoteId, ResourceId};
use crate::outcome::InvalidData;
use crate::plan::Change;
use crate::scim::{Document, ResourceKind};

/// What one mapping gives.
#[derive(Debug, Clone, Serialize)]
pub struct Contribution {
    /// The mapping.
    pub mapping: String,
    /// What it returned, `null` for nothing.
    pub payload: Value,
    /// `skip`, or the error in words.
    pub remark: Option<String>,
}

/// The way of one object to one provider.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// What each mapping gives, in their order.
    pub mappings: Vec<Contribution>,
    /// The merged result; `None` when there is none.
    pub merged: Option<Document>,
    /// Why it may not be sent.
    pub invalid: Option<InvalidData>,
    /// Values that the schema does not suggest.
    pub warnings: Value,
    /// `create`, `patch`, `nothing`, ….
    pub operation: String,
    /// What differs from what was sent last.
    pub changes: Vec<Change>,
    /// The requests, as method, path below the base URL and body.
    pub requests: Vec<Value>,
}

/// One line of a dry run.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// `create`, `replace`, `patch`, `deactivate`, `delete`, `adopt`.
    pub operation: String,
    /// User or group.
    pub kind: ResourceKind,
    /// Our id.
    pub object: ResourceId,
    /// What people call it.
    pub name: String,
    /// The account.
    pub remote_id: Option<RemoteId>,
    /// What would change.
    pub changes: Vec<Change>,
}

impl Planned {
    /// The counter of a run in which it would be counted.
    pub fn counter(&self) -> &'static str {
        match self.operation.as_str() {
            "create" => "created",
            "adopt" => "adopted",
            "delete" => "deleted",
            "deactivate" => "deactivated",
            _ => "updated",
        }
    }
}

/// What a whole sync would do.
#[derive(Debug, Clone, Default)]
pub struct DryRun {
    /// What would be written, up to `planned_max`.
    pub plan: Vec<Planned>,
    /// How much of the plan is kept: it holds attributes, and a person reads its beginning.
    pub planned_max: usize,
    /// Everything that would be written, by the counter of a run.
    pub counts: BTreeMap<&'static str, u64>,
    /// Accounts that are left as they are though their objects are not wanted any more.
    pub kept: u64,
    /// Objects that need nothing.
    pub unchanged: u64,
    /// Objects that a person must look at: name and words.
    pub parked: Vec<(String, String)>,
    /// The object whose data would stop the run, with what is wrong.
    pub stopped: Option<(String, InvalidData)>,
    /// Reads that were made.
    pub reads: u64,
}

impl DryRun {
    /// Counts one write, and keeps it while there is room.
    pub fn note(&mut self, planned: Planned) {
        *self.counts.entry(planned.counter()).or_default() += 1;
        if self.plan.len() < self.planned_max {
            self.plan.push(planned);
        }
    }
}

/// What another text of a mapping would change at one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Impact {
    /// Objects that were looked at.
    pub looked_at: u64,
    /// Whether those were all that the provider has in scope.
    pub whole: bool,
    /// Objects of which something else would be sent.
    pub changed: u64,
    /// Objects whose data could not be sent any more.
    pub invalid: u64,
}
