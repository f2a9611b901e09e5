//! The deep merge that puts the results of mappings together, equal to `always_merger` of Python's
//! `deepmerge`: objects merge, lists append, anything else overrides, `null` included.
//!
//! Recursion follows objects that both sides have. Documents come out of serde_json's reader, which
//! refuses more than 128 levels, so the stack is bounded there.

use serde_json::Value;

use crate::scim::Document;

/// Merges `from` into `into`. Members keep the place that they have; new ones follow in their order.
pub fn merge(into: &mut Document, from: Document) {
    for (name, value) in from {
        match into.get_mut(&name) {
            Some(present) => merge_value(present, value),
            None => {
                into.insert(name, value);
            }
        }
    }
}

fn merge_value(present: &mut Value, value: Value) {
    match (present, value) {
        (Value::Object(present), Value::Object(value)) => merge(present, value),
        (Value::Array(present), Value::Array(mut value)) => present.append(&mut value),
        (present, value) => *present = value,
    }
}

/// Removes what has no value, at every depth, once everything is merged.
///
/// `null` goes, be it a member of an object or an element of a list, and so does an object that has
/// nothing left for that reason: all of them mean "unassigned" (RFC 7643 §2.5). An object or list that
/// was given empty stays, and so does a list that became empty, because "none" is an answer.
pub fn remove_nulls(document: &mut Document) {
    document.retain(|_, value| keep(value));
}

/// Clears `value` inside; false when nothing is left of it.
pub(super) fn keep(value: &mut Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(object) => {
            let given_empty = object.is_empty();
            remove_nulls(object);
            given_empty || !object.is_empty()
        }
        Value::Array(items) => {
            items.retain_mut(keep);
            true
        }
        _ => true,
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
