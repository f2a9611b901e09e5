use serde_json::{Value, json};

use super::*;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn patch(kind: ResourceKind, document: &Value, operations: &Value) -> Result<(Value, Vec<MemberEdit>), PatchError> {
    let request = PatchRequest::try_from(json!({"Operations": operations})).unwrap();
    let patch = Patch::read(kind, request, SchemaSet::builtin())?;
    let mut document = document.as_object().unwrap().clone();
    patch.apply(kind, &mut document, SchemaSet::builtin())?;
    Ok((Value::Object(document), patch.members))
}

fn anna() -> Value {
    json!({
        "userName": "anna", "active": true, "title": "Engineer",
        "name": {"givenName": "Anna", "familyName": "Berg"},
        "emails": [
            {"value": "anna@work.example", "type": "work", "primary": true},
            {"value": "anna@home.example", "type": "home"},
        ],
    })
}

/// What the operations make of Anna, told as the members that differ; `null`: the attribute went.
fn check(operations: Value, difference: Value) {
    let (after, _) =
        patch(ResourceKind::User, &anna(), &operations).unwrap_or_else(|error| panic!("{operations}: {error}"));
    let mut expected = anna();
    for (name, value) in difference.as_object().unwrap() {
        let object = expected.as_object_mut().unwrap();
        if value.is_null() {
            object.shift_remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    assert_eq!(after, expected, "{operations}");
}

fn refuse(operations: Value, word: &str) {
    let error = patch(ResourceKind::User, &anna(), &operations).unwrap_err();
    assert_eq!(error.scim_type().as_str(), word, "{operations}: {error}");
}

#[test]
fn add_replace_and_remove_an_attribute() {
    check(json!([{"op": "add", "path": "nickName", "value": "An"}]), json!({"nickName": "An"}));
    check(json!([{"op": "replace", "path": "title", "value": "CTO"}]), json!({"title": "CTO"}));
    check(json!([{"op": "remove", "path": "title"}]), json!({"title": null}));
    check(json!([{"op": "replace", "path": "title", "value": null}]), json!({"title": null}));
    check(json!([{"op": "remove", "path": "nickName"}]), json!({}));
    check(
        json!([{"op": "replace", "path": "name.familyName", "value": "Lund"}]),
        json!({"name": {"givenName": "Anna", "familyName": "Lund"}}),
    );
    check(json!([{"op": "remove", "path": "name.familyName"}]), json!({"name": {"givenName": "Anna"}}));
    check(
        json!([{"op": "remove", "path": "name.familyName"}, {"op": "remove", "path": "name.givenName"}]),
        json!({"name": null}),
    );
    check(
        json!([{"op": "replace", "path": "name", "value": {"familyName": "Lund", "givenName": null}}]),
        json!({"name": {"familyName": "Lund"}}),
    );
    check(
        json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:title", "value": "CTO"}]),
        json!({"title": "CTO"}),
    );
}

#[test]
fn lists_of_values() {
    let (work, home) = (&anna()["emails"][0].clone(), &anna()["emails"][1].clone());
    let third = json!({"value": "a@b", "type": "other"});
    check(json!([{"op": "add", "path": "emails", "value": [third]}]), json!({"emails": [work, home, third]}));
    check(json!([{"op": "add", "path": "emails", "value": third}]), json!({"emails": [work, home, third]}));
    check(json!([{"op": "add", "path": "emails", "value": [home]}]), json!({}));
    check(json!([{"op": "replace", "path": "emails", "value": [third]}]), json!({"emails": [third]}));
    check(json!([{"op": "remove", "path": "emails"}]), json!({"emails": null}));
    check(
        json!([{"op": "remove", "path": "emails", "value": [{"value": "anna@home.example"}]}]),
        json!({"emails": [work]}),
    );
    check(
        json!([{"op": "add", "path": "emails", "value": [{"value": "a@b", "primary": true}]}]),
        json!({"emails": [
            {"value": "anna@work.example", "type": "work", "primary": false},
            home,
            {"value": "a@b", "primary": true},
        ]}),
    );
}

#[test]
fn value_paths() {
    let (work, home) = (&anna()["emails"][0].clone(), &anna()["emails"][1].clone());
    check(
        json!([{"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x@y"}]),
        json!({"emails": [work, {"value": "x@y", "type": "home"}]}),
    );
    check(json!([{"op": "remove", "path": "emails[type eq \"work\"]"}]), json!({"emails": [home]}));
    check(json!([{"op": "remove", "path": "emails[value sw \"anna\"]"}]), json!({"emails": null}));
    check(json!([{"op": "remove", "path": "emails[type eq \"none\"]"}]), json!({}));
    check(
        json!([{"op": "replace", "path": "emails[type eq \"home\"]", "value": {"value": "x@y", "type": "other"}}]),
        json!({"emails": [work, {"value": "x@y", "type": "other"}]}),
    );
    check(
        json!([{"op": "add", "path": "emails[type eq \"home\"]", "value": {"display": "at home"}}]),
        json!({"emails": [work, {"value": "anna@home.example", "type": "home", "display": "at home"}]}),
    );
    check(
        json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"].value", "value": "+47"}]),
        json!({"phoneNumbers": [{"type": "work", "value": "+47"}]}),
    );
    check(
        json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": "True"}]),
        json!({"emails": [
            {"value": "anna@work.example", "type": "work", "primary": false},
            {"value": "anna@home.example", "type": "home", "primary": true},
        ]}),
    );
}

#[test]
fn habits_of_entra_and_okta() {
    check(json!([{"op": "Replace", "path": "active", "value": "False"}]), json!({"active": false}));
    check(json!([{"op": "replace", "value": {"active": false}}]), json!({"active": false}));
    check(json!([{"op": "Add", "path": "ACTIVE", "value": "false"}]), json!({"active": false}));
    check(
        json!([{"op": "Replace", "value": {
            "id": "7", "schemas": [], "meta": {}, "name.familyName": "Lund", "title": "CTO",
            "emails[type eq \"home\"].value": "x@y",
        }}]),
        json!({
            "name": {"givenName": "Anna", "familyName": "Lund"}, "title": "CTO",
            "emails": [anna()["emails"][0], {"value": "x@y", "type": "home"}],
        }),
    );
    check(
        json!([{"op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": "9"}]),
        json!({ENTERPRISE: {"manager": {"value": "9"}}}),
    );
    check(
        json!([{"op": "Add", "value": {format!("{ENTERPRISE}:department"): "R&D"}}]),
        json!({ENTERPRISE: {"department": "R&D"}}),
    );
}

#[test]
fn extensions_and_free_attributes() {
    check(
        json!([{"op": "add", "value": {ENTERPRISE: {"department": "R&D", "manager": {"value": "9", "displayName": "x"}}}}]),
        json!({ENTERPRISE: {"department": "R&D", "manager": {"value": "9"}}}),
    );
    check(
        json!([
            {"op": "add", "path": ENTERPRISE, "value": {"department": "R&D"}},
            {"op": "replace", "path": ENTERPRISE, "value": {"costCenter": "1"}},
        ]),
        json!({ENTERPRISE: {"department": "R&D", "costCenter": "1"}}),
    );
    check(
        json!([
            {"op": "add", "path": format!("{ENTERPRISE}:department"), "value": "R&D"},
            {"op": "remove", "path": format!("{ENTERPRISE}:department")},
        ]),
        json!({}),
    );
    check(
        json!([{"op": "add", "path": format!("{ENTERPRISE}:department"), "value": "x"}, {"op": "remove", "path": ENTERPRISE}]),
        json!({}),
    );
    check(
        json!([{"op": "add", "path": "attributes.kind", "value": "staff"}]),
        json!({"attributes": {"kind": "staff"}}),
    );
    check(
        json!([{"op": "add", "value": {"urn:example:1.0:Thing": {"colour": "red"}}}]),
        json!({"urn:example:1.0:Thing": {"colour": "red"}}),
    );
    check(
        json!([
            {"op": "add", "value": {"urn:example:1.0:Thing": {"colour": "red"}}},
            {"op": "replace", "path": "urn:example:1.0:Thing:colour", "value": "blue"},
        ]),
        json!({"urn:example:1.0:Thing": {"colour": "blue"}}),
    );
}

#[test]
fn refusals_have_the_word_of_the_rfc() {
    for (operations, word) in [
        (json!([{"op": "remove"}]), "noTarget"),
        (json!([{"op": "replace", "path": "emails[type eq \"none\"].value", "value": "x"}]), "noTarget"),
        (json!([{"op": "replace", "path": "emails[type eq", "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": "nosuch", "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": "name.nosuch", "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": "title.nosuch", "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": format!("{ENTERPRISE}:nosuch"), "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": "name[givenName eq \"x\"].familyName", "value": "x"}]), "invalidPath"),
        (json!([{"op": "replace", "path": "title"}]), "invalidValue"),
        (json!([{"op": "replace", "value": "x"}]), "invalidValue"),
        (json!([{"op": "replace", "path": "id", "value": "x"}]), "mutability"),
        (json!([{"op": "replace", "path": "meta.version", "value": "x"}]), "mutability"),
        (json!([{"op": "add", "path": "groups", "value": []}]), "mutability"),
        (json!([{"op": "add", "path": format!("{ENTERPRISE}:manager.displayName"), "value": "x"}]), "mutability"),
        (json!([{"op": "remove", "path": "userName"}]), "mutability"),
    ] {
        refuse(operations, word);
    }
}

#[test]
fn members_are_told_apart() {
    let group = json!({"displayName": "Staff"});
    let ids = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let cases = [
        (
            json!([{"op": "add", "path": "members", "value": [{"value": "1"}, {"value": "2"}]}]),
            MemberEdit::Add(ids(&["1", "2"])),
        ),
        (
            json!([
                {"op": "Add", "path": "members", "value": [{"value": "1"}]},
                {"op": "Add", "path": "members", "value": [{"value": "2"}]},
            ]),
            MemberEdit::Add(ids(&["1", "2"])),
        ),
        (json!([{"op": "add", "value": {"members": [{"value": "1"}]}}]), MemberEdit::Add(ids(&["1"]))),
        (json!([{"op": "replace", "path": "members", "value": [{"value": "1"}]}]), MemberEdit::Replace(ids(&["1"]))),
        (json!([{"op": "remove", "path": "members"}]), MemberEdit::Replace(Vec::new())),
        (json!([{"op": "remove", "path": "members[value eq \"1\"]"}]), MemberEdit::Remove(ids(&["1"]))),
        (
            json!([{"op": "remove", "path": "members[value eq \"1\" or value eq \"2\"]"}]),
            MemberEdit::Remove(ids(&["1", "2"])),
        ),
        (json!([{"op": "Remove", "path": "members", "value": [{"value": "1"}]}]), MemberEdit::Remove(ids(&["1"]))),
        (json!([{"op": "Remove", "path": "members", "value": {"value": "1"}}]), MemberEdit::Remove(ids(&["1"]))),
    ];
    for (operations, edit) in cases {
        let (after, members) = patch(ResourceKind::Group, &group, &operations).unwrap();
        assert_eq!((after, members), (group.clone(), vec![edit]), "{operations}");
    }
    let mixed = json!([{"op": "replace", "value": {"id": "g", "displayName": "All", "members": [{"value": "1"}]}}]);
    let (after, members) = patch(ResourceKind::Group, &group, &mixed).unwrap();
    assert_eq!((after, members), (json!({"displayName": "All"}), vec![MemberEdit::Replace(ids(&["1"]))]));
    let matching = json!([{"op": "remove", "path": "members[type eq \"Group\"]"}]);
    let (_, members) = patch(ResourceKind::Group, &group, &matching).unwrap();
    assert!(matches!(members.as_slice(), [MemberEdit::RemoveMatching(_)]));
    for operations in [
        json!([{"op": "replace", "path": "members.value", "value": "1"}]),
        json!([{"op": "replace", "path": "members[value eq \"1\"].value", "value": "2"}]),
    ] {
        let error = patch(ResourceKind::Group, &group, &operations).unwrap_err();
        assert_eq!(error.scim_type().as_str(), "mutability", "{operations}");
    }
    let valueless = json!([{"op": "add", "path": "members", "value": [{"display": "x"}]}]);
    let error = patch(ResourceKind::Group, &group, &valueless).unwrap_err();
    assert_eq!(error.scim_type().as_str(), "invalidValue");
}
