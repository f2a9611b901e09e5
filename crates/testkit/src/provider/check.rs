//! Holds what is sent against RFC 7643 and RFC 7644. A violation is recorded, not refused: tests assert
//! that there is none.

use std::fmt;

use scim_v2::filter::PatchPath;
use scimfleet_core::ResourceKind;
use serde_json::{Map, Value};

use super::attributes::{self, Attribute, COMMON, Mutability, Type, find, get};
use super::behaviour::{Behaviour, OpCase, PatchPaths, Removal};

/// Something that a client must not send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The request's method.
    pub method: String,
    /// The request's path below the base URL.
    pub path: String,
    /// The section that is broken: `RFC 7644 §3.5.2`.
    pub rule: &'static str,
    /// What is wrong, without values.
    pub detail: String,
}

const PATCH_URN: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BULK_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// Rules that are broken, with the words to say so.
pub(crate) type Findings = Vec<(&'static str, String)>;

/// A resource in a POST or a PUT.
pub(crate) fn resource(kind: ResourceKind, body: &Map<String, Value>, creating: bool, habits: &Behaviour) -> Findings {
    let mut found = schemas(body, kind.schema_urn());
    if creating && get(body, "id").is_some() {
        found.push(("RFC 7643 §3.1", "a client does not choose `id`".to_owned()));
    }
    for (name, value) in body {
        if name.eq_ignore_ascii_case("id") && !creating {
            continue;
        }
        if name.starts_with("urn:") {
            let listed = get(body, "schemas")
                .and_then(Value::as_array)
                .is_some_and(|list| list.iter().filter_map(Value::as_str).any(|urn| urn.eq_ignore_ascii_case(name)));
            if !listed {
                found.push(("RFC 7643 §3", format!("extension `{name}` is not in `schemas`")));
            }
        }
        attribute(kind, name, value, habits, &mut found);
    }
    found
}

fn schemas(body: &Map<String, Value>, urn: &str) -> Findings {
    let listed = get(body, "schemas").and_then(Value::as_array);
    let named = listed.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(urn)));
    if named { Vec::new() } else { vec![("RFC 7643 §3", format!("`schemas` lacks `{urn}`"))] }
}

fn table(kind: ResourceKind) -> &'static [Attribute] {
    attributes::schema(kind.schema_urn()).unwrap_or_default()
}

/// One attribute of a resource, or an extension's object.
fn attribute(kind: ResourceKind, name: &str, value: &Value, habits: &Behaviour, found: &mut Findings) {
    if habits.extra_schemas.iter().any(|urn| urn.eq_ignore_ascii_case(name)) {
        return;
    }
    if name.starts_with("urn:") {
        let Some(definitions) = attributes::schema(name) else {
            return found.push(("RFC 7643 §3.3", format!("unknown schema `{name}`")));
        };
        for (sub, value) in value.as_object().into_iter().flatten() {
            match find(definitions, sub) {
                Some(definition) => shape(definition, Path::of(sub), value, habits, found),
                None => found.push(("RFC 7643 §3.3", format!("unknown attribute `{name}:{sub}`"))),
            }
        }
        return;
    }
    match find(table(kind), name).or_else(|| find(COMMON, name)) {
        Some(definition) => shape(definition, Path::of(name), value, habits, found),
        None => found.push(("RFC 7643 §3.3", format!("unknown attribute `{name}`"))),
    }
}

/// Where a value stands; it is put into words only when something is wrong there.
#[derive(Clone, Copy)]
struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    name: &'a str,
}

impl<'a> Path<'a> {
    fn of(name: &'a str) -> Self {
        Self { outer: None, name }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            write!(out, "{outer}.")?;
        }
        out.write_str(self.name)
    }
}

/// Mutability, number and type of a value.
fn shape(definition: &Attribute, path: Path<'_>, value: &Value, habits: &Behaviour, found: &mut Findings) {
    if definition.mutability == Mutability::ReadOnly {
        return found.push(("RFC 7643 §7", format!("`{path}` is read-only")));
    }
    match value {
        Value::Null => {}
        Value::Array(items) if definition.many => {
            items.iter().for_each(|item| single(definition, path, item, habits, found));
            let primaries = items.iter().filter(|item| item.get("primary") == Some(&Value::Bool(true))).count();
            if primaries > 1 {
                found.push(("RFC 7643 §2.4", format!("`{path}` has {primaries} primary values")));
            }
        }
        _ if definition.many => found.push(("RFC 7643 §2.4", format!("`{path}` is a list"))),
        value => single(definition, path, value, habits, found),
    }
}

fn single(definition: &Attribute, path: Path<'_>, value: &Value, habits: &Behaviour, found: &mut Findings) {
    let fits = match definition.data_type {
        Type::Text | Type::Reference | Type::Binary => value.is_string(),
        Type::Flag => value.is_boolean() || habits.booleans_as_text && value.is_string(),
        Type::Complex => value.is_object(),
    };
    if !fits && !value.is_null() {
        return found.push(("RFC 7643 §2.3", format!("`{path}` has the wrong type")));
    }
    for (sub, value) in value.as_object().into_iter().flatten() {
        match find(definition.subs, sub) {
            Some(inner) => shape(inner, Path { outer: Some(&path), name: sub }, value, habits, found),
            None => found.push(("RFC 7643 §3.3", format!("unknown attribute `{path}.{sub}`"))),
        }
    }
}

/// A PATCH body (RFC 7644 §3.5.2).
pub(crate) fn patch(kind: ResourceKind, body: &Map<String, Value>, habits: &Behaviour) -> Findings {
    let mut found = schemas(body, PATCH_URN);
    let operations = get(body, "Operations").and_then(Value::as_array);
    if operations.is_none_or(Vec::is_empty) {
        found.push(("RFC 7644 §3.5.2", "`Operations` is missing or empty".to_owned()));
    }
    for operation in operations.into_iter().flatten() {
        patch_operation(kind, operation, habits, &mut found);
    }
    found
}

fn patch_operation(kind: ResourceKind, operation: &Value, habits: &Behaviour, found: &mut Findings) {
    const RULE: &str = "RFC 7644 §3.5.2";
    let op = operation.get("op").and_then(Value::as_str).unwrap_or_default();
    let verb = op.to_ascii_lowercase();
    if !["add", "replace", "remove"].contains(&verb.as_str()) {
        return found.push((RULE, format!("`op` is `{op}`")));
    }
    if habits.op_case != OpCase::Capitalised && op != verb {
        found.push((RULE, format!("`op` is written `{op}`")));
    }
    let value = operation.get("value");
    if verb != "remove" && value.is_none() {
        found.push((RULE, format!("a {verb} lacks `value`")));
    }
    let Some(path) = operation.get("path").and_then(Value::as_str) else {
        if verb == "remove" || habits.patch_paths == PatchPaths::Required {
            found.push((RULE, format!("a {verb} lacks `path`")));
        }
        for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
            attribute(kind, name, value, habits, found);
        }
        return;
    };
    if verb == "remove" && value.is_some() && habits.member_removal != Removal::ValueList {
        found.push(("RFC 7644 §3.5.2.2", "a remove has a `value`".to_owned()));
    }
    match path.parse::<PatchPath>() {
        Ok(parsed) => patch_target(kind, &parsed, value, habits, found),
        Err(_) => found.push((RULE, "`path` cannot be read".to_owned())),
    }
}

/// The attribute that a path leads to exists, may be written and gets a value that fits.
fn patch_target(kind: ResourceKind, path: &PatchPath, value: Option<&Value>, habits: &Behaviour, found: &mut Findings) {
    let (attr, sub, element) = match path {
        PatchPath::Attr(attr) => (attr, attr.sub_attr.as_ref(), false),
        PatchPath::Value(path) => (&path.attr, path.sub_attr.as_ref(), true),
    };
    let whole = attr.uri.as_ref().map(|uri| format!("{uri}:{}", attr.name));
    let extra = |urn: &str| habits.extra_schemas.iter().any(|known| known.eq_ignore_ascii_case(urn));
    if let Some(urn) = whole.as_deref().filter(|urn| attributes::schema(urn).is_some() || extra(urn)) {
        return attribute(kind, urn, value.unwrap_or(&Value::Null), habits, found);
    }
    if attr.uri.as_deref().is_some_and(extra) {
        return;
    }
    let definitions = attr.uri.as_deref().map_or(Some(table(kind)), attributes::schema).unwrap_or_default();
    let Some(definition) = find(definitions, &attr.name).or_else(|| find(COMMON, &attr.name)) else {
        return found.push(("RFC 7643 §3.3", format!("unknown attribute `{}`", attr.name)));
    };
    let target = match sub {
        Some(sub) => find(definition.subs, sub),
        None => Some(definition),
    };
    let Some(target) = target else {
        return found.push(("RFC 7643 §3.3", format!("unknown attribute `{}.{}`", attr.name, sub.map_or("", |s| s))));
    };
    if definition.mutability == Mutability::ReadOnly {
        return found.push(("RFC 7643 §7", format!("`{}` is read-only", attr.name)));
    }
    let name = target.name;
    match value {
        None => {}
        // Servers take a single value for an added or replaced list; the RFC's own examples do so.
        Some(value) if element || !value.is_array() => single(target, Path::of(name), value, habits, found),
        Some(value) => shape(target, Path::of(name), value, habits, found),
    }
}

/// A bulk request's own rules (RFC 7644 §3.7); its operations' data are checked one by one.
pub(crate) fn bulk(body: &Map<String, Value>, habits: &Behaviour) -> Findings {
    let mut found = schemas(body, BULK_URN);
    for operation in get(body, "Operations").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        let (method, path) = (text("method").unwrap_or_default(), text("path").unwrap_or_default());
        if method == "POST" && text("bulkId").is_none() {
            found.push(("RFC 7644 §3.7", "a POST lacks `bulkId`".to_owned()));
        }
        let kind = if path.starts_with("/Groups") { ResourceKind::Group } else { ResourceKind::User };
        match (method, operation.get("data").and_then(Value::as_object)) {
            ("POST", Some(data)) => found.extend(resource(kind, data, true, habits)),
            ("PUT", Some(data)) => found.extend(resource(kind, data, false, habits)),
            ("PATCH", Some(data)) => found.extend(patch(kind, data, habits)),
            ("DELETE", None) => {}
            (method, _) => found.push(("RFC 7644 §3.7", format!("`{method}` with the wrong `data`"))),
        }
    }
    found
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
