//! Brings a document that was sent into the shape that is stored, with the habits that bend or refuse it.

use scimfleet_core::ResourceKind;
use serde_json::{Map, Value};

use super::answer::Refusal;
use super::attributes::{get, key};
use super::behaviour::Behaviour;

/// A document that was sent, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) document: Map<String, Value>,
    pub(crate) members: Option<Vec<Value>>,
    pub(crate) password: Option<String>,
}

/// Takes a document apart and applies the habits of keeping.
pub(crate) fn take_apart(
    mut document: Map<String, Value>,
    kind: ResourceKind,
    behaviour: &Behaviour,
) -> Result<Incoming, Refusal> {
    document.retain(|_, value| !value.is_null());
    let mut take = |name: &str| {
        get(&document, name)?;
        let slot = key(&document, name);
        document.shift_remove(&slot)
    };
    // Read-only attributes are ignored (RFC 7644 §3.3).
    take("id");
    take("meta");
    let password = match kind {
        ResourceKind::User => {
            take("groups");
            take("password").and_then(|value| value.as_str().map(str::to_owned))
        }
        ResourceKind::Group => None,
    };
    let members = match kind {
        ResourceKind::Group => take("members").map(|value| match value {
            Value::Array(items) => items,
            one => vec![one],
        }),
        ResourceKind::User => None,
    };
    bend(&mut document, behaviour);
    check(&document, kind, behaviour)?;
    Ok(Incoming { document, members, password })
}

fn bend(document: &mut Map<String, Value>, behaviour: &Behaviour) {
    if let Some(Value::String(text)) = get(document, "active")
        && let Ok(flag) = text.to_ascii_lowercase().parse::<bool>()
    {
        let active = key(document, "active");
        document.insert(active, flag.into());
    }
    for path in &behaviour.attributes_dropped {
        visit(document, path, &mut |fields, slot| {
            fields.shift_remove(slot);
        });
    }
    for path in &behaviour.attributes_lower_cased {
        visit(document, path, &mut |fields, slot| {
            if let Some(Value::String(text)) = fields.get_mut(slot) {
                *text = text.to_lowercase();
            }
        });
    }
}

/// Calls `change` with every object that holds what `path` leads to, and the key there.
fn visit(fields: &mut Map<String, Value>, path: &str, change: &mut dyn FnMut(&mut Map<String, Value>, &str)) {
    let slot = key(fields, path);
    if fields.contains_key(&slot) {
        return change(fields, &slot);
    }
    let separator = if path.starts_with("urn:") { path.rsplit_once(':') } else { path.split_once('.') };
    let Some((outer, inner)) = separator else { return };
    let slot = key(fields, outer);
    match fields.get_mut(&slot) {
        Some(Value::Object(inner_fields)) => visit(inner_fields, inner, change),
        Some(Value::Array(items)) => {
            items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| visit(item, inner, change));
        }
        _ => {}
    }
}

fn check(document: &Map<String, Value>, kind: ResourceKind, behaviour: &Behaviour) -> Result<(), Refusal> {
    let naming = kind.naming_attribute();
    match get(document, naming) {
        Some(Value::String(name)) if !name.is_empty() => {}
        _ => return Err(Refusal::bad("invalidValue", format!("`{naming}` is required"))),
    }
    if kind == ResourceKind::User {
        check_user(document, behaviour)?;
    }
    let bounded: &[&str] = match behaviour.characters_refused.is_empty() {
        true => &[],
        false => &["userName", "displayName", "name"],
    };
    for name in bounded {
        if get(document, name).is_some_and(|value| contains_any(value, &behaviour.characters_refused)) {
            return Err(Refusal::bad("invalidValue", format!("`{name}` holds a character that is not allowed")));
        }
    }
    for name in &behaviour.single_valued {
        if get(document, name).and_then(Value::as_array).is_some_and(|items| items.len() > 1) {
            return Err(Refusal::bad("invalidValue", format!("`{name}` takes one value")));
        }
    }
    Ok(())
}

fn check_user(document: &Map<String, Value>, behaviour: &Behaviour) -> Result<(), Refusal> {
    for path in &behaviour.attributes_required {
        let found = path.split('.').try_fold(document, |fields, name| match get(fields, name) {
            Some(Value::Object(inner)) => Ok(inner),
            Some(_) => Err(true),
            None => Err(false),
        });
        if found == Err(false) {
            return Err(Refusal::bad("invalidValue", format!("`{path}` is required")));
        }
    }
    let length = get(document, "userName").and_then(Value::as_str).unwrap_or_default().chars().count();
    let max = behaviour.user_name_length_max;
    if max > 0 && length > max {
        return Err(Refusal::bad("invalidValue", format!("`userName` has {length} characters, at most {max}")));
    }
    Ok(())
}

fn contains_any(value: &Value, characters: &str) -> bool {
    match value {
        Value::String(text) => text.contains(|character| characters.contains(character)),
        Value::Object(fields) => fields.values().any(|value| contains_any(value, characters)),
        _ => false,
    }
}
