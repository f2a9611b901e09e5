//! What would be sent of one object, and why: the shapes that previews show and nobody sends.

use serde::Serialize;
use serde_json::Value;

use crate::outcome::InvalidData;
use crate::plan::Change;
use crate::scim::Document;

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
