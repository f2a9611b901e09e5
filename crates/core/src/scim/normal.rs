//! What a client wrote, as the directory keeps it: names in the spelling of the schema, values in the type
//! of the schema where the meaning is plain, nothing that only a service provider may set.
//!
//! Attributes that no schema knows are kept as they are. Whether the result is valid is not judged here.

use serde_json::Value;

use super::path::is_core_urn;
use super::resource::{Document, ResourceKind};
use super::schema::{Attribute, AttributeType, Mutability, Schema, SchemaSet};

/// A whole resource: without `schemas`, without read-only attributes ("SHALL be ignored", RFC 7644 §3.3),
/// without unassigned ones (RFC 7643 §2.5).
pub fn resource(kind: ResourceKind, document: Document, schemas: &SchemaSet) -> Document {
    let mut normal = Document::with_capacity(document.len());
    for (name, value) in document {
        if name.eq_ignore_ascii_case("schemas") || is_core_urn(&name) {
            continue;
        }
        if let Some(schema) = schemas.extension(&name) {
            insert(&mut normal, schema.id.clone(), extension(value, schema));
            continue;
        }
        match schemas.top_level(kind, &name) {
            Some(attribute) if attribute.mutability == Mutability::ReadOnly => {}
            Some(attribute) => insert(&mut normal, attribute.name.clone(), conform(value, attribute)),
            None if name.eq_ignore_ascii_case("attributes") => insert(&mut normal, "attributes".to_owned(), value),
            None => insert(&mut normal, name, value),
        }
    }
    normal
}

fn insert(document: &mut Document, name: String, value: Value) {
    if !is_unassigned(&value) {
        document.insert(name, value);
    }
}

/// RFC 7643 §2.5, and an object without members, which says as little.
pub(crate) fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// The object of an extension.
pub(crate) fn extension(value: Value, schema: &Schema) -> Value {
    match value {
        Value::Object(object) => members(object, |name| schema.attribute(name)),
        other => other,
    }
}

fn members<'s>(object: Document, find: impl Fn(&str) -> Option<&'s Attribute>) -> Value {
    let mut normal = Document::with_capacity(object.len());
    for (name, value) in object {
        match find(&name) {
            Some(attribute) if attribute.mutability == Mutability::ReadOnly => {}
            Some(attribute) => insert(&mut normal, attribute.name.clone(), conform(value, attribute)),
            None => insert(&mut normal, name, value),
        }
    }
    Value::Object(normal)
}

/// A value of an attribute: one value of a list stands for the list, and the other way round for a list of
/// one; "True" and "False" stand for truth values; a text stands for the `value` of a complex attribute.
pub(crate) fn conform(value: Value, attribute: &Attribute) -> Value {
    match (attribute.multi_valued, value) {
        (_, Value::Null) => Value::Null,
        (true, Value::Array(items)) => items.into_iter().map(|item| conform_one(item, attribute)).collect(),
        (true, one) => Value::Array(vec![conform_one(one, attribute)]),
        (false, Value::Array(mut items)) if items.len() == 1 => conform_one(items.remove(0), attribute),
        (false, one) => conform_one(one, attribute),
    }
}

/// One value, be it the only one or an element of a list.
pub(crate) fn conform_one(value: Value, attribute: &Attribute) -> Value {
    match (attribute.kind, value) {
        (AttributeType::Boolean, Value::String(text)) => match text.to_ascii_lowercase().parse() {
            Ok(flag) => Value::Bool(flag),
            Err(_) => Value::String(text),
        },
        (AttributeType::Complex, Value::Object(object)) => members(object, |name| attribute.sub_attribute(name)),
        (AttributeType::Complex, Value::String(text)) if attribute.sub_attribute("value").is_some() => {
            Value::Object(Document::from_iter([("value".to_owned(), Value::String(text))]))
        }
        (_, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_types_and_what_is_not_the_clients() {
        const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let cases = [
            (r#"{"USERNAME":"a","ACTIVE":"False"}"#, r#"{"userName":"a","active":false}"#.to_owned()),
            (
                r#"{"id":"1","meta":{},"groups":[{"value":"g"}],"schemas":[],"userName":"a"}"#,
                r#"{"userName":"a"}"#.to_owned(),
            ),
            (
                r#"{"emails":{"Value":"a@b","Primary":"True"}}"#,
                r#"{"emails":[{"value":"a@b","primary":true}]}"#.to_owned(),
            ),
            (r#"{"emails":["a@b"]}"#, r#"{"emails":[{"value":"a@b"}]}"#.to_owned()),
            (
                r#"{"URN:ietf:params:scim:schemas:extension:enterprise:2.0:user":{"Manager":"9","Department":"x"}}"#,
                format!(r#"{{"{URN}":{{"manager":{{"value":"9"}},"department":"x"}}}}"#),
            ),
            (
                r#"{"title":null,"phoneNumbers":[],"name":{"givenName":null},"Attributes":{"Kind":"x"}}"#,
                r#"{"attributes":{"Kind":"x"}}"#.to_owned(),
            ),
            (r#"{"urn:x:y":{"Z":1},"other":[{}]}"#, r#"{"urn:x:y":{"Z":1},"other":[{}]}"#.to_owned()),
        ];
        for (written, kept) in cases {
            let document = serde_json::from_str(written).unwrap();
            let normal = resource(ResourceKind::User, document, SchemaSet::builtin());
            assert_eq!(Value::Object(normal), serde_json::from_str::<Value>(&kept).unwrap(), "{written}");
        }
    }
}
