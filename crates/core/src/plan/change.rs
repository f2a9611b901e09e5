//! Differences between what was sent and what would be sent, attribute by attribute, and the PATCH
//! operations that make them (RFC 7644 §3.5.2).

use serde::Serialize;
use serde_json::Value;

use super::digest::same;
use super::lists;
use crate::profile::Profile;
use crate::scim::Document;
use crate::scim::message::{PatchOp, PatchOperation};
use crate::scim::path::is_urn;

/// Never part of a difference: `schemas` follows from the attributes, members are compared with what was
/// sent of them, the rest is the provider's.
const NOT_COMPARED: [&str; 4] = ["schemas", "members", "id", "meta"];

/// One attribute that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its path, as a PATCH would name it.
    pub path: String,
    /// The value before; `None` when there was none.
    pub from: Option<Value>,
    /// The value to be; `None` when it goes.
    pub to: Option<Value>,
}

/// What differs between `before` and `after`, in the order of the paths in `after`, then what vanished.
/// Sub-attributes of a complex attribute and attributes of an extension are compared one by one.
pub fn changes(before: &Document, after: &Document) -> Vec<Change> {
    let mut list = Vec::new();
    compare(before, after, None, &mut list);
    list
}

fn compare(before: &Document, after: &Document, parent: Option<&str>, list: &mut Vec<Change>) {
    let compared = |name: &str| parent.is_some() || !NOT_COMPARED.contains(&name);
    for (name, value) in after.iter().filter(|(name, value)| compared(name) && !value.is_null()) {
        let path = join(parent, name);
        match (before.get(name).filter(|value| !value.is_null()), value) {
            (Some(Value::Object(before)), Value::Object(after)) if descends(parent, name) => {
                compare(before, after, Some(&path), list);
            }
            // An extension that is new is sent attribute by attribute too: not every provider takes a
            // bare URN as a path.
            (None, Value::Object(after)) if parent.is_none() && is_urn(name) => {
                compare(&Document::new(), after, Some(&path), list);
            }
            (Some(before), after) if same(before, after) => {}
            // Unassigned and an empty list are one state (RFC 7643 §2.5).
            (None, Value::Array(after)) if after.is_empty() => {}
            (before, after) => list.push(Change { path, from: before.cloned(), to: Some(after.clone()) }),
        }
    }
    for (name, value) in before.iter().filter(|(name, value)| compared(name) && !value.is_null()) {
        if after.get(name).is_none_or(Value::is_null) {
            vanish(&join(parent, name), name, value, parent.is_none(), list);
        }
    }
}

fn vanish(path: &str, name: &str, value: &Value, top: bool, list: &mut Vec<Change>) {
    match value {
        Value::Object(attributes) if top && is_urn(name) => {
            for (attribute, value) in attributes.iter().filter(|(_, value)| !value.is_null()) {
                let path = join(Some(path), attribute);
                list.push(Change { path, from: Some(value.clone()), to: None });
            }
        }
        value => list.push(Change { path: path.to_owned(), from: Some(value.clone()), to: None }),
    }
}

/// Core complex attributes and extensions are entered; complex attributes of an extension are replaced
/// whole, because a URN, an attribute and a sub-attribute in one path is beyond many providers.
fn descends(parent: Option<&str>, name: &str) -> bool {
    parent.is_none() || !is_urn(name) && parent.is_none_or(|parent| !is_urn(parent))
}

/// `urn:…:User:attribute` for an extension's attribute, `attribute.sub` for a sub-attribute (RFC 7644 §3.10).
fn join(parent: Option<&str>, name: &str) -> String {
    match parent {
        None => name.to_owned(),
        Some(parent) if is_urn(parent) => format!("{parent}:{name}"),
        Some(parent) => format!("{parent}.{name}"),
    }
}

/// The PATCH operations for these changes, one for each path; of a multi-valued attribute only our values
/// are added and removed (R23). `shown`: what the provider holds, where it had to be read.
pub fn operations(changes: &[Change], profile: &Profile, shown: Option<&Document>) -> Vec<PatchOperation> {
    let whole = |change: &Change| match &change.to {
        Some(value) => {
            PatchOperation { op: PatchOp::Replace, path: Some(change.path.clone()), value: Some(value.clone()) }
        }
        None => PatchOperation { op: PatchOp::Remove, path: Some(change.path.clone()), value: None },
    };
    changes
        .iter()
        .flat_map(|change| lists::operations(change, profile, shown).unwrap_or_else(|| vec![whole(change)]))
        .collect()
}
