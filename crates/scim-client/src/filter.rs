//! The one place where filters are built (RFC 7644 §3.4.2.2), and where an answer is checked against
//! what was asked: some providers ignore filters and answer with whoever comes first.

use scimfleet_core::scim::Document;
use scimfleet_core::scim::path::member;
use scimfleet_core::scim::resource::fold;
use serde_json::Value;

/// `attribute eq "value"`, the value escaped as a JSON string. `None` if `attribute` is no attribute path.
pub fn equals(attribute: &str, value: &str) -> Option<String> {
    let is_path_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:$".contains(&byte);
    if !attribute.starts_with(|first: char| first.is_ascii_alphabetic()) || !attribute.bytes().all(is_path_byte) {
        return None;
    }
    Some(format!("{attribute} eq {}", Value::from(value)))
}

/// Whether `document` holds `value` at `attribute`: exactly for ids (RFC 7643 §3.1 `caseExact`), without
/// regard to case for everything else that people are looked up by. Of a list any element counts.
pub(crate) fn holds(document: &Document, attribute: &str, value: &str) -> bool {
    let (document, path) = match attribute.rsplit_once(':') {
        // A URN holds dots itself, so it is taken off before the path is cut.
        Some((urn, path)) => match member(document, urn) {
            Some(Value::Object(extension)) => (extension, path),
            // Attributes of the core schema may be written with its URN, too.
            _ => (document, path),
        },
        None => (document, attribute),
    };
    let exact = ["externalId", "id"].iter().any(|name| path.eq_ignore_ascii_case(name));
    let mut names = path.split('.');
    let found = names.next().and_then(|first| member(document, first));
    found.is_some_and(|found| any(found, names, &|text| if exact { text == value } else { fold(text) == fold(value) }))
}

fn any(value: &Value, mut names: std::str::Split<'_, char>, matches: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any(item, names.clone(), matches)),
        Value::Object(object) => names
            .next()
            .or(Some("value"))
            .and_then(|name| member(object, name))
            .is_some_and(|value| any(value, names, matches)),
        Value::String(text) => matches(text),
        Value::Number(number) => matches(&number.to_string()),
        Value::Null | Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_escaped_and_attributes_are_checked() {
        let cases = [
            ("userName", "anna", Some(r#"userName eq "anna""#)),
            ("userName", r#"a" or "b\"#, Some(r#"userName eq "a\" or \"b\\""#)),
            ("userName", "a\nb", Some(r#"userName eq "a\nb""#)),
            ("emails.value", "ä", Some(r#"emails.value eq "ä""#)),
            ("a b", "x", None),
            ("", "x", None),
            (r#"a eq "b" or c"#, "x", None),
        ];
        for (attribute, value, expected) in cases {
            assert_eq!(equals(attribute, value).as_deref(), expected, "{attribute} {value}");
        }
    }

    #[test]
    fn candidates_are_believed_only_if_they_hold_the_value() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let user = json!({
            "id": 17, "externalId": "E1", "username": "Anna@X", "name": {"familyName": "Öhl"},
            "emails": [{"value": "a@x"}, {"value": "B@x"}], urn: {"employeeNumber": 701}
        });
        let cases = [
            ("userName", "anna@x", true),
            ("userName", "anna", false),
            ("externalId", "E1", true),
            ("externalId", "e1", false),
            ("id", "17", true),
            ("name.familyName", "öHL", true),
            ("emails.value", "b@X", true),
            ("emails", "a@x", true),
            ("emails.type", "work", false),
            (&format!("{urn}:employeeNumber"), "701", true),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName", "anna@x", true),
            ("displayName", "anna", false),
        ];
        for (attribute, value, expected) in cases {
            assert_eq!(holds(user.as_object().unwrap(), attribute, value), expected, "{attribute} {value}");
        }
    }
}
