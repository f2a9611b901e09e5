//! Single values, lists of values, and what an operation does to them.

use serde_json::Value;

use crate::scim::filter::{AttrExp, CompValue, CompareOp, PatchValuePath, ValFilter, element_matches};
use crate::scim::message::PatchOp;
use crate::scim::normal::{conform, conform_one, is_unassigned};
use crate::scim::path::member;
use crate::scim::resource::Document;
use crate::scim::schema::{Attribute, AttributeType};

/// The key under which `name` stands, whatever its case, or `name` itself.
pub(super) fn key_of(document: &Document, name: &str) -> String {
    if document.contains_key(name) {
        return name.to_owned();
    }
    document.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned().unwrap_or_else(|| name.to_owned())
}

/// An attribute without a value is unassigned (RFC 7643 §2.5): what an operation emptied goes.
pub(super) fn prune(document: &mut Document, name: &str) {
    let key = key_of(document, name);
    if document.get(&key).is_some_and(is_unassigned) {
        document.shift_remove(&key);
    }
}

/// Performs an operation on a whole attribute.
pub(super) fn set(holder: &mut Document, op: PatchOp, attribute: Option<&Attribute>, name: &str, value: Value) {
    let key = key_of(holder, name);
    let listed = |value: &Value| matches!(value, Value::Array(_) | Value::Object(_));
    match (op, holder.get_mut(&key)) {
        (PatchOp::Remove, Some(Value::Array(items))) if listed(&value) => remove_listed(items, value),
        (PatchOp::Remove, _) => {
            holder.shift_remove(&key);
        }
        _ => put(holder, op, attribute, &key, value),
    }
    prune(holder, &key);
}

/// `add` and `replace` (§3.5.2.1, §3.5.2.3).
fn put(holder: &mut Document, op: PatchOp, attribute: Option<&Attribute>, key: &str, value: Value) {
    let value = match attribute {
        Some(attribute) => conform_keeping_nulls(value, attribute),
        None => value,
    };
    match (holder.get_mut(key), value) {
        (_, Value::Null) if op == PatchOp::Add => {}
        (Some(Value::Array(items)), new) if op == PatchOp::Add => append(items, new),
        // "Sub-attributes that are not specified SHALL be left unchanged."
        (Some(Value::Object(old)), Value::Object(new)) => merge(old, new, attribute),
        (_, Value::Object(mut new)) => {
            new.retain(|_, value| !is_unassigned(value));
            holder.insert(key.to_owned(), Value::Object(new));
        }
        (_, new) => {
            holder.insert(key.to_owned(), new);
        }
    }
}

/// As [`conform`], but a `null` inside an object stays to be seen: it clears.
fn conform_keeping_nulls(value: Value, attribute: &Attribute) -> Value {
    if attribute.multi_valued || attribute.kind != AttributeType::Complex {
        return conform(value, attribute);
    }
    let cleared: Vec<String> = match &value {
        Value::Object(object) => {
            object.iter().filter(|(_, value)| is_unassigned(value)).map(|(name, _)| name.clone()).collect()
        }
        _ => Vec::new(),
    };
    let mut value = conform(value, attribute);
    if let Value::Object(object) = &mut value {
        object.extend(cleared.into_iter().map(|name| (name, Value::Null)));
    }
    value
}

fn merge(old: &mut Document, new: Document, attribute: Option<&Attribute>) {
    for (name, value) in new {
        let found = attribute.and_then(|attribute| attribute.sub_attribute(&name));
        set(old, PatchOp::Replace, found, found.map_or(&name, |found| &found.name), value);
    }
}

/// Performs an operation on a sub-attribute: of the one value, or of every value of a list.
pub(super) fn set_sub(
    holder: &mut Document,
    op: PatchOp,
    attribute: Option<&Attribute>,
    name: &str,
    sub: &str,
    value: &Value,
) -> Result<(), &'static str> {
    let key = key_of(holder, name);
    let found = attribute.and_then(|attribute| attribute.sub_attribute(sub));
    let sub = found.map_or(sub, |found| found.name.as_str());
    if op != PatchOp::Remove && !holder.contains_key(&key) {
        let empty = Value::Object(Document::new());
        let many = attribute.is_some_and(|attribute| attribute.multi_valued);
        holder.insert(key.clone(), if many { Value::Array(vec![empty]) } else { empty });
    }
    match holder.get_mut(&key) {
        Some(Value::Object(object)) => set(object, op, found, sub, value.clone()),
        Some(Value::Array(items)) => {
            for object in items.iter_mut().filter_map(Value::as_object_mut) {
                set(object, op, found, sub, value.clone());
            }
            items.retain(|item| !is_unassigned(item));
        }
        Some(_) => return Err("an attribute that has sub-attributes"),
        None => {}
    }
    prune(holder, &key);
    Ok(())
}

/// Performs an operation on the values that a filter selects; false when it had to select one and did not.
pub(super) fn select(
    holder: &mut Document,
    op: PatchOp,
    attribute: Option<&Attribute>,
    name: &str,
    path: &PatchValuePath,
    value: &Value,
) -> bool {
    let key = key_of(holder, name);
    if op == PatchOp::Add && !holder.contains_key(&key) {
        holder.insert(key.clone(), Value::Array(Vec::new()));
    }
    let found = match holder.get_mut(&key) {
        Some(Value::Array(items)) => select_among(items, op, attribute, path, value),
        _ => op == PatchOp::Remove,
    };
    prune(holder, &key);
    found
}

fn select_among(
    items: &mut Vec<Value>,
    op: PatchOp,
    attribute: Option<&Attribute>,
    path: &PatchValuePath,
    value: &Value,
) -> bool {
    if op == PatchOp::Remove && path.sub_attr.is_none() {
        items.retain(|item| !element_matches(&path.filter, item, attribute));
        return true;
    }
    let matching = |items: &[Value]| -> Vec<usize> {
        let all = items.iter().enumerate();
        all.filter(|(_, item)| element_matches(&path.filter, item, attribute)).map(|(index, _)| index).collect()
    };
    let mut selected = matching(items);
    if selected.is_empty() && op == PatchOp::Add {
        // Nothing to add to, but the filter says what the new value looks like.
        if let Some(new) = described(&path.filter) {
            items.push(Value::Object(new));
            selected.push(items.len() - 1);
        }
    }
    for index in &selected {
        change_item(&mut items[*index], op, attribute, path.sub_attr.as_deref(), value);
    }
    keep_one_primary(items, &selected);
    items.retain(|item| !is_unassigned(item));
    op == PatchOp::Remove || !selected.is_empty()
}

fn change_item(item: &mut Value, op: PatchOp, attribute: Option<&Attribute>, sub: Option<&str>, value: &Value) {
    let conformed = || attribute.map_or_else(|| value.clone(), |attribute| conform_one(value.clone(), attribute));
    match (sub, &mut *item) {
        (Some(sub), Value::Object(object)) => {
            let found = attribute.and_then(|attribute| attribute.sub_attribute(sub));
            set(object, op, found, found.map_or(sub, |found| &found.name), value.clone());
        }
        (None, Value::Object(object)) if op == PatchOp::Add && value.is_object() => {
            if let Value::Object(new) = conformed() {
                merge(object, new, attribute);
            }
        }
        (None, item) => *item = conformed(),
        (Some(_), _) => {}
    }
}

/// `type eq "work" and primary eq true` as an object.
fn described(filter: &ValFilter) -> Option<Document> {
    match filter {
        ValFilter::Attr(AttrExp::Comparison(path, CompareOp::Eq, wanted)) => {
            let value = match wanted {
                CompValue::Str(text) => Value::from(text.as_str()),
                CompValue::Number(number) => Value::Number(number.clone()),
                CompValue::True => Value::Bool(true),
                CompValue::False => Value::Bool(false),
                CompValue::Null => return None,
            };
            Some(Document::from_iter([(path.name.clone(), value)]))
        }
        ValFilter::And(all) => {
            let parts = all.iter().map(described).collect::<Option<Vec<_>>>()?;
            Some(parts.into_iter().flatten().collect())
        }
        _ => None,
    }
}

fn remove_listed(items: &mut Vec<Value>, listed: Value) {
    let listed = match listed {
        Value::Array(list) => list,
        one => vec![one],
    };
    items.retain(|item| !listed.iter().any(|one| names(one, item)));
}

/// Whether `one` names `item`: it is equal, or each of its members is.
fn names(one: &Value, item: &Value) -> bool {
    match (one, item) {
        (Value::Object(one), Value::Object(item)) => {
            !one.is_empty() && one.iter().all(|(name, value)| member(item, name) == Some(value))
        }
        (Value::String(_), Value::Object(item)) => member(item, "value") == Some(one),
        _ => one == item,
    }
}

fn append(items: &mut Vec<Value>, new: Value) {
    let new = match new {
        Value::Array(list) => list,
        one => vec![one],
    };
    let mut touched = Vec::new();
    for item in new {
        match items.iter().position(|old| is_same(old, &item)) {
            Some(index) => {
                if let (Value::Object(old), Value::Object(item)) = (&mut items[index], item) {
                    merge(old, item, None);
                }
                touched.push(index);
            }
            None => {
                items.push(item);
                touched.push(items.len() - 1);
            }
        }
    }
    keep_one_primary(items, &touched);
}

/// Two values with one `value` and one `type` are the same (RFC 7643 §2.4).
fn is_same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(left), Value::Object(right)) => {
            let value = member(right, "value");
            old == new
                || value.is_some() && member(left, "value") == value && member(left, "type") == member(right, "type")
        }
        _ => old == new,
    }
}

/// "If `primary` is set to true, the server SHALL set the others to false" (§3.5.2): the last one set counts.
fn keep_one_primary(items: &mut [Value], touched: &[usize]) {
    let is_primary = |item: &Value| item.get("primary") == Some(&Value::Bool(true));
    let Some(chosen) = touched.iter().rev().find(|index| items.get(**index).is_some_and(is_primary)).copied() else {
        return;
    };
    for (index, item) in items.iter_mut().enumerate() {
        if let Some(primary) = item.get_mut("primary").filter(|_| index != chosen)
            && primary.as_bool() == Some(true)
        {
            *primary = Value::Bool(false);
        }
    }
}
