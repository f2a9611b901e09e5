//! Making a document fit what a provider takes, and telling what cannot be made to fit.

use serde_json::Value;

use super::Profile;
use crate::scim::path::AttributePath;
use crate::scim::schema::SchemaSet;
use crate::scim::validate::{Rule, ValueKind, Violation};
use crate::scim::{Document, ResourceKind};

/// Takes out of `document` what the profile says the provider does not take, and lists what it demands and
/// the document lacks. Nothing is shortened or replaced: a name that does not fit is the operator's to mend.
pub fn shape(kind: ResourceKind, document: &mut Document, profile: &Profile, schemas: &SchemaSet) -> Vec<Violation> {
    for path in &profile.drop_attributes {
        if let Some(path) = parse(path, schemas) {
            path.remove(document);
        }
    }
    if kind == ResourceKind::Group && !profile.group_attributes.is_empty() {
        let keeps = |name: &str| {
            name == "schemas" || profile.group_attributes.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        document.retain(|name, _| keeps(name));
    }
    for name in &profile.single_valued {
        if let Some(path) = parse(name, schemas)
            && let Some(Value::Array(items)) = path.get(document)
            && items.len() > 1
        {
            let one = items.iter().find(|item| item.get("primary") == Some(&Value::Bool(true))).or(items.first());
            let one = Value::Array(one.cloned().into_iter().collect());
            // The attribute is there, so it can be set.
            let _ = path.set(document, one);
        }
    }
    demands(kind, document, profile, schemas)
}

fn parse(path: &str, schemas: &SchemaSet) -> Option<AttributePath> {
    AttributePath::parse(path, schemas).ok()
}

fn demands(kind: ResourceKind, document: &Document, profile: &Profile, schemas: &SchemaSet) -> Vec<Violation> {
    let text = |path: &str| parse(path, schemas).and_then(|path| path.get(document).and_then(Value::as_str));
    let violation = |path: &str, rule| Violation { path: path.to_owned(), rule, value_kind: ValueKind::String };
    let mut violations = Vec::new();
    if kind == ResourceKind::User {
        for path in &profile.attributes_required {
            let value = parse(path, schemas).and_then(|path| path.get(document));
            if value.is_none_or(|value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())) {
                let value_kind = value.map_or(ValueKind::Absent, ValueKind::of);
                violations.push(Violation { path: path.clone(), rule: Rule::ProviderRequired, value_kind });
            }
        }
    }
    for (path, max) in &profile.length_max {
        if text(path).is_some_and(|text| text.chars().count() > usize::try_from(*max).unwrap_or(usize::MAX)) {
            violations.push(violation(path, Rule::ProviderLength));
        }
    }
    for (path, refused) in &profile.characters_refused {
        if text(path).is_some_and(|text| text.contains(|letter| refused.contains(letter))) {
            violations.push(violation(path, Rule::ProviderCharacters));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shaped(kind: ResourceKind, profile: Value, document: Value) -> (Value, Vec<String>) {
        let profile: Profile = serde_json::from_value(profile).unwrap();
        let mut document = document.as_object().unwrap().clone();
        let violations = shape(kind, &mut document, &profile, SchemaSet::builtin());
        let words = violations.iter().map(|one| format!("{} {} {}", one.path, one.rule, one.value_kind)).collect();
        (Value::Object(document), words)
    }

    #[test]
    fn what_is_not_taken_goes_and_nothing_else() {
        let profile =
            json!({"drop_attributes": ["title", "name.middleName"], "single_valued": ["emails", "phoneNumbers"]});
        let user = json!({"userName": "a", "title": "x", "name": {"givenName": "A", "middleName": "M"},
            "emails": [{"value": "1"}, {"value": "2", "primary": true}], "phoneNumbers": [{"value": "3"}, {"value": "4"}]});
        let expected = json!({"userName": "a", "name": {"givenName": "A"},
            "emails": [{"value": "2", "primary": true}], "phoneNumbers": [{"value": "3"}]});
        assert_eq!(shaped(ResourceKind::User, profile, user), (expected, Vec::new()));
        let group = json!({"schemas": [], "displayName": "g", "urn:x:y": {"z": 1}});
        let kept = json!({"schemas": [], "displayName": "g"});
        let profile = json!({"group_attributes": ["displayName"], "attributes_required": ["name.givenName"]});
        assert_eq!(shaped(ResourceKind::Group, profile, group), (kept, Vec::new()));
    }

    #[test]
    fn what_is_demanded_and_lacking_is_listed() {
        let profile = json!({"attributes_required": ["displayName", "name.givenName", "name.familyName"],
            "length_max": {"userName": 3}, "characters_refused": {"name.familyName": "<>;\t"}});
        let user = json!({"userName": "äöüß", "displayName": " ", "name": {"familyName": "a;b"}});
        let (_, words) = shaped(ResourceKind::User, profile, user);
        assert_eq!(
            words,
            [
                "displayName provider_required string",
                "name.givenName provider_required absent",
                "userName provider_length string",
                "name.familyName provider_characters string"
            ]
        );
    }
}
