//! Reads and applies PATCH operations (RFC 7644 §3.5.2) on a document. Members of groups have their own
//! way ([`super::members`]), since a document that holds them all costs too much to copy.

use scim_v2::filter::{AttrPath, PatchPath, PatchValuePath};
use serde_json::{Map, Value};

use super::answer::Refusal;
use super::attributes::{self, get, key};
use super::filter::{element_equality, element_matches};

/// The three verbs (RFC 7644 §3.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Replace,
    Remove,
}

/// One operation of a PATCH, parsed.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) verb: Verb,
    pub(crate) path: Option<PatchPath>,
    pub(crate) value: Option<Value>,
}

type Document = Map<String, Value>;

/// Reads `Operations`; the key is accepted in any case, as attribute names are.
pub(crate) fn parse(body: &Document) -> Result<Vec<Operation>, Refusal> {
    let operations = get(body, "Operations")
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
        .ok_or_else(|| Refusal::bad("invalidSyntax", "a PATCH needs `Operations`"))?;
    operations.iter().map(parse_operation).collect()
}

fn parse_operation(operation: &Value) -> Result<Operation, Refusal> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let verb = match text("op").unwrap_or_default().to_ascii_lowercase().as_str() {
        "add" => Verb::Add,
        "replace" => Verb::Replace,
        "remove" => Verb::Remove,
        _ => return Err(Refusal::bad("invalidSyntax", "`op` is one of add, replace, remove")),
    };
    let path = text("path").map(parse_path).transpose()?;
    if path.is_none() && verb == Verb::Remove {
        return Err(Refusal::bad("noTarget", "a remove needs a `path`"));
    }
    let value = operation.get("value").cloned();
    if value.is_none() && verb != Verb::Remove {
        return Err(Refusal::bad("invalidValue", "add and replace need a `value`"));
    }
    Ok(Operation { verb, path, value })
}

fn parse_path(path: &str) -> Result<PatchPath, Refusal> {
    path.parse().map_err(|_| Refusal::bad("invalidPath", format!("path `{path}` cannot be read")))
}

/// Applies one operation. On an error the document may be half changed: work on a copy.
pub(crate) fn apply(document: &mut Document, operation: &Operation) -> Result<(), Refusal> {
    let value = operation.value.clone().unwrap_or(Value::Null);
    match &operation.path {
        None => apply_pathless(document, operation.verb, value),
        Some(PatchPath::Attr(path)) => apply_attribute(document, operation.verb, path, value),
        Some(PatchPath::Value(path)) => apply_value_path(document, operation.verb, path, value),
    }
}

fn apply_pathless(document: &mut Document, verb: Verb, value: Value) -> Result<(), Refusal> {
    let Value::Object(fields) = value else {
        return Err(Refusal::bad("invalidValue", "without a path the value is an object"));
    };
    for (name, value) in fields {
        let path = AttrPath { uri: None, name: name.clone(), sub_attr: None };
        if name.starts_with("urn:") && value.is_object() {
            set(document, verb, &name, value);
        } else if name.contains(['.', ':', '[']) {
            // Targets built for Entra accept paths as keys.
            let operation = Operation { verb, path: Some(parse_path(&name)?), value: Some(value) };
            apply(document, &operation)?;
        } else {
            apply_attribute(document, verb, &path, value)?;
        }
    }
    Ok(())
}

/// Where an attribute stands: in the document, or in the object of its extension.
fn holder<'a>(document: &'a mut Document, path: &AttrPath, create: bool) -> Option<(&'a mut Document, String)> {
    let Some(uri) = path.uri.as_deref() else { return Some((document, path.name.clone())) };
    let whole = format!("{uri}:{}", path.name);
    if attributes::schema(&whole).is_some() || get(document, &whole).is_some() {
        return Some((document, whole));
    }
    if !uri.contains(":extension:") && attributes::schema(uri).is_some() {
        return Some((document, path.name.clone()));
    }
    let slot = key(document, uri);
    if create && !document.get(&slot).is_some_and(Value::is_object) {
        document.insert(slot.clone(), Value::Object(Map::new()));
    }
    document.get_mut(&slot).and_then(Value::as_object_mut).map(|fields| (fields, path.name.clone()))
}

fn apply_attribute(document: &mut Document, verb: Verb, path: &AttrPath, value: Value) -> Result<(), Refusal> {
    let Some((fields, name)) = holder(document, path, verb != Verb::Remove) else { return Ok(()) };
    match &path.sub_attr {
        None => set(fields, verb, &name, value),
        Some(sub) => {
            let slot = key(fields, &name);
            if verb != Verb::Remove && !fields.contains_key(&slot) {
                let empty = Value::Object(Map::new());
                let start = if attributes::is_many(&name) { Value::Array(vec![empty]) } else { empty };
                fields.insert(slot.clone(), start);
            }
            match fields.get_mut(&slot) {
                Some(Value::Object(inner)) => set(inner, verb, sub, value),
                Some(Value::Array(items)) => {
                    for inner in items.iter_mut().filter_map(Value::as_object_mut) {
                        set(inner, verb, sub, value.clone());
                    }
                }
                Some(_) => return Err(Refusal::bad("invalidPath", format!("`{name}` has no sub-attributes"))),
                None => {}
            }
        }
    }
    prune(document, path);
    Ok(())
}

/// An attribute without values is unassigned (RFC 7643 §2.5): what an operation emptied goes.
fn prune(document: &mut Document, path: &AttrPath) {
    let hollow = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => false,
    };
    if let Some((fields, name)) = holder(document, path, false) {
        let slot = key(fields, &name);
        if hollow(fields.get(&slot)) {
            fields.shift_remove(&slot);
        }
    }
    if let Some(slot) = path.uri.as_deref().map(|uri| key(document, uri))
        && hollow(document.get(&slot))
    {
        document.shift_remove(&slot);
    }
}

fn set(fields: &mut Document, verb: Verb, name: &str, value: Value) {
    let slot = key(fields, name);
    match (verb, fields.get_mut(&slot), value) {
        (Verb::Remove, Some(Value::Array(items)), list @ (Value::Array(_) | Value::Object(_))) => {
            remove_listed(items, &list);
            if items.is_empty() {
                fields.shift_remove(&slot);
            }
        }
        (Verb::Remove, _, _) | (Verb::Replace | Verb::Add, _, Value::Null) => {
            fields.shift_remove(&slot);
        }
        (Verb::Add, Some(Value::Array(items)), value) => append(items, value),
        (_, Some(Value::Object(old)), Value::Object(new)) => {
            for (name, value) in new {
                set(old, Verb::Replace, &name, value);
            }
        }
        (_, _, value) if attributes::is_many(name) && !value.is_array() => {
            fields.insert(slot, Value::Array(vec![value]));
        }
        (_, _, value) => {
            fields.insert(slot, value);
        }
    }
}

fn remove_listed(items: &mut Vec<Value>, listed: &Value) {
    let named = |item: &Value| item.get("value").cloned().unwrap_or_else(|| item.clone());
    let listed: Vec<Value> = match listed {
        Value::Array(list) => list.iter().map(named).collect(),
        one => vec![named(one)],
    };
    items.retain(|item| !listed.contains(&named(item)));
}

fn append(items: &mut Vec<Value>, value: Value) {
    let new = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    for item in new {
        // One primary value at the most (RFC 7643 §2.4).
        if item.get("primary") == Some(&Value::Bool(true)) {
            items.iter_mut().filter_map(Value::as_object_mut).for_each(|other| {
                other.shift_remove("primary");
            });
        }
        if !items.contains(&item) {
            items.push(item);
        }
    }
}

fn apply_value_path(document: &mut Document, verb: Verb, path: &PatchValuePath, value: Value) -> Result<(), Refusal> {
    let Some((fields, name)) = holder(document, &path.attr, verb != Verb::Remove) else { return Ok(()) };
    let slot = key(fields, &name);
    if verb == Verb::Add && !fields.contains_key(&slot) {
        fields.insert(slot.clone(), Value::Array(Vec::new()));
    }
    let items = match fields.get_mut(&slot) {
        Some(Value::Array(items)) => items,
        _ if verb == Verb::Remove => return Ok(()),
        _ => return Err(Refusal::bad("noTarget", format!("`{name}` has no values"))),
    };
    if verb == Verb::Remove && path.sub_attr.is_none() {
        items.retain(|item| !element_matches(&path.filter, item));
    } else {
        change_matching(items, verb, path, value)?;
    }
    prune(document, &path.attr);
    Ok(())
}

fn change_matching(items: &mut Vec<Value>, verb: Verb, path: &PatchValuePath, value: Value) -> Result<(), Refusal> {
    if verb == Verb::Add && !items.iter().any(|item| element_matches(&path.filter, item)) {
        // Nothing to add to: the filter says what the new value looks like.
        let Some((sub, text)) = element_equality(&path.filter) else {
            return Err(Refusal::bad("noTarget", "no value matches the filter"));
        };
        items.push(Value::Object(Map::from_iter([(sub.to_owned(), text.into())])));
    }
    let mut hit = false;
    for item in items.iter_mut().filter(|item| element_matches(&path.filter, item)) {
        hit = true;
        match (&path.sub_attr, item) {
            (Some(sub), Value::Object(fields)) => set(fields, verb, sub, value.clone()),
            (None, Value::Object(fields)) if verb == Verb::Add && value.is_object() => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    set(fields, Verb::Replace, name, value.clone());
                }
            }
            (None, item) => *item = value.clone(),
            (Some(_), _) => return Err(Refusal::bad("invalidPath", "the value has no sub-attributes")),
        }
    }
    if hit || verb == Verb::Remove {
        return Ok(());
    }
    Err(Refusal::bad("noTarget", "no value matches the filter"))
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
