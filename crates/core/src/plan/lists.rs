//! Values of multi-valued attributes, of which some are ours and some are others' (R23). Ours are added and
//! removed; what others added stays. Where a provider cannot be told which value to take out, its list is
//! read, merged and written.

use serde_json::Value;

use super::change::Change;
use super::digest::same;
use crate::profile::{MultiValued, Profile};
use crate::scim::Document;
use crate::scim::message::{PatchOp, PatchOperation};
use crate::scim::path::{is_urn, member};
use crate::scim::resource::fold;

/// Whether what the provider shows must be read before these changes can be sent by PATCH.
pub fn must_be_read(changes: &[Change], profile: &Profile) -> bool {
    changes.iter().any(|change| {
        list_of(change, profile).is_some_and(|list| !list.removed().is_empty() && list.removals(profile).is_none())
    })
}

/// Whether what the provider shows must be read before `document` can be sent by PUT.
pub fn must_be_read_for_put(document: &Document, profile: &Profile) -> bool {
    lists_in(document).any(|(path, _)| is_shared(&path, profile))
}

/// The operations for one change of a multi-valued attribute; `None` for every other change. `shown`: what
/// the provider holds, where it was read.
pub(super) fn operations(change: &Change, profile: &Profile, shown: Option<&Document>) -> Option<Vec<PatchOperation>> {
    let list = list_of(change, profile)?;
    let add = |items: Vec<Value>| PatchOperation {
        op: PatchOp::Add,
        path: Some(change.path.clone()),
        value: Some(Value::Array(items)),
    };
    let (added, removed) = (list.added(), list.removed());
    if removed.is_empty() {
        return Some(vec![add(added)]);
    }
    if let Some(mut operations) = list.removals(profile) {
        operations.extend((!added.is_empty()).then(|| add(added)));
        return Some(operations);
    }
    let there = shown.and_then(|shown| at(shown, &change.path)).and_then(Value::as_array);
    let merged = merged(list.from, list.to, there.map_or(&[], Vec::as_slice));
    Some(vec![if merged.is_empty() {
        PatchOperation { op: PatchOp::Remove, path: Some(change.path.clone()), value: None }
    } else {
        PatchOperation { op: PatchOp::Replace, path: Some(change.path.clone()), value: Some(Value::Array(merged)) }
    }])
}

/// The body of a PUT: `document`, and what others added to its lists and to those that we sent before.
pub fn with_others(document: &Document, sent: &Document, shown: &Document, profile: &Profile) -> Document {
    let mut body = document.clone();
    let paths: Vec<String> = lists_in(document).chain(lists_in(sent)).map(|(path, _)| path).collect();
    for path in paths {
        // A provider that shows a list where we send something else does not change what we send.
        let is_list = at(document, &path).is_none_or(Value::is_array);
        let there = at(shown, &path).and_then(Value::as_array);
        let Some(there) = there.filter(|_| is_list && is_shared(&path, profile)) else { continue };
        let items = |document| at(document, &path).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let merged = merged(items(sent), items(document), there);
        put(&mut body, &path, merged);
    }
    body
}

/// What an account that is being taken over should hold at `path`: `None` when it shows all of it already.
pub(super) fn adopted(path: &str, desired: &Value, shown: Option<&Value>, profile: &Profile) -> Option<Value> {
    let (Value::Array(desired), Some(Value::Array(shown))) = (desired, shown) else { return Some(desired.clone()) };
    if !is_shared(path, profile) {
        return Some(Value::Array(desired.clone()));
    }
    let is_there = |item: &Value| shown.iter().any(|known| holds(known, item));
    if desired.iter().all(is_there) { None } else { Some(Value::Array(merged(&[], desired, shown))) }
}

/// Whether `shown` says everything that `wanted` says, and perhaps more.
fn holds(shown: &Value, wanted: &Value) -> bool {
    match (shown, wanted) {
        (Value::Object(shown), Value::Object(wanted)) => wanted.iter().all(|(name, value)| {
            let known = member(shown, name);
            known.is_some_and(|known| same(known, value)) || known.is_none() && value == &Value::Bool(false)
        }),
        (shown, wanted) => same(shown, wanted),
    }
}

/// Our values, then those that are there and neither ours nor meant by ours.
fn merged(before: &[Value], after: &[Value], shown: &[Value]) -> Vec<Value> {
    let mut others: Vec<&Value> = shown.iter().collect();
    let mut take = |fits: &dyn Fn(&Value) -> bool| {
        let found = others.iter().position(|other| fits(other));
        found.map(|index| others.remove(index)).is_some()
    };
    let rewritten: Vec<&Value> = before.iter().filter(|item| !take(&|other| is_same_value(other, item))).collect();
    for item in after {
        take(&|other| is_same_value(other, item));
    }
    // A provider that rewrites values (telephone numbers above all) shows ours in another spelling.
    for item in rewritten {
        take(&|other| is_same_type(other, item));
    }
    let ours_is_primary = after.iter().any(is_primary);
    let others = others.into_iter().cloned().map(|mut other| {
        if ours_is_primary && is_primary(&other) {
            other["primary"] = Value::Bool(false);
        }
        other
    });
    after.iter().cloned().chain(others).collect()
}

fn is_primary(item: &Value) -> bool {
    item.get("primary") == Some(&Value::Bool(true))
}

fn is_same_value(one: &Value, other: &Value) -> bool {
    let text = |item: &Value| item.as_object().and_then(|item| member(item, "value")?.as_str().map(fold));
    match (text(one), text(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => same(one, other),
        _ => false,
    }
}

fn is_same_type(one: &Value, other: &Value) -> bool {
    let text = |item: &Value| item.as_object().and_then(|item| member(item, "type")?.as_str().map(fold));
    one.is_object() && other.is_object() && text(one) == text(other)
}

/// A change from one list of values to another.
struct List<'a> {
    path: &'a str,
    from: &'a [Value],
    to: &'a [Value],
}

fn list_of<'a>(change: &'a Change, profile: &Profile) -> Option<List<'a>> {
    let items = |value: &'a Option<Value>| match value {
        Some(Value::Array(items)) => Some(items.as_slice()),
        None | Some(Value::Null) => Some(&[][..]),
        Some(_) => None,
    };
    let is_list = |value: &Option<Value>| matches!(value, Some(Value::Array(_)));
    let list = List { path: &change.path, from: items(&change.from)?, to: items(&change.to)? };
    ((is_list(&change.from) || is_list(&change.to)) && is_shared(&change.path, profile)).then_some(list)
}

fn is_shared(path: &str, profile: &Profile) -> bool {
    profile.multi_valued == MultiValued::Merge
        && path != "schemas"
        && path != "members"
        && !profile.single_valued.iter().any(|name| name.eq_ignore_ascii_case(path))
}

impl List<'_> {
    fn added(&self) -> Vec<Value> {
        self.to.iter().filter(|item| !self.from.iter().any(|known| same(known, item))).cloned().collect()
    }

    fn removed(&self) -> Vec<&Value> {
        self.from.iter().filter(|item| !self.to.iter().any(|known| same(known, item))).collect()
    }

    /// A removal for each value that goes, where the provider and the values allow to name it.
    fn removals(&self, profile: &Profile) -> Option<Vec<PatchOperation>> {
        let value = |item: &Value| item.get("value").and_then(Value::as_str).map(str::to_owned);
        let count = |text: &str| self.from.iter().filter(|item| value(item).as_deref() == Some(text)).count();
        let removed = self.removed();
        let values: Vec<String> = removed.iter().filter_map(|item| value(item)).collect();
        let is_plain = profile.value_paths && !self.path.contains(['.', ':']);
        if !is_plain || values.len() != removed.len() || values.iter().any(|text| count(text) != 1) {
            return None;
        }
        let removal = |text: String| PatchOperation {
            op: PatchOp::Remove,
            path: Some(format!("{}[value eq {}]", self.path, Value::from(text))),
            value: None,
        };
        Some(values.into_iter().map(removal).collect())
    }
}

/// The lists of a document by their paths, those of extensions included.
fn lists_in(document: &Document) -> impl Iterator<Item = (String, &Vec<Value>)> {
    document.iter().flat_map(|(name, value)| match value {
        Value::Array(items) => vec![(name.clone(), items)],
        Value::Object(extension) if is_urn(name) => extension
            .iter()
            .filter_map(|(attribute, value)| Some((format!("{name}:{attribute}"), value.as_array()?)))
            .collect(),
        _ => Vec::new(),
    })
}

fn at<'d>(document: &'d Document, path: &str) -> Option<&'d Value> {
    match path.rsplit_once(':') {
        Some((urn, name)) => member(member(document, urn)?.as_object()?, name),
        None => member(document, path),
    }
}

fn put(document: &mut Document, path: &str, items: Vec<Value>) {
    let (holder, name) = match path.rsplit_once(':') {
        Some((urn, name)) => {
            let extension = document.entry(urn).or_insert_with(|| Value::Object(Document::new()));
            let Some(extension) = extension.as_object_mut() else { return };
            (extension, name)
        }
        None => (document, path),
    };
    if items.is_empty() {
        holder.shift_remove(name);
    } else {
        holder.insert(name.to_owned(), Value::Array(items));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items(json: Value) -> Vec<Value> {
        json.as_array().unwrap().clone()
    }

    fn object(json: Value) -> Document {
        json.as_object().unwrap().clone()
    }

    fn change(from: Value, to: Value) -> Change {
        let some = |value: Value| Some(value).filter(|value| !value.is_null());
        Change { path: "emails".to_owned(), from: some(from), to: some(to) }
    }

    #[test]
    fn values_of_others_survive_and_ours_go() {
        let cases = [
            // Ours changes its value; theirs stays.
            (
                json!([{"value": "a"}]),
                json!([{"value": "b"}]),
                json!([{"value": "a"}, {"value": "x"}]),
                json!([{"value": "b"}, {"value": "x"}]),
            ),
            // Rewritten in case, and extended by the provider.
            (
                json!([{"value": "A@x", "type": "work"}]),
                json!([]),
                json!([{"value": "a@X", "type": "work", "display": "d"}]),
                json!([]),
            ),
            // Rewritten beyond recognition: the type tells.
            (
                json!([{"value": "+49 30 1", "type": "work"}]),
                json!([{"value": "+49 30 2", "type": "work"}]),
                json!([{"value": "+49301", "type": "work"}]),
                json!([{"value": "+49 30 2", "type": "work"}]),
            ),
            // A second one of the same type is theirs.
            (
                json!([{"value": "a", "type": "work"}]),
                json!([{"value": "b", "type": "work"}]),
                json!([{"value": "a", "type": "work"}, {"value": "c", "type": "work"}]),
                json!([{"value": "b", "type": "work"}, {"value": "c", "type": "work"}]),
            ),
            // Only one may be primary.
            (
                json!([]),
                json!([{"value": "b", "primary": true}]),
                json!([{"value": "x", "primary": true}]),
                json!([{"value": "b", "primary": true}, {"value": "x", "primary": false}]),
            ),
            // What others added before us is not added twice.
            (json!([]), json!([{"value": "b"}]), json!([{"value": "B"}]), json!([{"value": "b"}])),
        ];
        for (before, after, shown, expected) in cases {
            let found = merged(&items(before.clone()), &items(after.clone()), &items(shown.clone()));
            assert_eq!(Value::Array(found), expected, "{before} {after} {shown}");
        }
    }

    #[test]
    fn a_patch_adds_names_or_merges() {
        let plain = Profile::default();
        let paths = Profile { value_paths: true, ..Profile::default() };
        let replace = Profile { multi_valued: MultiValued::Replace, ..Profile::default() };
        let single = Profile { single_valued: vec!["emails".to_owned()], ..Profile::default() };
        let more = change(json!([{"value": "a"}]), json!([{"value": "a"}, {"value": "b"}]));
        let other = change(json!([{"value": "a"}]), json!([{"value": "b"}]));
        let none = change(json!([{"value": "a"}]), Value::Null);
        let shown = object(json!({"emails": [{"value": "a"}, {"value": "x"}]}));
        let cases = [
            (&plain, &more, json!([{"op": "add", "path": "emails", "value": [{"value": "b"}]}])),
            (&plain, &other, json!([{"op": "replace", "path": "emails", "value": [{"value": "b"}, {"value": "x"}]}])),
            (&plain, &none, json!([{"op": "replace", "path": "emails", "value": [{"value": "x"}]}])),
            (
                &paths,
                &other,
                json!([{"op": "remove", "path": "emails[value eq \"a\"]"},
                {"op": "add", "path": "emails", "value": [{"value": "b"}]}]),
            ),
            (&paths, &none, json!([{"op": "remove", "path": "emails[value eq \"a\"]"}])),
            (&replace, &other, Value::Null),
            (&single, &other, Value::Null),
        ];
        for (profile, change, expected) in cases {
            let found = serde_json::to_value(operations(change, profile, Some(&shown))).unwrap();
            assert_eq!(found, expected, "{change:?}");
        }
        assert!(must_be_read(std::slice::from_ref(&other), &plain));
        for (profile, change) in [(&plain, &more), (&paths, &other), (&replace, &other), (&single, &other)] {
            assert!(!must_be_read(std::slice::from_ref(change), profile), "{change:?}");
        }
    }

    #[test]
    fn a_put_carries_what_others_added() {
        let urn = "urn:x:y";
        let sent = object(json!({"emails": [{"value": "a"}], "phoneNumbers": [{"value": "1"}]}));
        let document = object(json!({"userName": "u", "emails": [{"value": "b"}]}));
        let shown = object(json!({"userName": "u", "nickName": "n", "emails": [{"value": "a"}, {"value": "x"}],
            "phoneNumbers": [{"value": "1"}, {"value": "2"}], urn: {"tags": ["t"]}}));
        let body = with_others(&document, &sent, &shown, &Profile::default());
        let expected =
            json!({"userName": "u", "emails": [{"value": "b"}, {"value": "x"}], "phoneNumbers": [{"value": "2"}]});
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn an_adopted_account_keeps_its_values_and_gets_ours() {
        let profile = Profile::default();
        let shown = json!([{"value": "a", "type": "work", "display": "a"}, {"value": "x"}]);
        let has = json!([{"value": "a", "type": "work", "primary": false}]);
        assert_eq!(adopted("emails", &has, Some(&shown), &profile), None);
        let lacks = json!([{"value": "a", "type": "home"}]);
        let expected = json!([{"value": "a", "type": "home"}, {"value": "x"}]);
        assert_eq!(adopted("emails", &lacks, Some(&shown), &profile), Some(expected));
    }
}
