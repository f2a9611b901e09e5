//! The built-in mappings without the interpreter: most providers use nothing else, and an evaluation in a
//! child costs many times what it takes to say the same here.
//!
//! Only resources of the usual shape are answered. Whatever is odd (a number with a fraction, a name that is
//! a list, a document near a limit) is left to the interpreter, which alone says what Python makes of it. A
//! property test holds that every answer from here is the text's own.

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::resource::ENTERPRISE_URN;
use serde_json::{Map, Value};

use crate::model::{GROUP_DEFAULT, USER_DEFAULT};
use crate::{Expression, Limits, MappingResult, ObjectView};

/// Deeper documents are the interpreter's, which has a limit for them.
const DEPTH_MAX: usize = 12;
/// A payload has at most so many times the bytes of its resource: names stand in it several times, and an
/// escaped character takes six.
const GROWTH_MAX: usize = 8;
/// The keys that a payload has even when the resource has nothing.
const FIXED_BYTES: usize = 1024;

/// Passed through as they are when they are not null, in this order (RFC 7643 §4.1).
const PASSED: [&str; 14] = [
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "phoneNumbers",
    "ims",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
];

/// The writable attributes of the enterprise extension, in this order (RFC 7643 §4.3).
const ENTERPRISE: [&str; 6] = ["employeeNumber", "costCenter", "organization", "division", "department", "manager"];

/// A built-in mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuiltIn(ResourceKind);

impl BuiltIn {
    /// Known by its text: an operator who changes a word of it gets the interpreter.
    pub(crate) fn of(expression: &Expression) -> Option<Self> {
        let text = match expression.kind {
            ResourceKind::User => USER_DEFAULT,
            ResourceKind::Group => GROUP_DEFAULT,
        };
        (*expression.source == *text).then_some(Self(expression.kind))
    }

    /// `None`: the interpreter is to be asked.
    pub(crate) fn evaluate(self, object: &ObjectView<'_>, limits: &Limits) -> Option<MappingResult> {
        let bytes = object.id.len() + object.external_id.as_ref().map_or(0, String::len) + bytes_of(&object.document)?;
        let most = bytes.saturating_mul(GROWTH_MAX).saturating_add(FIXED_BYTES);
        if most > limits.output_bytes.min(limits.resource_bytes) || limits.nesting_depth <= DEPTH_MAX {
            return None;
        }
        if self.0 != object.kind {
            return Some(MappingResult::Nothing);
        }
        let payload = match self.0 {
            ResourceKind::User => user(object)?,
            ResourceKind::Group => group(object),
        };
        Some(MappingResult::Payload(payload))
    }
}

fn uid(object: &ObjectView<'_>) -> Value {
    Value::from(object.external_id.as_deref().unwrap_or(&object.id))
}

fn group(object: &ObjectView<'_>) -> Document {
    let name = object.document.get("displayName").and_then(Value::as_str).unwrap_or_default();
    let mut payload = Map::with_capacity(2);
    payload.insert("displayName".to_owned(), name.into());
    payload.insert("externalId".to_owned(), uid(object));
    payload
}

fn user(object: &ObjectView<'_>) -> Option<Document> {
    let scim: &Document = &object.document;
    let mut payload = Map::with_capacity(16);
    payload.insert("userName".to_owned(), scim.get("userName").cloned().unwrap_or_default());
    for key in PASSED {
        if let Some(value) = scim.get(key).filter(|value| !value.is_null()) {
            payload.insert(key.to_owned(), value.clone());
        }
    }
    let whole = display_name(scim);
    payload.insert("name".to_owned(), name(scim, whole)?);
    if !payload.contains_key("displayName") {
        payload.insert("displayName".to_owned(), whole.text());
    }
    payload.insert("active".to_owned(), (scim.get("active") != Some(&Value::Bool(false))).into());
    payload.insert("externalId".to_owned(), uid(object));
    // The preferred address is one of these: where there is none of them, there is none at all.
    let emails = scim.get("emails").filter(|emails| is_true(emails)).cloned();
    payload.insert("emails".to_owned(), emails.unwrap_or_else(|| Value::Array(Vec::new())));
    let photos = photos(scim)?;
    if !photos.is_empty() {
        payload.insert("photos".to_owned(), photos.into());
    }
    let extension = enterprise(scim)?;
    if !extension.is_empty() {
        payload.insert(ENTERPRISE_URN.to_owned(), extension.into());
    }
    Some(payload)
}

/// A display name as it was found.
#[derive(Clone, Copy)]
enum Whole<'a> {
    One(&'a str),
    Two(&'a str, &'a str),
}

impl Whole<'_> {
    fn text(self) -> Value {
        match self {
            Self::One(text) => text.into(),
            Self::Two(given, family) => format!("{given} {family}").into(),
        }
    }
}

/// displayName, else name.formatted, else given and family name, else userName.
fn display_name(scim: &Document) -> Whole<'_> {
    fn words(value: Option<&Value>) -> Option<&str> {
        value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }
    let part = |key: &str| words(scim.get("name").and_then(Value::as_object).and_then(|name| name.get(key)));
    let one = words(scim.get("displayName")).or_else(|| part("formatted"));
    match (one, part("givenName"), part("familyName")) {
        (None, Some(given), Some(family)) => Whole::Two(given, family),
        (one, given, family) => {
            Whole::One(one.or(given).or(family).or_else(|| words(scim.get("userName"))).unwrap_or_default())
        }
    }
}

/// Made from the display name; what the resource says itself wins.
fn name(scim: &Document, whole: Whole<'_>) -> Option<Value> {
    let formatted = whole.text();
    let (given, family) = formatted.as_str().map(|text| text.split_once(' ').unwrap_or((text, "")))?;
    let family = if family.is_empty() { " " } else { family };
    let made = [("givenName", Value::from(given)), ("familyName", Value::from(family))];
    let mut name = Map::with_capacity(6);
    name.insert("formatted".to_owned(), formatted);
    name.extend(made.map(|(key, value)| (key.to_owned(), value)));
    match scim.get("name") {
        Some(Value::Object(own)) => {
            for (key, value) in own.iter().filter(|(_, value)| is_true(value)) {
                name.insert(key.clone(), value.clone());
            }
        }
        Some(other) if is_true(other) => return None,
        _ => {}
    }
    Some(name.into())
}

/// Those that are a URL. Anything but text in their value is the interpreter's to print.
fn photos(scim: &Document) -> Option<Vec<Value>> {
    let listed = match scim.get("photos") {
        Some(Value::Array(photos)) => photos,
        Some(other) if is_true(other) => return None,
        _ => return Some(Vec::new()),
    };
    let mut photos = Vec::new();
    for photo in listed {
        match photo.as_object()?.get("value") {
            Some(Value::String(url)) if url.contains("://") => photos.push(photo.clone()),
            Some(Value::String(_) | Value::Null) | None => {}
            Some(_) => return None,
        }
    }
    Some(photos)
}

fn enterprise(scim: &Document) -> Option<Document> {
    let given = match scim.get(ENTERPRISE_URN) {
        Some(Value::Object(given)) => given,
        Some(other) if is_true(other) => return None,
        _ => return Some(Map::new()),
    };
    let mut extension = Map::with_capacity(ENTERPRISE.len());
    for key in ENTERPRISE {
        match given.get(key).filter(|value| is_true(value)) {
            Some(Value::Object(manager)) if key == "manager" => {
                let parts = ["value", "$ref"].into_iter();
                let parts = parts.filter_map(|part| Some((part.to_owned(), manager.get(part)?.clone())));
                let parts: Document = parts.filter(|(_, value)| is_true(value)).collect();
                if !parts.is_empty() {
                    extension.insert(key.to_owned(), parts.into());
                }
            }
            Some(value) => drop(extension.insert(key.to_owned(), value.clone())),
            None => {}
        }
    }
    Some(extension)
}

/// Python's idea of truth.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_i64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// About how many bytes a document has. `None`: it is too deep, or holds a number that does not come through
/// the interpreter as it is.
fn bytes_of(document: &Document) -> Option<usize> {
    fields(document, 0)
}

fn fields(document: &Document, depth: usize) -> Option<usize> {
    document.iter().try_fold(2, |sum, (key, value)| Some(sum + key.len() + 4 + bytes(value, depth + 1)?))
}

fn bytes(value: &Value, depth: usize) -> Option<usize> {
    if depth > DEPTH_MAX {
        return None;
    }
    match value {
        Value::Null | Value::Bool(_) => Some(5),
        Value::Number(number) => number.as_i64().map(|_| 20),
        Value::String(text) => Some(text.len() + 2),
        Value::Array(items) => items.iter().try_fold(2, |sum, item| Some(sum + 1 + bytes(item, depth + 1)?)),
        Value::Object(inner) => fields(inner, depth),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::json;

    use super::*;
    use crate::default_mappings;

    fn answer(document: Value) -> Option<MappingResult> {
        let [user, _] = default_mappings();
        let object = ObjectView {
            kind: ResourceKind::User,
            id: "u-1".to_owned(),
            external_id: None,
            document: Cow::Owned(document.as_object().cloned().unwrap_or_default()),
            service_account: false,
            groups: Vec::new(),
        };
        BuiltIn::of(&user)?.evaluate(&object, &Limits::default())
    }

    #[test]
    fn only_the_exact_text_is_known() {
        let [user, group] = default_mappings();
        let changed = Expression { source: format!("{}\n", user.source).into(), ..user.clone() };
        let other_kind = Expression { kind: ResourceKind::Group, ..user.clone() };
        assert!(BuiltIn::of(&user).is_some() && BuiltIn::of(&group).is_some());
        assert!(BuiltIn::of(&changed).is_none() && BuiltIn::of(&other_kind).is_none());
    }

    #[test]
    fn what_is_usual_is_answered_here_and_what_is_odd_is_not() {
        let usual = json!({"userName": "a", "name": {"givenName": "A"}, "emails": [{"value": "a@x.example", "primary": true}],
            "photos": [{"value": "https://x.example/a.png"}], ENTERPRISE_URN: {"manager": {"value": "u-2"}}, "n": 7});
        assert!(matches!(answer(usual), Some(MappingResult::Payload(_))));
        let deep = (0..DEPTH_MAX).fold(json!(1), |inner, _| json!([inner]));
        let odd = [
            json!({"userName": "a", "x": 0.5}),
            json!({"userName": "a", "x": u64::MAX}),
            json!({"userName": "a", "name": ["A"]}),
            json!({"userName": "a", "photos": [1]}),
            json!({"userName": "a", "photos": [{"value": 1}]}),
            json!({"userName": "a", ENTERPRISE_URN: "x"}),
            json!({"userName": "a", "x": deep}),
            json!({"userName": "a".repeat(200_000)}),
        ];
        for document in odd {
            assert_eq!(answer(document.clone()), None, "{document}");
        }
    }
}
