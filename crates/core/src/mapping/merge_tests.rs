use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn merged(parts: impl IntoIterator<Item = Document>) -> Document {
    let mut result = Document::new();
    for part in parts {
        merge(&mut result, part);
    }
    result
}

/// Made by the Python package itself; see `tests/vectors/deepmerge.py`.
#[test]
fn equal_to_the_python_package() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/vectors/deepmerge.json")).unwrap();
    assert_eq!(cases.len(), 200);
    for (index, case) in cases.into_iter().enumerate() {
        let parts = case["parts"].as_array().unwrap().iter().cloned().map(object);
        let result = Value::Object(merged(parts));
        // As text, because the order of members is part of the result.
        assert_eq!(result.to_string(), case["result"].to_string(), "case {index}");
    }
}

#[test]
fn merging() {
    let check = |one, other, expected| {
        let result = Value::Object(merged([object(one), object(other)]));
        assert_eq!(result, expected);
    };
    check(json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2}));
    check(json!({"a": 1}), json!({"a": 2}), json!({"a": 2}));
    check(json!({"a": [1]}), json!({"a": [1, 2]}), json!({"a": [1, 1, 2]}));
    check(json!({"a": {"x": 1}}), json!({"a": {"y": 2}}), json!({"a": {"x": 1, "y": 2}}));
    check(json!({"a": {"x": 1}}), json!({"a": [1]}), json!({"a": [1]}));
    check(json!({"a": [1]}), json!({"a": null}), json!({"a": null}));
    check(json!({"a": null}), json!({"a": [1]}), json!({"a": [1]}));
    check(json!({"userName": 1}), json!({"username": 2}), json!({"userName": 1, "username": 2}));
}

#[test]
fn nulls_at_the_end() {
    let check = |given, expected| {
        let mut given = object(given);
        remove_nulls(&mut given);
        assert_eq!(Value::Object(given), expected);
    };
    check(json!({"a": null, "b": 1}), json!({"b": 1}));
    check(json!({"a": {"b": {"c": null}, "d": 1}}), json!({"a": {"d": 1}}));
    check(json!({"a": {"b": {"c": null}}}), json!({}));
    check(json!({"a": [null, 1, {"b": null}, {"b": null, "c": 2}]}), json!({"a": [1, {"c": 2}]}));
    check(json!({"a": [null]}), json!({"a": []}));
    check(json!({"a": {}, "b": [], "c": [{}], "d": ""}), json!({"a": {}, "b": [], "c": [{}], "d": ""}));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-d]", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_document() -> impl Strategy<Value = Document> {
    prop::collection::vec(("[a-d]", any_value()), 0..5).prop_map(|members| members.into_iter().collect())
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(object) => object.values().any(holds_null),
        _ => false,
    }
}

fn count_leaves(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count_leaves).sum(),
        Value::Object(object) => object.values().map(count_leaves).sum(),
        _ => 1,
    }
}

proptest! {
    #[test]
    fn an_empty_part_changes_nothing(document in any_document()) {
        prop_assert_eq!(merged([document.clone(), Document::new()]), document.clone());
        prop_assert_eq!(merged([Document::new(), document.clone()]), document);
    }

    /// Every value of the later part is in the result: as it is, merged into, or appended.
    #[test]
    fn the_later_part_wins(one in any_document(), other in any_document()) {
        let result = merged([one.clone(), other.clone()]);
        prop_assert!(one.keys().chain(other.keys()).all(|key| result.contains_key(key)));
        for (key, value) in &other {
            match (one.get(key), value) {
                (Some(Value::Object(_)), Value::Object(_)) => {}
                (Some(Value::Array(first)), Value::Array(second)) => {
                    prop_assert_eq!(&result[key], &Value::Array([first.clone(), second.clone()].concat()));
                }
                _ => prop_assert_eq!(&result[key], value),
            }
        }
        let leaves = |document: &Document| count_leaves(&Value::Object(document.clone()));
        prop_assert!(leaves(&result) <= leaves(&one) + leaves(&other));
    }

    #[test]
    fn no_null_is_left(document in any_document()) {
        let mut once = document;
        remove_nulls(&mut once);
        prop_assert!(!once.values().any(holds_null));
        let mut twice = once.clone();
        remove_nulls(&mut twice);
        prop_assert_eq!(twice, once);
    }
}
