use serde_json::{Value, json};

use super::*;

/// Applies `operations` to `before` and compares.
fn check(before: Value, operations: Value, after: Value) {
    let mut document = before.as_object().unwrap().clone();
    let body = json!({ "Operations": operations });
    for operation in parse(body.as_object().unwrap()).unwrap() {
        apply(&mut document, &operation).unwrap_or_else(|refusal| panic!("{operations}: {refusal:?}"));
    }
    assert_eq!(Value::Object(document), after, "{operations}");
}

fn refused(before: Value, operation: Value) -> &'static str {
    let mut document = before.as_object().unwrap().clone();
    let body = json!({ "Operations": [operation] });
    parse(body.as_object().unwrap())
        .and_then(|operations| operations.iter().try_for_each(|operation| apply(&mut document, operation)))
        .expect_err("a refusal")
        .scim_type
        .unwrap()
}

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[test]
fn simple_and_dotted_paths() {
    check(json!({}), json!([{ "op": "add", "path": "title", "value": "Dr" }]), json!({ "title": "Dr" }));
    check(
        json!({ "title": "Dr" }),
        json!([{ "op": "Replace", "path": "TITLE", "value": "X" }]),
        json!({ "title": "X" }),
    );
    check(json!({ "title": "Dr" }), json!([{ "op": "remove", "path": "title" }]), json!({}));
    check(
        json!({ "name": { "givenName": "A", "familyName": "B" } }),
        json!([{ "op": "replace", "path": "name.givenName", "value": "C" }]),
        json!({ "name": { "givenName": "C", "familyName": "B" } }),
    );
    check(
        json!({}),
        json!([{ "op": "add", "path": "name.givenName", "value": "C" }]),
        json!({ "name": { "givenName": "C" } }),
    );
    check(json!({ "name": { "givenName": "A" } }), json!([{ "op": "remove", "path": "name.givenName" }]), json!({}));
}

#[test]
fn a_complex_value_keeps_what_is_not_named() {
    check(
        json!({ "name": { "givenName": "A", "familyName": "B" } }),
        json!([{ "op": "replace", "path": "name", "value": { "givenName": "C" } }]),
        json!({ "name": { "givenName": "C", "familyName": "B" } }),
    );
}

#[test]
fn extension_paths() {
    check(
        json!({}),
        json!([{ "op": "add", "path": format!("{ENTERPRISE}:department"), "value": "R&D" }]),
        json!({ ENTERPRISE: { "department": "R&D" } }),
    );
    check(
        json!({ ENTERPRISE: { "department": "R&D", "manager": { "value": "9" } } }),
        json!([{ "op": "replace", "path": format!("{ENTERPRISE}:manager.value"), "value": "8" }]),
        json!({ ENTERPRISE: { "department": "R&D", "manager": { "value": "8" } } }),
    );
    check(json!({ ENTERPRISE: { "department": "x" } }), json!([{ "op": "remove", "path": ENTERPRISE }]), json!({}));
    check(
        json!({ ENTERPRISE: { "department": "x" } }),
        json!([{ "op": "remove", "path": format!("{ENTERPRISE}:department") }]),
        json!({}),
    );
    check(
        json!({}),
        json!([{ "op": "add", "value": { ENTERPRISE: { "division": "y" }, format!("{ENTERPRISE}:department"): "x" } }]),
        json!({ ENTERPRISE: { "division": "y", "department": "x" } }),
    );
}

#[test]
fn value_paths() {
    let work = json!({ "value": "a@x", "type": "work" });
    let home = json!({ "value": "a@y", "type": "home" });
    check(
        json!({ "emails": [work, home] }),
        json!([{ "op": "replace", "path": "emails[type eq \"work\"].value", "value": "b@x" }]),
        json!({ "emails": [{ "value": "b@x", "type": "work" }, home] }),
    );
    check(
        json!({ "emails": [work, home] }),
        json!([{ "op": "remove", "path": "emails[type eq \"work\"]" }]),
        json!({ "emails": [home] }),
    );
    check(json!({ "emails": [work] }), json!([{ "op": "remove", "path": "emails[type eq \"work\"]" }]), json!({}));
    check(
        json!({ "emails": [work] }),
        json!([{ "op": "remove", "path": "emails[type eq \"home\"]" }]),
        json!({ "emails": [work] }),
    );
    check(
        json!({}),
        json!([{ "op": "add", "path": "emails[type eq \"work\"].value", "value": "a@x" }]),
        json!({ "emails": [{ "type": "work", "value": "a@x" }] }),
    );
    check(
        json!({ "emails": [work, home] }),
        json!([{ "op": "replace", "path": "emails[type eq \"home\"]", "value": { "value": "z" } }]),
        json!({ "emails": [work, { "value": "z" }] }),
    );
}

#[test]
fn lists_grow_without_repeats_and_shrink_by_value() {
    check(
        json!({ "emails": [{ "value": "a" }] }),
        json!([{ "op": "add", "path": "emails", "value": [{ "value": "a" }, { "value": "b" }] }]),
        json!({ "emails": [{ "value": "a" }, { "value": "b" }] }),
    );
    check(
        json!({}),
        json!([{ "op": "add", "path": "emails", "value": { "value": "a" } }]),
        json!({ "emails": [{ "value": "a" }] }),
    );
    check(
        json!({ "emails": [{ "value": "a" }, { "value": "b" }] }),
        json!([{ "op": "remove", "path": "emails", "value": [{ "value": "a" }] }]),
        json!({ "emails": [{ "value": "b" }] }),
    );
    check(
        json!({ "emails": [{ "value": "a", "primary": true }] }),
        json!([{ "op": "add", "path": "emails", "value": [{ "value": "b", "primary": true }] }]),
        json!({ "emails": [{ "value": "a" }, { "value": "b", "primary": true }] }),
    );
}

#[test]
fn without_a_path_the_value_names_the_attributes() {
    check(
        json!({ "active": true, "title": "x" }),
        json!([{ "op": "replace", "value": { "active": false, "name.givenName": "A", "title": null } }]),
        json!({ "active": false, "name": { "givenName": "A" } }),
    );
}

#[test]
fn mistakes_are_named_by_rfc_7644_table_9() {
    assert_eq!(refused(json!({}), json!({ "op": "move", "path": "title", "value": 1 })), "invalidSyntax");
    assert_eq!(refused(json!({}), json!({ "op": "remove" })), "noTarget");
    assert_eq!(refused(json!({}), json!({ "op": "add", "path": "title" })), "invalidValue");
    assert_eq!(refused(json!({}), json!({ "op": "add", "path": "a[b", "value": 1 })), "invalidPath");
    assert_eq!(refused(json!({}), json!({ "op": "add", "value": 1 })), "invalidValue");
    assert_eq!(
        refused(
            json!({ "emails": [{ "value": "a" }] }),
            json!({ "op": "replace", "path": "emails[value eq \"b\"]", "value": {} })
        ),
        "noTarget"
    );
}
