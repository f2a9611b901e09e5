//! The built-in mappings.

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use scimfleet_core::ResourceKind;
use scimfleet_expression::{Expression, Limits, MappingResult, ObjectView, default_mappings};
use serde_json::{Value, json};

use crate::support::{barbara, document, evaluate, evaluator, object, staff};

#[tokio::test]
async fn the_defaults_pass_through_what_a_resource_has() {
    let objects = vec![barbara(), staff()];
    let results = evaluate(&evaluator(Limits::default()), default_mappings().to_vec(), objects).await;
    let expected = json!({
        "userName": "bjensen@example.com",
        "displayName": "Babs Jensen",
        "title": "Tour Guide",
        "locale": "en-US",
        "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
        "name": {"formatted": "Ms. Barbara J Jensen, III", "givenName": "Barbara", "familyName": "Jensen"},
        "active": true,
        "externalId": "701984",
        "emails": [
            {"value": "babs@jensen.org", "type": "home"},
            {"value": "bjensen@example.com", "type": "work", "primary": true}
        ],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "701984", "department": "Tours"}
    });
    assert_eq!(results[0].results, [MappingResult::Payload(document(expected)), MappingResult::Nothing]);
    let expected = document(json!({"displayName": "Staff", "externalId": "s-7"}));
    assert_eq!(results[1].results, [MappingResult::Nothing, MappingResult::Payload(expected)]);
}

#[tokio::test]
async fn the_defaults_fill_in_what_is_absent() {
    let cases: &[(Value, Value)] = &[
        (
            json!({"userName": "anna"}),
            json!({"name": {"formatted": "anna", "givenName": "anna", "familyName": " "}, "displayName": "anna", "emails": []}),
        ),
        (
            json!({"userName": "a", "displayName": "Anna Maria Berg"}),
            json!({
                "name": {"formatted": "Anna Maria Berg", "givenName": "Anna", "familyName": "Maria Berg"},
                "displayName": "Anna Maria Berg", "emails": []
            }),
        ),
        (
            json!({"userName": "a", "name": {"givenName": "Anna", "familyName": "Berg"}, "active": false}),
            json!({
                "name": {"formatted": "Anna Berg", "givenName": "Anna", "familyName": "Berg"},
                "displayName": "Anna Berg", "emails": [], "active": false
            }),
        ),
        (
            json!({"userName": "a", "title": null, "photos": [{"value": "data:x"}, {"value": "https://a.example/p.png"}], "locale": "de"}),
            json!({
                "locale": "de", "name": {"formatted": "a", "givenName": "a", "familyName": " "}, "displayName": "a",
                "emails": [], "photos": [{"value": "https://a.example/p.png"}]
            }),
        ),
        (
            json!({"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                "manager": {"value": "u-2", "displayName": "John", "$ref": "../Users/u-2"}, "costCenter": null},
                "urn:example:unknown": {"a": 1}, "members": [1], "x": 2}),
            json!({
                "name": {"formatted": "a", "givenName": "a", "familyName": " "}, "displayName": "a", "emails": [],
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                    "manager": {"value": "u-2", "$ref": "../Users/u-2"}}
            }),
        ),
    ];
    let objects: Vec<ObjectView<'static>> =
        cases.iter().map(|(given, _)| object(ResourceKind::User, "u-9", given.clone())).collect();
    let [mapping, _] = default_mappings();
    let results = evaluate(&evaluator(Limits::default()), vec![mapping], objects).await;
    for ((given, expected), result) in cases.iter().zip(results) {
        let mut expected = document(expected.clone());
        expected.insert("userName".to_owned(), given["userName"].clone());
        expected.insert("externalId".to_owned(), json!("u-9"));
        expected.entry("active").or_insert(json!(true));
        assert_eq!(result.results, [MappingResult::Payload(expected)], "{given}");
    }
}

/// Attributes that the built-in mappings look at, and some that they do not.
const NAMES: &[&str] = &[
    "userName",
    "displayName",
    "name",
    "nickName",
    "title",
    "locale",
    "active",
    "emails",
    "phoneNumbers",
    "photos",
    "roles",
    "password",
    "externalId",
    "email",
    "username",
    "is_active",
    "uid",
    "scim",
    "attributes",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:example:other",
];
/// Attributes of what is inside of those.
const PARTS: &[&str] = &[
    "givenName",
    "familyName",
    "formatted",
    "middleName",
    "value",
    "type",
    "primary",
    "$ref",
    "displayName",
    "manager",
    "department",
    "costCenter",
    "employeeNumber",
];

fn scalar() -> impl Strategy<Value = Value> + Clone {
    let texts =
        select(vec!["", " ", "Anna", "Anna Berg", " Anna  Maria Berg ", "a://b", "ü\u{85}", "x@y.example", "0"]);
    prop_oneof![
        6 => texts.prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => select(vec![0_i64, 1, -1, i64::MAX]).prop_map(Value::from),
        1 => select(vec![json!(0.0), json!(-0.0), json!(0.1), json!(u64::MAX)]),
    ]
}

fn inner() -> impl Strategy<Value = Value> + Clone {
    let part = || select(PARTS).prop_map(str::to_owned);
    let flat = btree_map(part(), scalar(), 0..4).prop_map(|fields| json!(fields));
    let one = prop_oneof![2 => scalar(), 3 => flat];
    let list = vec(one.clone(), 0..3).prop_map(Value::from);
    let fields =
        btree_map(part(), prop_oneof![3 => one.clone(), 1 => list.clone()], 0..5).prop_map(|fields| json!(fields));
    prop_oneof![4 => scalar(), 2 => list, 3 => fields]
}

fn objects() -> impl Strategy<Value = Vec<ObjectView<'static>>> {
    let document = btree_map(select(NAMES).prop_map(str::to_owned), inner(), 0..9);
    let one =
        (any::<bool>(), document, proptest::option::of("[a-z]{1,4}")).prop_map(|(is_user, fields, external_id)| {
            let kind = if is_user { ResourceKind::User } else { ResourceKind::Group };
            ObjectView { external_id, ..object(kind, "o-1", json!(fields)) }
        });
    vec(one, 60)
}

/// The built-in mappings are answered without the interpreter where that is safe: it must not be seen.
#[test]
fn the_defaults_mean_what_their_text_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let evaluator = runtime.block_on(async { evaluator(Limits::default()) });
    let built_in = default_mappings().to_vec();
    // An empty line more, and a text is an operator's own.
    let text = |one: &Expression| Expression { source: format!("{}\n", one.source).into(), ..one.clone() };
    let texts: Vec<Expression> = built_in.iter().map(text).collect();
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    runner
        .run(&objects(), |objects| {
            let fast = runtime.block_on(evaluate(&evaluator, built_in.clone(), objects.clone()));
            let slow = runtime.block_on(evaluate(&evaluator, texts.clone(), objects.clone()));
            for ((fast, slow), object) in fast.iter().zip(&slow).zip(&objects) {
                // The order of attributes is part of it.
                let bytes = |one: &scimfleet_expression::ObjectEvaluation| format!("{:?}", one.results);
                proptest::prop_assert_eq!(bytes(fast), bytes(slow), "{:?}", object.document);
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn built_in_and_own_mappings_answer_together() {
    let own = |name: &str, source: &str| Expression {
        name: name.to_owned(),
        kind: ResourceKind::User,
        source: source.into(),
    };
    let [default, group] = default_mappings();
    let expressions = vec![
        own("05-first", "return {\"first\": user.userName}"),
        default,
        group,
        own("90-last", "return {\"last\": 1}"),
    ];
    // The second one is odd: the interpreter answers all of it.
    let odd = object(ResourceKind::User, "u-2", json!({"userName": "b", "x": 0.5}));
    let objects = vec![barbara(), odd, staff()];
    let results = evaluate(&evaluator(Limits::default()), expressions, objects).await;
    let payload = |index: usize, which: usize| match &results[index].results[which] {
        MappingResult::Payload(document) => document.clone(),
        other => panic!("{other:?}"),
    };
    for (index, name) in ["bjensen@example.com", "b"].into_iter().enumerate() {
        assert_eq!(payload(index, 0), document(json!({"first": name})));
        assert_eq!(payload(index, 1)["userName"], json!(name));
        assert_eq!(results[index].results[2], MappingResult::Nothing);
        assert_eq!(payload(index, 3), document(json!({"last": 1})));
    }
    assert_eq!(payload(2, 2)["displayName"], json!("Staff"));
    assert_eq!(results[2].results[0], MappingResult::Nothing);
}
