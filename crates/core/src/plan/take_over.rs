//! Taking over an account that another sync kept until now: what of it counts as sent by that sync, so that the
//! first comparison finds what it failed to send, and nothing that others put there.

use serde_json::Value;

use crate::scim::path::is_urn;
use crate::scim::schema::{Attribute, Mutability, SchemaSet};
use crate::scim::{Document, ResourceKind};

/// Attributes that nobody's sync owns: identity and what the provider makes itself.
const NEVER: [&str; 6] = ["id", "meta", "schemas", "members", "groups", "password"];

/// The part of `shown`, what the account shows now, that stands for what was sent last: what we send too, and
/// what the other sync recorded, as far as a client may write it (RFC 7643 §2.2). What neither knows is
/// others'.
pub fn baseline(
    kind: ResourceKind,
    shown: &Document,
    desired: &Document,
    recorded: Option<&Document>,
    schemas: &SchemaSet,
) -> Document {
    let mut sent = Document::new();
    // Both sides spell it as we do, so that a document that shows what we want has the digest of what we want.
    if let Some(urns) = desired.get("schemas") {
        sent.insert("schemas".to_owned(), urns.clone());
    }
    // An empty list is no value (RFC 7643 §2.5): a provider that shows nothing shows what we want.
    for (name, value) in
        desired.iter().filter(|(name, value)| value.as_array().is_some_and(Vec::is_empty) && !shown.contains_key(*name))
    {
        sent.insert(name.clone(), value.clone());
    }
    for (name, value) in shown.iter().filter(|(name, _)| !NEVER.contains(&name.as_str())) {
        let recorded = recorded.and_then(|recorded| recorded.get(name));
        let part = if is_urn(name) {
            let schema = schemas.extension(name);
            owned(value, desired.get(name), recorded, &|sub| schema.and_then(|schema| schema.attribute(sub)))
        } else {
            let attribute = schemas.top_level(kind, name);
            match attribute {
                Some(attribute) if !attribute.sub_attributes.is_empty() && value.is_object() => {
                    owned(value, desired.get(name), recorded, &|sub| attribute.sub_attribute(sub))
                }
                _ => counts(value, desired.get(name), recorded, attribute),
            }
        };
        if let Some(part) = part {
            sent.insert(name.clone(), part);
        }
    }
    sent
}

/// The members of an object that count.
fn owned<'a>(
    shown: &Value,
    desired: Option<&Value>,
    recorded: Option<&Value>,
    attribute: &dyn Fn(&str) -> Option<&'a Attribute>,
) -> Option<Value> {
    let Value::Object(shown) = shown else { return None };
    let of = |whole: Option<&Value>, name: &str| whole.and_then(|whole| whole.get(name)).cloned();
    let mut part = Document::new();
    for (name, value) in shown {
        let (desired, recorded) = (of(desired, name), of(recorded, name));
        if let Some(value) = counts(value, desired.as_ref(), recorded.as_ref(), attribute(name)) {
            part.insert(name.clone(), value);
        }
    }
    (!part.is_empty()).then_some(Value::Object(part))
}

fn counts(
    shown: &Value,
    desired: Option<&Value>,
    recorded: Option<&Value>,
    attribute: Option<&Attribute>,
) -> Option<Value> {
    let writable = attribute.is_some_and(|attribute| attribute.mutability == Mutability::ReadWrite);
    (desired.is_some() || recorded.is_some() && writable).then(|| shown.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{changes, digest};

    fn document(value: Value) -> Document {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_the_other_sync_failed_to_send_is_found_and_nothing_else() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let shown = document(json!({
            "id": "7", "meta": { "version": "1" }, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", urn],
            "externalId": "e", "userName": "anna", "title": "Left behind", "nickName": "set there", "active": true,
            "name": { "givenName": "Anna", "familyName": "Berg", "middleName": "Q" },
            "phoneNumbers": [{ "value": "1" }, { "value": "2" }], "groups": [{ "value": "g" }], "unknown": 1,
            urn: { "department": "D", "costCenter": "set there", "employeeNumber": "4" }
        }));
        let recorded = document(json!({
            "id": "7", "meta": {}, "externalId": "e", "userName": "anna", "title": "Left behind", "active": true,
            "name": { "givenName": "Anna", "familyName": "Berg", "middleName": "Q" }, "groups": [], "unknown": 1,
            "phoneNumbers": [{ "value": "1" }, { "value": "2" }], urn: { "department": "D", "employeeNumber": "4" }
        }));
        let desired = document(json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", urn], "externalId": "e", "userName": "anna",
            "name": { "givenName": "Anna", "familyName": "Berg" }, "active": true,
            "phoneNumbers": [{ "value": "1" }], urn: { "department": "E" }
        }));
        let user = ResourceKind::User;
        let sent = baseline(user, &shown, &desired, Some(&recorded), SchemaSet::builtin());
        let mut paths: Vec<String> = changes(&sent, &desired).into_iter().map(|change| change.path).collect();
        paths.sort();
        let employee = format!("{urn}:employeeNumber");
        let department = format!("{urn}:department");
        assert_eq!(paths, ["name.middleName", "phoneNumbers", "title", department.as_str(), employee.as_str()]);
        // Without a record only what we send counts.
        let sent = baseline(user, &shown, &desired, None, SchemaSet::builtin());
        let paths: Vec<String> = changes(&sent, &desired).into_iter().map(|change| change.path).collect();
        assert_eq!(paths, ["phoneNumbers", department.as_str()]);
    }

    #[test]
    fn an_account_that_shows_what_we_want_needs_nothing() {
        let desired =
            document(json!({ "schemas": ["a"], "userName": "anna", "emails": [{ "value": "a@b" }], "photos": [] }));
        let shown =
            document(json!({ "emails": [{ "value": "a@b" }], "userName": "anna", "id": "1", "schemas": ["b"] }));
        let sent = baseline(ResourceKind::User, &shown, &desired, Some(&shown), SchemaSet::builtin());
        assert_eq!(digest(&sent), digest(&desired));
    }
}
