//! The bulk request and its response (RFC 7644 §3.7).

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::lenient::{as_number, number, present, text};
use super::{BULK_REQUEST_URN, BULK_RESPONSE_URN, Document, UnreadableMessage, object_of, take};
use crate::state::words;

words!(
    /// The HTTP method of one operation; the word is written as HTTP writes it.
    BulkMethod, "bulk method" {
        /// Create.
        Post = "POST",
        /// Replace.
        Put = "PUT",
        /// Modify.
        Patch = "PATCH",
        /// Delete.
        Delete = "DELETE",
    }
);

/// One request inside a bulk request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkOperation {
    /// The method.
    pub method: BulkMethod,
    /// Our name for it; "REQUIRED when method is POST". Other operations refer to the resource as
    /// `bulkId:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_id: Option<String>,
    /// The ETag that the resource must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Relative to the base URL: `/Users`, `/Users/42`.
    pub path: String,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// Many requests in one.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct BulkRequest {
    /// After how many errors the service provider stops; absent: never.
    pub fail_on_errors: Option<u64>,
    /// The requests, in their order.
    pub operations: Vec<BulkOperation>,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkResult {
    /// The method, if it was repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<BulkMethod>,
    /// Our name for the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_id: Option<String>,
    /// The resource's ETag now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The resource's URI; absent after a POST that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The HTTP status; `None` when it cannot be read, and then the outcome is unknown. Written as
    /// text (§3.7.3).
    #[serde(serialize_with = "as_text", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The body; an error message when the request failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
}

fn as_text<S: Serializer>(status: &Option<u16>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&status.unwrap_or_default())
}

/// What became of each, in the order of the requests as far as the service provider went.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct BulkResponse {
    /// The results that can be read.
    pub operations: Vec<BulkResult>,
}

impl TryFrom<Value> for BulkRequest {
    type Error = UnreadableMessage;

    fn try_from(value: Value) -> Result<Self, UnreadableMessage> {
        let mut object = object_of(value, "bulk request")?;
        let fail_on_errors = number(&object, "failOnErrors");
        let items = take_operations(&mut object, "bulk request")?;
        let operations = items.into_iter().map(read_operation).collect::<Result<_, _>>()?;
        Ok(Self { fail_on_errors, operations })
    }
}

fn read_operation(item: Value) -> Result<BulkOperation, UnreadableMessage> {
    let unreadable = |reason| UnreadableMessage { what: "bulk request", reason };
    let mut object = object_of(item, "bulk operation")?;
    let method = read_method(&object).ok_or_else(|| unreadable("`method` is not POST, PUT, PATCH or DELETE"))?;
    let path = text(&object, "path").ok_or_else(|| unreadable("an operation has no `path`"))?;
    Ok(BulkOperation {
        method,
        bulk_id: text(&object, "bulkId"),
        version: text(&object, "version"),
        path,
        data: take(&mut object, "data"),
    })
}

impl TryFrom<Value> for BulkResponse {
    type Error = UnreadableMessage;

    fn try_from(value: Value) -> Result<Self, UnreadableMessage> {
        let mut object = object_of(value, "bulk response")?;
        let items = take_operations(&mut object, "bulk response")?;
        Ok(Self { operations: items.into_iter().filter_map(read_result).collect() })
    }
}

fn read_result(item: Value) -> Option<BulkResult> {
    let Value::Object(mut object) = item else { return None };
    Some(BulkResult {
        method: read_method(&object),
        bulk_id: text(&object, "bulkId"),
        version: text(&object, "version"),
        location: text(&object, "location"),
        status: read_status(&object),
        response: take(&mut object, "response"),
    })
}

/// `"201"`, `201`, or `{"code":"201"}` as in SCIM 1.1.
fn read_status(object: &Document) -> Option<u16> {
    let code = match present(object, "status")? {
        Value::Object(status) => number(status, "code")?,
        plain => as_number(plain)?,
    };
    u16::try_from(code).ok()
}

fn read_method(object: &Document) -> Option<BulkMethod> {
    text(object, "method")?.to_uppercase().parse().ok()
}

fn take_operations(object: &mut Document, what: &'static str) -> Result<Vec<Value>, UnreadableMessage> {
    match take(object, "Operations") {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(UnreadableMessage { what, reason: "`Operations` is not a list" }),
    }
}

impl Serialize for BulkRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("BulkRequest", 3)?;
        out.serialize_field("schemas", &[BULK_REQUEST_URN])?;
        if let Some(count) = self.fail_on_errors {
            out.serialize_field("failOnErrors", &count)?;
        }
        out.serialize_field("Operations", &self.operations)?;
        out.end()
    }
}

impl Serialize for BulkResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("BulkResponse", 2)?;
        out.serialize_field("schemas", &[BULK_RESPONSE_URN])?;
        out.serialize_field("Operations", &self.operations)?;
        out.end()
    }
}
