//! Changes of a group's members, kept apart from its document so that one member costs the same in a
//! group of ten and of fifty thousand.

use scim_v2::filter::{PatchPath, ValFilter};
use scimfleet_core::ResourceKind;
use serde_json::{Map, Value};

use super::answer::Refusal;
use super::attributes::key;
use super::behaviour::{Behaviour, Removal, UnknownMembers};
use super::filter::element_equality;
use super::patch::{Operation, Verb};
use super::storage::Storage;

/// One change of the members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Edit {
    Add(Vec<Value>),
    Remove(Vec<String>),
    Replace(Vec<Value>),
}

impl Edit {
    fn len(&self) -> usize {
        match self {
            Self::Add(list) | Self::Replace(list) => list.len(),
            Self::Remove(list) => list.len(),
        }
    }
}

/// Takes the changes of members out of `operations`. `None`: one of them does something to members that
/// only works on the whole document.
pub(crate) fn split(operations: &[Operation]) -> Option<(Vec<Edit>, Vec<Operation>)> {
    let (mut edits, mut rest) = (Vec::new(), Vec::new());
    for operation in operations {
        match &operation.path {
            None => split_pathless(operation, &mut edits, &mut rest),
            Some(PatchPath::Attr(path)) if path.name.eq_ignore_ascii_case("members") => {
                if path.sub_attr.is_some() {
                    return None;
                }
                edits.push(edit_of(operation.verb, operation.value.as_ref()));
            }
            Some(PatchPath::Value(path)) if path.attr.name.eq_ignore_ascii_case("members") => {
                if operation.verb != Verb::Remove || path.sub_attr.is_some() {
                    return None;
                }
                edits.push(Edit::Remove(named_members(&path.filter)?));
            }
            Some(_) => rest.push(operation.clone()),
        }
    }
    Some((edits, rest))
}

fn split_pathless(operation: &Operation, edits: &mut Vec<Edit>, rest: &mut Vec<Operation>) {
    let mut operation = operation.clone();
    if let Some(Value::Object(fields)) = operation.value.as_mut() {
        let slot = key(fields, "members");
        if let Some(members) = fields.shift_remove(&slot) {
            edits.push(edit_of(operation.verb, Some(&members)));
            if fields.is_empty() {
                return;
            }
        }
    }
    rest.push(operation);
}

fn edit_of(verb: Verb, value: Option<&Value>) -> Edit {
    let list = match value {
        Some(Value::Array(items)) => items.clone(),
        None | Some(Value::Null) => Vec::new(),
        Some(one) => vec![one.clone()],
    };
    let named = |item: &Value| item.get("value").unwrap_or(item).as_str().map(str::to_owned);
    match verb {
        Verb::Add => Edit::Add(list),
        Verb::Replace => Edit::Replace(list),
        Verb::Remove if list.is_empty() => Edit::Replace(list),
        Verb::Remove => Edit::Remove(list.iter().filter_map(named).collect()),
    }
}

/// The members that `value eq "a"` or `value eq "a" or value eq "b"` names.
fn named_members(filter: &ValFilter) -> Option<Vec<String>> {
    if let ValFilter::Or(any) = filter {
        let lists: Option<Vec<_>> = any.iter().map(named_members).collect();
        return lists.map(|lists| lists.concat());
    }
    element_equality(filter)
        .filter(|(name, _)| name.eq_ignore_ascii_case("value"))
        .map(|(_, value)| vec![value.to_owned()])
}

/// Whether this provider understands the PATCH as it is written.
pub(crate) fn check_habits(operations: &[Operation], edits: &[Edit], behaviour: &Behaviour) -> Result<(), Refusal> {
    let max = behaviour.members_per_patch_max;
    let touched: usize = edits.iter().map(Edit::len).sum();
    if max > 0 && touched > max {
        return Err(Refusal::new(400, Some("tooMany"), format!("{touched} members in one PATCH, at most {max}")));
    }
    let removed: usize = edits.iter().filter(|edit| matches!(edit, Edit::Remove(_))).map(Edit::len).sum();
    let max = behaviour.members_removed_per_patch_max;
    if max > 0 && removed > max {
        return Err(Refusal::new(
            400,
            Some("tooMany"),
            format!("{removed} members removed in one PATCH, at most {max}"),
        ));
    }
    if !behaviour.members_replace && edits.iter().any(|edit| matches!(edit, Edit::Replace(_))) {
        return Err(Refusal::bad("invalidValue", "members can only be added and removed one by one"));
    }
    for operation in operations.iter().filter(|operation| operation.verb == Verb::Remove) {
        let refused = match (&operation.path, behaviour.member_removal) {
            (Some(PatchPath::Value(path)), Removal::ValueList) => path.attr.name.eq_ignore_ascii_case("members"),
            (Some(PatchPath::Attr(path)), Removal::ValuePath) => {
                path.name.eq_ignore_ascii_case("members") && operation.value.is_some()
            }
            _ => false,
        };
        if refused {
            return Err(Refusal::bad("invalidPath", "members are not removed in this way here"));
        }
    }
    Ok(())
}

/// Checks every member that `edits` would add, and that those to be removed are there where that counts.
pub(crate) fn admit(
    edits: Vec<Edit>,
    group: Option<&str>,
    storage: &Storage,
    behaviour: &Behaviour,
) -> Result<Vec<Edit>, Refusal> {
    let admit_all = |list: Vec<Value>| -> Result<Vec<Value>, Refusal> {
        list.into_iter().filter_map(|member| admit_one(member, storage, behaviour).transpose()).collect()
    };
    let is_member = |value: &String| {
        group
            .and_then(|id| storage.table(ResourceKind::Group).get(id))
            .is_some_and(|stored| stored.members.contains(value))
    };
    edits
        .into_iter()
        .map(|edit| match edit {
            Edit::Add(list) => admit_all(list).map(Edit::Add),
            Edit::Replace(list) => admit_all(list).map(Edit::Replace),
            Edit::Remove(list) if behaviour.removing_non_member_is_404 && !list.iter().all(is_member) => {
                Err(Refusal::not_found("member"))
            }
            edit => Ok(edit),
        })
        .collect()
}

fn admit_one(member: Value, storage: &Storage, behaviour: &Behaviour) -> Result<Option<Value>, Refusal> {
    let member = match member {
        Value::String(value) => Value::Object(Map::from_iter([("value".to_owned(), Value::String(value))])),
        other => other,
    };
    let Some(value) = member.get("value").and_then(Value::as_str) else {
        return Err(Refusal::bad("invalidValue", "a member needs a `value`"));
    };
    let group = storage.table(ResourceKind::Group).contains(value);
    if group && !behaviour.nested_groups {
        return Err(Refusal::bad("invalidValue", "groups cannot be members"));
    }
    let wanted = behaviour.member_type_required.as_deref();
    if !group && wanted.is_some() && member.get("type").and_then(Value::as_str) != wanted {
        return Err(Refusal::bad("invalidValue", "a member needs its `type`"));
    }
    if group || storage.table(ResourceKind::User).contains(value) {
        return Ok(Some(member));
    }
    match behaviour.unknown_members {
        UnknownMembers::Accepted => Ok(Some(member)),
        UnknownMembers::Dropped => Ok(None),
        UnknownMembers::Refused => Err(Refusal::bad("invalidValue", format!("member `{value}` does not exist"))),
    }
}

/// Carries out what was admitted.
pub(crate) fn perform(edits: Vec<Edit>, group: &str, storage: &mut Storage) {
    for edit in edits {
        match edit {
            Edit::Add(list) => list.into_iter().for_each(|member| storage.add_member(group, member)),
            Edit::Remove(list) => list.iter().for_each(|member| storage.remove_member(group, member)),
            Edit::Replace(list) => {
                storage.clear_members(group);
                list.into_iter().for_each(|member| storage.add_member(group, member));
            }
        }
    }
}
