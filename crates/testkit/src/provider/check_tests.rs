use serde_json::json;

use super::*;

fn details(found: Findings) -> Vec<String> {
    found.into_iter().map(|(_, detail)| detail).collect()
}

fn user(body: Value) -> Vec<String> {
    details(resource(ResourceKind::User, body.as_object().unwrap(), true, &Behaviour::default()))
}

fn operation(operation: Value) -> Vec<String> {
    let body = json!({ "schemas": [PATCH_URN], "Operations": [operation] });
    details(patch(ResourceKind::User, body.as_object().unwrap(), &Behaviour::default()))
}

const USER_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE_URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[test]
fn a_proper_user_passes() {
    let found = user(json!({
        "schemas": [USER_URN, ENTERPRISE_URN], "userName": "a", "externalId": "e", "active": true,
        "name": { "givenName": "A" }, "emails": [{ "value": "a@x.example", "primary": true }], "password": "x",
        ENTERPRISE_URN: { "department": "R", "manager": { "value": "9" } },
    }));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn what_a_resource_must_not_hold() {
    for (extra, expected) in [
        (json!({ "schemas": [] }), format!("`schemas` lacks `{USER_URN}`")),
        (json!({ "id": "1" }), "a client does not choose `id`".to_owned()),
        (json!({ "groups": [] }), "`groups` is read-only".to_owned()),
        (json!({ "meta": {} }), "`meta` is read-only".to_owned()),
        (json!({ "shoeSize": 9 }), "unknown attribute `shoeSize`".to_owned()),
        (json!({ "name": { "nick": "x" } }), "unknown attribute `name.nick`".to_owned()),
        (json!({ "active": "False" }), "`active` has the wrong type".to_owned()),
        (json!({ "emails": { "value": "x" } }), "`emails` is a list".to_owned()),
        (json!({ "emails": [{ "primary": true }, { "primary": true }] }), "`emails` has 2 primary values".to_owned()),
        (json!({ ENTERPRISE_URN: {} }), format!("extension `{ENTERPRISE_URN}` is not in `schemas`")),
        (json!({ "urn:x:y": {} }), "unknown schema `urn:x:y`".to_owned()),
    ] {
        let mut body = json!({ "schemas": [USER_URN], "userName": "a" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let found = user(body);
        assert!(found.contains(&expected), "{extra}: {found:?}");
    }
}

#[test]
fn what_a_patch_must_not_hold() {
    for (sent, expected) in [
        (json!({ "op": "Replace", "path": "title", "value": "x" }), "`op` is written `Replace`"),
        (json!({ "op": "move", "path": "title", "value": "x" }), "`op` is `move`"),
        (json!({ "op": "remove" }), "a remove lacks `path`"),
        (json!({ "op": "add", "path": "title" }), "a add lacks `value`"),
        (json!({ "op": "remove", "path": "title", "value": "x" }), "a remove has a `value`"),
        (json!({ "op": "replace", "path": "id", "value": "x" }), "`id` is read-only"),
        (json!({ "op": "replace", "path": "shoeSize", "value": "x" }), "unknown attribute `shoeSize`"),
        (json!({ "op": "replace", "path": "name.nick", "value": "x" }), "unknown attribute `name.nick`"),
        (json!({ "op": "replace", "path": "active", "value": "False" }), "`active` has the wrong type"),
        (json!({ "op": "replace", "path": "a[b", "value": "x" }), "`path` cannot be read"),
        (json!({ "op": "replace", "value": { "shoeSize": 9 } }), "unknown attribute `shoeSize`"),
    ] {
        assert_eq!(operation(sent.clone()), [expected], "{sent}");
    }
}

#[test]
fn proper_operations_pass() {
    for sent in [
        json!({ "op": "replace", "path": "title", "value": "x" }),
        json!({ "op": "replace", "path": "emails[type eq \"work\"].value", "value": "x" }),
        json!({ "op": "add", "path": "emails", "value": [{ "value": "x" }] }),
        json!({ "op": "add", "path": format!("{ENTERPRISE_URN}:manager.value"), "value": "9" }),
        json!({ "op": "add", "path": ENTERPRISE_URN, "value": { "department": "R" } }),
        json!({ "op": "remove", "path": "emails[type eq \"work\"]" }),
        json!({ "op": "replace", "value": { "active": false } }),
    ] {
        assert_eq!(operation(sent.clone()), Vec::<String>::new(), "{sent}");
    }
}
