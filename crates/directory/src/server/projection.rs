//! Which attributes an answer holds (RFC 7644 §3.9).

use scimfleet_core::scim::Document;
use scimfleet_core::scim::path::AttributePath;
use scimfleet_core::scim::schema::SchemaSet;
use serde_json::Value;

/// In every answer, whatever is asked for (`returned: always`).
const ALWAYS: [&str; 2] = ["schemas", "id"];

/// `attributes` and `excludedAttributes`. Names that cannot be read name nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Projection {
    include: Option<Vec<AttributePath>>,
    exclude: Vec<AttributePath>,
}

/// How much of a value is meant.
enum Part<'p> {
    Nothing,
    Whole,
    Subs(Vec<&'p str>),
}

impl Projection {
    pub(super) fn new(attributes: Option<Vec<String>>, excluded: Option<Vec<String>>) -> Self {
        let paths = |names: Vec<String>| -> Vec<AttributePath> {
            names.iter().filter_map(|name| AttributePath::parse(name, SchemaSet::builtin()).ok()).collect()
        };
        let include = attributes.filter(|names| !names.is_empty()).map(paths);
        Self { include, exclude: excluded.map(paths).unwrap_or_default() }
    }

    /// Nothing but what is always there.
    pub(super) fn least() -> Self {
        Self { include: Some(Vec::new()), exclude: Vec::new() }
    }

    /// `attributes` was given.
    pub(super) fn asks_for_some(&self) -> bool {
        self.include.is_some()
    }

    /// Whether any of a core attribute is shown, so that it has to be read.
    pub(super) fn shows(&self, name: &str) -> bool {
        match &self.include {
            Some(paths) => !matches!(part(paths, None, name), Part::Nothing),
            None => !matches!(part(&self.exclude, None, name), Part::Whole),
        }
    }

    /// Takes away what is not shown.
    pub(super) fn apply(&self, document: Document) -> Document {
        match &self.include {
            Some(paths) => document.into_iter().filter_map(|(name, value)| keep(paths, name, value)).collect(),
            None if self.exclude.is_empty() => document,
            None => document.into_iter().filter_map(|(name, value)| drop_from(&self.exclude, name, value)).collect(),
        }
    }
}

/// What the paths mean of an attribute, of the core (`None`) or of an extension.
fn part<'p>(paths: &'p [AttributePath], extension: Option<&str>, name: &str) -> Part<'p> {
    let same = |path: &&AttributePath| {
        let there = match (path.extension(), extension) {
            (None, None) => true,
            (Some(left), Some(right)) => left.eq_ignore_ascii_case(right),
            _ => false,
        };
        there && path.attribute().is_some_and(|attribute| attribute.eq_ignore_ascii_case(name))
    };
    let mut subs = Vec::new();
    for path in paths.iter().filter(same) {
        match path.sub_attribute() {
            None => return Part::Whole,
            Some(sub) => subs.push(sub),
        }
    }
    if subs.is_empty() { Part::Nothing } else { Part::Subs(subs) }
}

fn of_extension<'p>(paths: &'p [AttributePath], urn: &str) -> impl Iterator<Item = &'p AttributePath> {
    paths.iter().filter(move |path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(urn)))
}

fn keep(paths: &[AttributePath], name: String, value: Value) -> Option<(String, Value)> {
    if ALWAYS.contains(&name.as_str()) || of_extension(paths, &name).any(|path| path.attribute().is_none()) {
        return Some((name, value));
    }
    match value {
        Value::Object(object) if of_extension(paths, &name).next().is_some() => {
            let kept: Document = object
                .into_iter()
                .filter_map(|(attribute, value)| {
                    let part = part(paths, Some(&name), &attribute);
                    narrow(value, part).map(|value| (attribute, value))
                })
                .collect();
            (!kept.is_empty()).then_some((name, Value::Object(kept)))
        }
        value => narrow(value, part(paths, None, &name)).map(|value| (name, value)),
    }
}

fn narrow(value: Value, part: Part<'_>) -> Option<Value> {
    let subs = match part {
        Part::Nothing => return None,
        Part::Whole => return Some(value),
        Part::Subs(subs) => subs,
    };
    let only = |mut object: Document| {
        object.retain(|name, _| subs.iter().any(|sub| sub.eq_ignore_ascii_case(name)));
        (!object.is_empty()).then_some(Value::Object(object))
    };
    match value {
        Value::Object(object) => only(object),
        Value::Array(items) => {
            let objects = items.into_iter().filter_map(|item| match item {
                Value::Object(object) => only(object),
                _ => None,
            });
            Some(objects.collect())
        }
        _ => None,
    }
}

fn drop_from(paths: &[AttributePath], name: String, value: Value) -> Option<(String, Value)> {
    if ALWAYS.contains(&name.as_str()) {
        return Some((name, value));
    }
    if of_extension(paths, &name).any(|path| path.attribute().is_none()) {
        return None;
    }
    match value {
        Value::Object(object) if of_extension(paths, &name).next().is_some() => {
            let kept = object.into_iter().filter_map(|(attribute, value)| {
                let part = part(paths, Some(&name), &attribute);
                without(value, part).map(|value| (attribute, value))
            });
            Some((name.clone(), Value::Object(kept.collect())))
        }
        value => without(value, part(paths, None, &name)).map(|value| (name, value)),
    }
}

fn without(value: Value, part: Part<'_>) -> Option<Value> {
    let subs = match part {
        Part::Nothing => return Some(value),
        Part::Whole => return None,
        Part::Subs(subs) => subs,
    };
    let less = |mut object: Document| {
        object.retain(|name, _| !subs.iter().any(|sub| sub.eq_ignore_ascii_case(name)));
        Value::Object(object)
    };
    Some(match value {
        Value::Object(object) => less(object),
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::Object(object) => less(object),
                other => other,
            })
            .collect(),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_asked_for_and_what_is_always_there() {
        const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let document = json!({
            "schemas": ["s"], "id": "1", "userName": "a", "name": {"givenName": "G", "familyName": "F"},
            "emails": [{"value": "v", "type": "t"}], URN: {"department": "d", "manager": {"value": "9", "$ref": "r"}},
        });
        let names = |list: &str| Some(list.split(',').map(str::to_owned).collect::<Vec<_>>());
        let cases = [
            (names("userName"), None, json!({"userName": "a"})),
            (
                names("NAME.givenname,emails.value"),
                None,
                json!({"name": {"givenName": "G"}, "emails": [{"value": "v"}]}),
            ),
            (names(&format!("{URN}:department")), None, json!({URN: {"department": "d"}})),
            (names(&format!("{URN}:manager.value")), None, json!({URN: {"manager": {"value": "9"}}})),
            (names("urn:ietf:params:scim:schemas:core:2.0:User:userName"), None, json!({"userName": "a"})),
            (names("nosuch"), None, json!({})),
            (None, names(&format!("id,name,emails.type,{URN}")), json!({"userName": "a", "emails": [{"value": "v"}]})),
        ];
        for (include, exclude, rest) in cases {
            let projection = Projection::new(include.clone(), exclude.clone());
            let shown = Value::Object(projection.apply(document.as_object().unwrap().clone()));
            let mut expected = json!({"schemas": ["s"], "id": "1"});
            expected.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            assert_eq!(shown, expected, "{include:?} {exclude:?}");
        }
    }
}
