//! Resources as JSON objects (RFC 7643 §3): attributes that we do not know are kept, never dropped.

use serde_json::Value;

use crate::state::words;

/// A SCIM resource, or part of one, as it stands in JSON.
pub type Document = serde_json::Map<String, Value>;

/// The schema URN of the core User (RFC 7643 §4.1).
pub const USER_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The schema URN of the core Group (RFC 7643 §4.2).
pub const GROUP_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The schema URN of the enterprise extension of User (RFC 7643 §4.3).
pub const ENTERPRISE_URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

words!(
    /// The two kinds of resources that are kept in step.
    ResourceKind, "resource kind" {
        /// RFC 7643 §4.1.
        User = "user",
        /// RFC 7643 §4.2.
        Group = "group",
    }
);

impl ResourceKind {
    /// The default endpoint below the base URL (RFC 7644 §3.2).
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }

    /// `meta.resourceType` (RFC 7643 §6).
    pub const fn resource_type(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// The URN of the core schema.
    pub const fn schema_urn(self) -> &'static str {
        match self {
            Self::User => USER_URN,
            Self::Group => GROUP_URN,
        }
    }

    /// The attribute that people know a resource by: unique for users (RFC 7643 §4.1.1), a mere name
    /// for groups.
    pub const fn naming_attribute(self) -> &'static str {
        match self {
            Self::User => "userName",
            Self::Group => "displayName",
        }
    }
}

/// A case-folded key: what two names share that differ only in case. Made here and never in SQL,
/// because SQLite folds ASCII only (R5).
pub fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}
