//! What a PATCH does to the members of a group.

use serde_json::Value;

use super::PatchError;
use crate::scim::filter::{AttrExp, AttrPath, CompValue, CompareOp, PatchPath, ValFilter};
use crate::scim::message::PatchOp;
use crate::scim::path::member;

/// One change of the members, by their ids as they were written.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberEdit {
    /// These join; who is in it already stays.
    Add(Vec<String>),
    /// These leave; who is not in it does not matter.
    Remove(Vec<String>),
    /// Whoever matches leaves.
    RemoveMatching(ValFilter),
    /// These and nobody else.
    Replace(Vec<String>),
}

pub(super) fn is_members(path: &PatchPath) -> bool {
    match path {
        PatchPath::Attr(path) => names_members(path),
        PatchPath::Value(path) => names_members(&path.attr),
    }
}

pub(super) fn names_members(path: &AttrPath) -> bool {
    path.name.eq_ignore_ascii_case("members") && path.uri.as_deref().is_none_or(crate::scim::path::is_core_urn)
}

pub(super) fn read(op: PatchOp, path: &PatchPath, value: Option<Value>) -> Result<MemberEdit, PatchError> {
    match path {
        // "value", "$ref" and "type" of a member are immutable (RFC 7643 §8.7.1).
        PatchPath::Attr(path) if path.sub_attr.is_some() => Err(PatchError::mutability(path)),
        PatchPath::Attr(path) => read_list(op, path, value),
        PatchPath::Value(path) if op != PatchOp::Remove || path.sub_attr.is_some() => Err(PatchError::mutability(path)),
        PatchPath::Value(path) => Ok(match named(&path.filter) {
            Some(ids) => MemberEdit::Remove(ids),
            None => MemberEdit::RemoveMatching(path.filter.clone()),
        }),
    }
}

fn read_list(op: PatchOp, path: &AttrPath, value: Option<Value>) -> Result<MemberEdit, PatchError> {
    if value.is_none() && op != PatchOp::Remove {
        return Err(PatchError::value(path, "`add` and `replace` need a `value`"));
    }
    let ids =
        member_ids(value.unwrap_or(Value::Null)).ok_or_else(|| PatchError::value(path, "members with a `value`"))?;
    Ok(match op {
        PatchOp::Add => MemberEdit::Add(ids),
        PatchOp::Replace => MemberEdit::Replace(ids),
        // Without a value all of them go (§3.5.2.2); Entra names some in it.
        PatchOp::Remove if ids.is_empty() => MemberEdit::Replace(ids),
        PatchOp::Remove => MemberEdit::Remove(ids),
    })
}

/// The ids in a list of members, of `{"value": id}` or plain texts; one alone counts as a list of one.
pub fn member_ids(value: Value) -> Option<Vec<String>> {
    let items = match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        one => vec![one],
    };
    let id = |item: Value| match item {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Object(object) => {
            member(&object, "value").and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        }
        _ => None,
    };
    items.into_iter().map(id).collect()
}

/// The ids that `value eq "a"`, or several of them joined by `or`, name.
fn named(filter: &ValFilter) -> Option<Vec<String>> {
    match filter {
        ValFilter::Attr(AttrExp::Comparison(path, CompareOp::Eq, CompValue::Str(id)))
            if path.name.eq_ignore_ascii_case("value") && path.sub_attr.is_none() =>
        {
            Some(vec![id.clone()])
        }
        ValFilter::Or(any) => any.iter().map(named).collect::<Option<Vec<_>>>().map(|lists| lists.concat()),
        _ => None,
    }
}

/// Adds an edit; ten thousand single ones in a row are one.
pub(super) fn push(edits: &mut Vec<MemberEdit>, edit: MemberEdit) {
    match (edits.last_mut(), edit) {
        (Some(MemberEdit::Add(list)), MemberEdit::Add(more))
        | (Some(MemberEdit::Remove(list)), MemberEdit::Remove(more)) => list.extend(more),
        (_, edit) => edits.push(edit),
    }
}
