//! A PATCH in the words that a provider understands. Planning speaks RFC 7644 §3.5.2; what a profile says
//! differently is put on at the very end, so that previews, logs and tests read one language.

use serde_json::{Value, json};

use crate::profile::{ExtensionAttributes, OpCase, PatchBooleans, PatchPaths, Profile};
use crate::scim::Document;
use crate::scim::message::{PatchOp, PatchOperation};
use crate::scim::path::is_urn;

/// The operations as they are written.
pub fn spoken(operations: &[PatchOperation], profile: &Profile) -> Vec<Value> {
    let mut written: Vec<(PatchOp, Option<String>, Option<Value>)> = Vec::with_capacity(operations.len());
    for operation in operations {
        let PatchOperation { op, path, value } = operation;
        let value = value.clone().map(|value| match profile.patch_booleans {
            PatchBooleans::Json => value,
            PatchBooleans::Text => booleans_as_text(value),
        });
        let Some(path) = path else {
            written.push((*op, None, value));
            continue;
        };
        let is_members = path == "members" || path.starts_with("members[");
        match (profile.patch_paths, extension_of(path)) {
            _ if is_members || path.contains('[') => written.push((*op, Some(path.clone()), value)),
            (PatchPaths::Pathless, extension) => {
                // Without a path nothing can be removed but by saying that it has no value (RFC 7643 §2.5).
                let op = if *op == PatchOp::Remove { PatchOp::Replace } else { *op };
                let value = value.unwrap_or(Value::Null);
                let named = match extension {
                    Some((urn, name)) if profile.extension_attributes == ExtensionAttributes::Nested => {
                        json!({ urn: { name: value } })
                    }
                    Some(_) => json!({ path.as_str(): value }),
                    None => nested(path, value),
                };
                join(&mut written, op, named);
            }
            (PatchPaths::Path, Some((urn, name))) if profile.extension_attributes == ExtensionAttributes::Nested => {
                let op = if *op == PatchOp::Remove { PatchOp::Replace } else { *op };
                written.push((op, Some(urn.to_owned()), Some(json!({ name: value.unwrap_or(Value::Null) }))));
            }
            (PatchPaths::Path, _) => written.push((*op, Some(path.clone()), value)),
        }
    }
    written.into_iter().map(|(op, path, value)| write(op, path, value, profile.op_case)).collect()
}

fn write(op: PatchOp, path: Option<String>, value: Option<Value>, case: OpCase) -> Value {
    let word = match (case, op) {
        (OpCase::Lower, op) => op.as_str(),
        (OpCase::Capitalised, PatchOp::Add) => "Add",
        (OpCase::Capitalised, PatchOp::Remove) => "Remove",
        (OpCase::Capitalised, PatchOp::Replace) => "Replace",
    };
    let mut written = Document::from_iter([("op".to_owned(), Value::from(word))]);
    written.extend(path.map(|path| ("path".to_owned(), Value::from(path))));
    written.extend(value.map(|value| ("value".to_owned(), value)));
    Value::Object(written)
}

/// The URN and the attribute of a path into an extension.
fn extension_of(path: &str) -> Option<(&str, &str)> {
    is_urn(path).then(|| path.rsplit_once(':')).flatten()
}

/// `name.givenName` as an object in an object.
fn nested(path: &str, value: Value) -> Value {
    match path.split_once('.') {
        Some((first, rest)) => json!({ first: nested(rest, value) }),
        None => json!({ path: value }),
    }
}

/// Puts attributes into the last operation without a path, if it does the same.
fn join(written: &mut Vec<(PatchOp, Option<String>, Option<Value>)>, op: PatchOp, named: Value) {
    match written.last_mut() {
        Some((known, None, Some(before))) if *known == op => overlay(before, named),
        _ => written.push((op, None, Some(named))),
    }
}

fn overlay(before: &mut Value, new: Value) {
    match (before, new) {
        (Value::Object(before), Value::Object(new)) => {
            for (name, value) in new {
                match before.get_mut(&name) {
                    Some(known) => overlay(known, value),
                    None => drop(before.insert(name, value)),
                }
            }
        }
        (before, new) => *before = new,
    }
}

fn booleans_as_text(value: Value) -> Value {
    match value {
        Value::Bool(true) => Value::from("True"),
        Value::Bool(false) => Value::from("False"),
        Value::Array(items) => items.into_iter().map(booleans_as_text).collect(),
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(name, value)| (name, booleans_as_text(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn operation(op: PatchOp, path: &str, value: Option<Value>) -> PatchOperation {
        PatchOperation { op, path: Some(path.to_owned()), value }
    }

    fn check(profile: Value, expected: Value) {
        let profile: Profile = serde_json::from_value(profile).unwrap();
        let department = format!("{URN}:department");
        let operations = [
            operation(PatchOp::Replace, "active", Some(json!(false))),
            operation(PatchOp::Replace, "name.givenName", Some(json!("A"))),
            operation(PatchOp::Replace, "name.familyName", Some(json!("B"))),
            operation(PatchOp::Remove, "title", None),
            operation(PatchOp::Replace, &department, Some(json!("IT"))),
            operation(PatchOp::Remove, "members[value eq \"1\"]", None),
            operation(PatchOp::Add, "emails", Some(json!([{"value": "x", "primary": true}]))),
        ];
        assert_eq!(Value::Array(spoken(&operations, &profile)), expected);
    }

    #[test]
    fn the_rfc_is_spoken_as_it_is_planned() {
        check(
            json!({}),
            json!([
                {"op": "replace", "path": "active", "value": false},
                {"op": "replace", "path": "name.givenName", "value": "A"},
                {"op": "replace", "path": "name.familyName", "value": "B"},
                {"op": "remove", "path": "title"},
                {"op": "replace", "path": format!("{URN}:department"), "value": "IT"},
                {"op": "remove", "path": "members[value eq \"1\"]"},
                {"op": "add", "path": "emails", "value": [{"value": "x", "primary": true}]}
            ]),
        );
    }

    #[test]
    fn capitals_texts_and_nested_extensions() {
        check(
            json!({"op_case": "capitalised", "patch_booleans": "text", "extension_attributes": "nested"}),
            json!([
                {"op": "Replace", "path": "active", "value": "False"},
                {"op": "Replace", "path": "name.givenName", "value": "A"},
                {"op": "Replace", "path": "name.familyName", "value": "B"},
                {"op": "Remove", "path": "title"},
                {"op": "Replace", "path": URN, "value": {"department": "IT"}},
                {"op": "Remove", "path": "members[value eq \"1\"]"},
                {"op": "Add", "path": "emails", "value": [{"value": "x", "primary": "True"}]}
            ]),
        );
    }

    #[test]
    fn without_paths_one_object_names_everything_but_members() {
        check(
            json!({"patch_paths": "pathless"}),
            json!([
                {"op": "replace", "value": {"active": false, "name": {"givenName": "A", "familyName": "B"},
                    "title": null, (format!("{URN}:department")): "IT"}},
                {"op": "remove", "path": "members[value eq \"1\"]"},
                {"op": "add", "value": {"emails": [{"value": "x", "primary": true}]}}
            ]),
        );
        check(
            json!({"patch_paths": "pathless", "extension_attributes": "nested"}),
            json!([
                {"op": "replace", "value": {"active": false, "name": {"givenName": "A", "familyName": "B"},
                    "title": null, URN: {"department": "IT"}}},
                {"op": "remove", "path": "members[value eq \"1\"]"},
                {"op": "add", "value": {"emails": [{"value": "x", "primary": true}]}}
            ]),
        );
    }
}
