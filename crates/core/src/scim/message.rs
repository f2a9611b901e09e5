//! The messages of RFC 7644, one file each: read leniently, written strictly.
//!
//! Nothing here knows HTTP. What a message means for an object is decided elsewhere; here it is only
//! taken apart or put together.

mod bulk;
mod config;
mod error;
pub(crate) mod lenient;
mod list;
mod patch;

pub use bulk::{BulkMethod, BulkOperation, BulkRequest, BulkResponse, BulkResult};
pub use config::{
    AuthenticationScheme, BulkFeature, Feature, FilterFeature, PaginationFeature, ResourceType, SchemaExtension,
    ServiceProviderConfig,
};
pub use error::{ErrorMessage, ScimType};
pub use list::ListResponse;
pub use patch::{PatchOp, PatchOperation, PatchRequest};

use super::resource::Document;

/// RFC 7644 §3.4.2.
pub const LIST_RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// RFC 7644 §3.4.3.
pub const SEARCH_REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
/// RFC 7644 §3.5.2.
pub const PATCH_OP_URN: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// RFC 7644 §3.7.
pub const BULK_REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// RFC 7644 §3.7.
pub const BULK_RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// RFC 7644 §3.12.
pub const ERROR_URN: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// RFC 7643 §5.
pub const SERVICE_PROVIDER_CONFIG_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// RFC 7643 §6.
pub const RESOURCE_TYPE_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// RFC 7643 §7.
pub const SCHEMA_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
/// RFC 7644 §3.1 and §8.1: the media type of every message.
pub const MEDIA_TYPE: &str = "application/scim+json";

/// JSON that is not the message that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what} (RFC 7644): {reason}")]
pub struct UnreadableMessage {
    /// `list response`, `patch request`, ….
    pub what: &'static str,
    /// What is missing or wrong, without the message's content.
    pub reason: &'static str,
}

/// Whether `schemas` names `urn`, in any case.
fn declares(document: &Document, urn: &str) -> bool {
    lenient::texts(document, "schemas").iter().any(|listed| listed.eq_ignore_ascii_case(urn))
}

/// The object that a message must be.
fn object_of(value: serde_json::Value, what: &'static str) -> Result<Document, UnreadableMessage> {
    match value {
        serde_json::Value::Object(object) => Ok(object),
        _ => Err(UnreadableMessage { what, reason: "the body is not a JSON object" }),
    }
}

/// Takes the member called `name` out, without regard to case; `null` counts as absent.
fn take(document: &mut Document, name: &str) -> Option<serde_json::Value> {
    let key = document.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    document.swap_remove(&key).filter(|value| !value.is_null())
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
