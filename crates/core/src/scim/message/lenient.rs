//! Reading what other implementations wrote: member names in any case, numbers and booleans as text.
//! A part that cannot be read is absent; it never takes its neighbours with it.

use serde_json::Value;

use crate::scim::path::member;
use crate::scim::resource::Document;

/// A member that is not `null`.
pub(crate) fn present<'d>(document: &'d Document, name: &str) -> Option<&'d Value> {
    member(document, name).filter(|value| !value.is_null())
}

/// A non-empty string; a number is read as its digits.
pub(crate) fn text(document: &Document, name: &str) -> Option<String> {
    match present(document, name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A boolean, or `"true"` and `"false"` in any case.
pub(crate) fn flag(document: &Document, name: &str) -> Option<bool> {
    match present(document, name)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A whole number that is not negative, or its digits as text.
pub(crate) fn number(document: &Document, name: &str) -> Option<u64> {
    as_number(present(document, name)?)
}

/// As [`number`], for a value in hand.
pub(crate) fn as_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// `100.0` is 100: some languages know only one kind of number.
fn whole(number: f64) -> Option<u64> {
    let exact = number >= 0.0 && number.fract() == 0.0 && number < 9_007_199_254_740_992.0;
    exact.then(|| format!("{number:.0}").parse().ok())?
}

/// The objects of a list; one object alone counts as a list of one. What is no object is left out.
pub(crate) fn objects<'d>(document: &'d Document, name: &str) -> Vec<&'d Document> {
    match present(document, name) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_object).collect(),
        Some(Value::Object(object)) => vec![object],
        _ => Vec::new(),
    }
}

/// The strings of a list; one string alone counts as a list of one.
pub(crate) fn texts(document: &Document, name: &str) -> Vec<String> {
    match present(document, name) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}
