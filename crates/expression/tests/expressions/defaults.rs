//! The built-in mappings.

use scimfleet_core::ResourceKind;
use scimfleet_expression::{Limits, MappingResult, ObjectView, default_mappings};
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
    let objects: Vec<ObjectView> =
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
