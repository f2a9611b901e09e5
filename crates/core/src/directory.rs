//! How what arrives meets what the directory holds: identity and merging, as pure functions (R2–R5).

use serde_json::Value;

use crate::scim::ResourceKind;
use crate::scim::resource::{Document, fold};

/// Values of `userType` that mark a service account (authentik's words and ours).
const SERVICE_ACCOUNT_TYPES: [&str; 3] = ["service_account", "internal_service_account", "service"];

/// Lays an incoming resource over the one that exists, as RFC 7396 has it: an absent attribute keeps its
/// value, `null` clears it, objects merge, everything else replaces (R4).
pub fn overlay(existing: &mut Document, incoming: Document) {
    for (name, value) in incoming {
        match value {
            Value::Null => {
                existing.shift_remove(&name);
            }
            Value::Object(incoming) => overlay_object(existing, name, incoming),
            value => {
                existing.insert(name, value);
            }
        }
    }
}

fn overlay_object(existing: &mut Document, name: String, incoming: Document) {
    let slot = existing.entry(name).or_insert_with(|| Value::Object(Document::new()));
    if !slot.is_object() {
        *slot = Value::Object(Document::new());
    }
    if let Value::Object(inner) = slot {
        overlay(inner, incoming);
    }
}

/// What identifies a resource, read from its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `externalId`, if it is a non-empty text.
    pub external_id: Option<String>,
    /// `userName` or `displayName` as written.
    pub name: String,
    /// The same, folded: what must be unique among users.
    pub name_key: String,
    /// `active`, true unless it says false.
    pub active: bool,
    /// Belongs to a program rather than a person.
    pub service_account: bool,
}

/// Why a resource is refused at the door; the text names the attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The attribute that names a resource is missing, empty or no text.
    #[error("`{attribute}` is missing or empty")]
    Nameless {
        /// `userName` or `displayName`.
        attribute: &'static str,
    },
    /// PostgreSQL cannot hold U+0000; SQLite could, so that the two would differ (R5).
    #[error("a text contains U+0000")]
    NulByte,
    /// `externalId` must be a text.
    #[error("`externalId` is not a text")]
    ExternalIdType,
    /// `active` must be true or false.
    #[error("`active` is not true or false")]
    ActiveType,
}

impl Identity {
    /// Reads the identity of a resource of this kind.
    pub fn of(kind: ResourceKind, document: &Document) -> Result<Self, Refusal> {
        if document.values().any(has_nul) || document.keys().any(|key| key.contains('\0')) {
            return Err(Refusal::NulByte);
        }
        let attribute = kind.naming_attribute();
        let name = document.get(attribute).and_then(Value::as_str).unwrap_or_default().trim();
        if name.is_empty() {
            return Err(Refusal::Nameless { attribute });
        }
        let external_id = match document.get("externalId") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
            Some(_) => return Err(Refusal::ExternalIdType),
        };
        let user_type = document.get("userType").and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            external_id,
            name: name.to_owned(),
            name_key: fold(name),
            active: read_active(document)?,
            service_account: SERVICE_ACCOUNT_TYPES.contains(&user_type),
        })
    }
}

/// `active` as directories write it: a truth value, or the text "true" or "False".
fn read_active(document: &Document) -> Result<bool, Refusal> {
    match document.get("active") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Bool(active)) => Ok(*active),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Refusal::ActiveType),
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Document {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn absent_keeps_null_clears_objects_merge() {
        let cases = [
            (r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1}"#, r#"{"a":null}"#, "{}"),
            (r#"{"n":{"x":1,"y":2}}"#, r#"{"n":{"x":null,"z":3}}"#, r#"{"n":{"y":2,"z":3}}"#),
            (r#"{"l":[1,2]}"#, r#"{"l":[3]}"#, r#"{"l":[3]}"#),
            (r#"{"n":1}"#, r#"{"n":{"x":1}}"#, r#"{"n":{"x":1}}"#),
            ("{}", r#"{"n":{"x":null}}"#, r#"{"n":{}}"#),
        ];
        for (existing, incoming, expected) in cases {
            let mut document = object(existing);
            overlay(&mut document, object(incoming));
            assert_eq!(document, object(expected), "{existing} + {incoming}");
        }
    }

    #[test]
    fn an_identity_is_read_or_refused_by_name() {
        let good = Identity::of(ResourceKind::User, &object(r#"{"userName":" Änne ","active":"False"}"#)).unwrap();
        assert_eq!((good.name_key.as_str(), good.active, good.external_id), ("änne", false, None));
        let cases = [
            (r#"{"displayName":"x"}"#, "`userName` is missing or empty"),
            (r#"{"userName":"x","externalId":7}"#, "`externalId` is not a text"),
            (r#"{"userName":"x","active":1}"#, "`active` is not true or false"),
            (r#"{"userName":"x","name":{"givenName":"a\u0000b"}}"#, "a text contains U+0000"),
        ];
        for (document, reason) in cases {
            assert_eq!(Identity::of(ResourceKind::User, &object(document)).unwrap_err().to_string(), reason);
        }
    }
}
