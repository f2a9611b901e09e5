//! Cursors (RFC 9865): where the next page begins. They hold a position and nothing secret, never grow old,
//! and fit the query that they came from and no other.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scimfleet_core::scim::message::ScimType;
use scimfleet_core::{ResourceId, ResourceKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::answer::ScimError;
use super::query::Query;

/// A position in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// What was asked.
    pub(super) query: String,
    /// Of which kind the next one is.
    pub(super) kind: ResourceKind,
    /// In the order of ids: the last one that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<ResourceId>,
    /// In another order: how many were shown.
    #[serde(default)]
    pub(super) offset: i64,
}

impl Cursor {
    pub(super) fn start(query: &Query, kinds: &[ResourceKind]) -> Self {
        let kind = kinds.first().copied().unwrap_or(ResourceKind::User);
        Self { query: fingerprint(query, kinds), kind, after: None, offset: 0 }
    }

    /// The same listing, from the beginning of another kind.
    pub(super) fn at(&self, kind: ResourceKind) -> Self {
        Self { query: self.query.clone(), kind, after: None, offset: 0 }
    }

    pub(super) fn read(text: &str, query: &Query, kinds: &[ResourceKind]) -> Result<Self, ScimError> {
        let start = Self::start(query, kinds);
        if text.is_empty() {
            return Ok(start);
        }
        let invalid = |detail| ScimError::bad(ScimType::InvalidCursor, detail);
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid("the cursor is none of ours"))?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| invalid("the cursor is none of ours"))?;
        if cursor.query != start.query || cursor.offset < 0 || !kinds.contains(&cursor.kind) {
            return Err(invalid("the cursor is of another query; begin again with an empty one"));
        }
        Ok(cursor)
    }

    pub(super) fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What decides which resources come in which order; the size of the pages may change.
fn fingerprint(query: &Query, kinds: &[ResourceKind]) -> String {
    let asked = (&query.filter, &query.sort_by, query.descending, kinds);
    let digest = Sha256::digest(serde_json::to_vec(&asked).unwrap_or_default());
    URL_SAFE_NO_PAD.encode(&digest[..9])
}
