use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scim::resource::{ENTERPRISE_URN, USER_URN};

fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn combined(parts: &[(&str, Value)]) -> Combined {
    let named = |(name, part): &(&str, Value)| (MappingName::parse(*name).unwrap(), object(part.clone()));
    combine(parts.iter().map(named).collect())
}

fn provenance(parts: &[(&str, Value)]) -> Value {
    serde_json::to_value(combined(parts).provenance()).unwrap()
}

#[test]
fn mappings_run_in_the_order_of_their_names() {
    let result = combined(&[("50-b", json!({"title": "second"})), ("10-a", json!({"title": "first", "active": true}))]);
    assert_eq!(Value::Object(result.document), json!({"title": "second", "active": true}));
}

#[test]
fn nulls_override_and_are_removed_at_the_end() {
    let result = combined(&[
        ("1", json!({"title": "x", "name": {"givenName": "Anna"}})),
        ("2", json!({"title": null, "name": null})),
        ("3", json!({"name": {"familyName": null}})),
    ]);
    assert_eq!(Value::Object(result.document), json!({}));
}

#[test]
fn provenance_names_who_set_what() {
    let check = |parts: &[(&str, Value)], expected: Value| assert_eq!(provenance(parts), expected);
    check(&[], json!({}));
    check(&[("1", json!({"a": {"b": 1}, "c": [2]}))], json!({"a.b": ["1"], "c[0]": ["1"]}));
    check(&[("1", json!({"a": 1})), ("2", json!({"a": 2, "b": 3}))], json!({"a": ["1", "2"], "b": ["2"]}));
    check(
        &[("1", json!({"emails": [{"value": "x"}, null]})), ("2", json!({"emails": [{"value": "y"}]}))],
        json!({"emails[0].value": ["1"], "emails[1].value": ["2"]}),
    );
    let department = |value: &str| json!({ENTERPRISE_URN: {"department": value}});
    check(
        &[("1", department("a")), ("2", department("b"))],
        json!({format!("{ENTERPRISE_URN}:department"): ["1", "2"]}),
    );
    check(&[("1", json!({"a": {"b": 1}})), ("2", json!({"a": null}))], json!({"a": ["2"]}));
    check(&[("1", json!({"a": 1})), ("2", json!({"a": {"b": 1}}))], json!({"a.b": ["2"]}));
    check(&[("1", json!({"a": [1, 2]})), ("2", json!({"a": {"b": 1}}))], json!({"a.b": ["2"]}));
    check(&[("1", json!({"a": [null]}))], json!({"a": ["1"]}));
    check(&[("1", json!({"a": [1]})), ("2", json!({"a": [null]}))], json!({"a": ["2"], "a[0]": ["1"]}));
    check(&[("1", json!({"a": []})), ("2", json!({"a": [1]}))], json!({"a": ["1"], "a[0]": ["2"]}));
}

#[test]
fn blame_finds_the_mapping_of_a_violation() {
    let result = combined(&[
        (
            "10-default",
            json!({"userName": "anna", "emails": [{"value": "a", "primary": true}], "name": {"givenName": "A"}}),
        ),
        ("20-second", json!({"emails": [{"value": "b", "primary": true}], ENTERPRISE_URN: {"department": 7}})),
        ("30-third", json!({"userName": null})),
    ]);
    let check = |path: &str, expected: Option<&str>| assert_eq!(result.blame(path), expected, "{path}");
    check("emails[0].value", Some("10-default"));
    check("emails[1].primary", Some("20-second"));
    check("emails[1].type", Some("20-second"));
    check("emails[0]", Some("10-default"));
    check("emails", Some("20-second"));
    check("name", Some("10-default"));
    check("name.givenName", Some("10-default"));
    check("userName", Some("30-third"));
    check(&format!("{ENTERPRISE_URN}:department"), Some("20-second"));
    check(ENTERPRISE_URN, Some("20-second"));
    check("schemas", None);
    check("nam", None);
    check(&format!("{ENTERPRISE_URN}:manager.value"), Some("20-second"));
    check("urn:acme:2.0:User:badge", None);
}

#[test]
fn a_single_mapping_is_to_blame_for_everything() {
    let result = combined(&[("10-default", json!({"title": 7, "name": {"givenName": null}}))]);
    assert_eq!(result.blame("title"), Some("10-default"));
    assert_eq!(result.blame("userName"), Some("10-default"));
    assert_eq!(result.provenance().keys().collect::<Vec<_>>(), ["title"]);
}

#[test]
fn schemas_are_filled_in() {
    let check = |given: Value, expected: Value| {
        let mut document = object(given);
        complete_schemas(ResourceKind::User, &mut document);
        assert_eq!(document.keys().next().unwrap(), "schemas");
        assert_eq!(document["schemas"], expected);
        let once = document.clone();
        complete_schemas(ResourceKind::User, &mut document);
        assert_eq!(Value::Object(document).to_string(), Value::Object(once).to_string());
    };
    check(json!({}), json!([USER_URN]));
    check(json!({"userName": "x", "schemas": null}), json!([USER_URN]));
    check(json!({"schemas": [USER_URN.to_lowercase(), "urn:x:y"]}), json!([USER_URN, "urn:x:y"]));
    check(json!({"a": 1, "Schemas": "urn:x:y"}), json!([USER_URN, "urn:x:y"]));
    check(json!({ENTERPRISE_URN: {"department": "x"}, "urn:x:y": {}}), json!([USER_URN, ENTERPRISE_URN, "urn:x:y"]));
    check(json!({ENTERPRISE_URN: null}), json!([USER_URN]));
    check(json!({"schemas": [ENTERPRISE_URN, 7], ENTERPRISE_URN: {}}), json!([USER_URN, ENTERPRISE_URN, 7]));
}

/// The places of plain values and of empty objects and lists.
fn leaves(trail: &Trail<'_>, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            object.iter().for_each(|(key, value)| leaves(&trail.name(key), value, found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, item)| leaves(&trail.index(index), item, found));
        }
        _ => found.push(trail.to_string()),
    }
}

fn any_part() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from)];
    let value = leaf.prop_recursive(3, 16, 3, |inner| {
        let members = prop::collection::vec((any_name(), inner.clone()), 0..3);
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::vec((any_name(), value), 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", Just("urn:x:2.0:User".to_owned())]
}

proptest! {
    /// Nothing stands in the document that cannot be traced to a mapping.
    #[test]
    fn everything_has_an_author(parts in prop::collection::vec(any_part(), 0..4)) {
        let names = ["10", "20", "30"];
        let result = combined(&names.into_iter().zip(parts).collect::<Vec<_>>());
        let mut places = Vec::new();
        let root = Trail::root();
        result.document.iter().for_each(|(key, value)| leaves(&root.name(key), value, &mut places));
        for place in places {
            prop_assert!(result.provenance().contains_key(&place), "{}", place);
        }
    }
}
