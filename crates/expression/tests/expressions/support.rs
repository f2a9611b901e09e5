//! An evaluator whose children are this crate's own test program, and short ways to ask it.

use std::borrow::Cow;
use std::path::PathBuf;

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use scimfleet_expression::{
    Batch, Evaluator, EvaluatorConfig, Expression, ExpressionError, GroupView, Limits, MappingResult, ObjectEvaluation,
    ObjectView, ProviderView,
};
use serde_json::{Value, json};

pub(crate) fn evaluator(limits: Limits) -> Evaluator {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_expression-child"));
    Evaluator::new(EvaluatorConfig { program, children: 1, limits })
}

pub(crate) fn document(value: Value) -> Document {
    match value {
        Value::Object(document) => document,
        other => panic!("not an object: {other}"),
    }
}

pub(crate) fn mapping(name: &str, kind: ResourceKind, source: &str) -> Expression {
    Expression { name: name.to_owned(), kind, source: source.into() }
}

pub(crate) fn user(source: &str) -> Expression {
    mapping("50-test", ResourceKind::User, source)
}

pub(crate) fn provider() -> ProviderView {
    ProviderView { name: "acme".to_owned(), base_url: "https://acme.example/scim/v2".to_owned() }
}

pub(crate) fn object(kind: ResourceKind, id: &str, value: Value) -> ObjectView<'static> {
    ObjectView {
        kind,
        id: id.to_owned(),
        external_id: None,
        document: Cow::Owned(document(value)),
        service_account: false,
        groups: Vec::new(),
    }
}

/// The user of RFC 7643 §8.2 in short, with free attributes and two groups.
pub(crate) fn barbara() -> ObjectView<'static> {
    let value = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "id": "u-1",
        "externalId": "701984",
        "userName": "bjensen@example.com",
        "name": {"formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara"},
        "displayName": "Babs Jensen",
        "title": "Tour Guide",
        "locale": "en-US",
        "active": true,
        "password": "t1meMa$heen",
        "emails": [
            {"value": "babs@jensen.org", "type": "home"},
            {"value": "bjensen@example.com", "type": "work", "primary": true}
        ],
        "phoneNumbers": [{"value": "555-555-5555", "type": "work"}],
        "groups": [{"value": "g-1"}],
        "meta": {"resourceType": "User"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "701984", "department": "Tours"},
        "attributes": {"department": "Guides", "roles": ["guide"], "phone": "0049 (30) 123-456", "kind": "employee"}
    });
    let group = |id: &str, name: &str, attributes: Value| GroupView {
        id: id.to_owned(),
        external_id: Some(format!("ext-{id}")),
        display_name: name.to_owned(),
        attributes: document(attributes),
    };
    let groups = vec![
        group("g-2", "Tour Guides", json!({"roles": ["tour"], "region": "west"})),
        group("g-1", "Employees", json!({"roles": ["staff"], "region": "all", "nested": {"a": 1}})),
    ];
    ObjectView { external_id: Some("701984".to_owned()), groups, ..object(ResourceKind::User, "u-1", value) }
}

pub(crate) fn staff() -> ObjectView<'static> {
    let value = json!({"displayName": "Staff", "externalId": "s-7", "attributes": {"team": "blue", "aliases": ["all", "everybody"]}});
    ObjectView { external_id: Some("s-7".to_owned()), ..object(ResourceKind::Group, "g-7", value) }
}

pub(crate) async fn evaluate(
    evaluator: &Evaluator,
    expressions: Vec<Expression>,
    objects: Vec<ObjectView<'static>>,
) -> Vec<ObjectEvaluation> {
    evaluator.evaluate(Batch { expressions, provider: provider(), objects }).await.expect("a child")
}

pub(crate) async fn one(evaluator: &Evaluator, expression: Expression, object: ObjectView<'static>) -> MappingResult {
    let mut objects = evaluate(evaluator, vec![expression], vec![object]).await;
    objects.pop().and_then(|mut object| object.results.pop()).expect("one result")
}

pub(crate) fn error(result: &MappingResult) -> &ExpressionError {
    match result {
        MappingResult::Failed(error) => error,
        other => panic!("not a failure: {other:?}"),
    }
}
