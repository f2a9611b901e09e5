//! The PATCH request (RFC 7644 §3.5.2).

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::lenient::text;
use super::{Document, PATCH_OP_URN, UnreadableMessage, object_of, take};
use crate::state::words;

words!(
    /// What a PATCH operation does.
    PatchOp, "patch operation" {
        /// §3.5.2.1.
        Add = "add",
        /// §3.5.2.2.
        Remove = "remove",
        /// §3.5.2.3.
        Replace = "replace",
    }
);

/// One step of a PATCH.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PatchOperation {
    /// What it does; written in lower case, read in any.
    pub op: PatchOp,
    /// To which attribute; absent: to the resource, and `value` is an object of attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What to put there. `null` is a value, and not the same as none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// Steps that are applied together or not at all.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct PatchRequest {
    /// The steps, in their order.
    pub operations: Vec<PatchOperation>,
}

impl TryFrom<Value> for PatchRequest {
    type Error = UnreadableMessage;

    fn try_from(value: Value) -> Result<Self, UnreadableMessage> {
        let mut object = object_of(value, "patch request")?;
        let Some(Value::Array(items)) = take(&mut object, "Operations") else {
            return Err(unreadable("`Operations` is not a list"));
        };
        let operations = items.into_iter().map(read_operation).collect::<Result<_, _>>()?;
        Ok(Self { operations })
    }
}

fn read_operation(item: Value) -> Result<PatchOperation, UnreadableMessage> {
    let Value::Object(mut object) = item else {
        return Err(unreadable("an operation is not a JSON object"));
    };
    let word = text(&object, "op").unwrap_or_default().to_lowercase();
    let op = word.parse().map_err(|_| unreadable("`op` is not `add`, `remove` or `replace`"))?;
    Ok(PatchOperation { op, path: read_path(&object)?, value: take_value(&mut object) })
}

/// A path that is there must be text: a step must never reach further than was meant.
fn read_path(object: &Document) -> Result<Option<String>, UnreadableMessage> {
    match super::lenient::present(object, "path") {
        None => Ok(None),
        Some(Value::String(path)) if path.is_empty() => Ok(None),
        Some(Value::String(path)) => Ok(Some(path.clone())),
        Some(_) => Err(unreadable("`path` is not a text")),
    }
}

/// Unlike elsewhere, `null` is not absence here: `replace` with `null` clears.
fn take_value(object: &mut Document) -> Option<Value> {
    let key = object.keys().find(|key| key.eq_ignore_ascii_case("value"))?.clone();
    object.swap_remove(&key)
}

const fn unreadable(reason: &'static str) -> UnreadableMessage {
    UnreadableMessage { what: "patch request", reason }
}

impl Serialize for PatchRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("PatchRequest", 2)?;
        out.serialize_field("schemas", &[PATCH_OP_URN])?;
        out.serialize_field("Operations", &self.operations)?;
        out.end()
    }
}
