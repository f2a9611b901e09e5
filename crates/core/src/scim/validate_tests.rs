use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scim::resource::{ENTERPRISE_URN, GROUP_URN, USER_URN};
use crate::scim::schema::Schema;

fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

/// `path rule kind` of each, the warnings with `?` in front.
fn findings(kind: ResourceKind, document: Value, schemas: &SchemaSet) -> Vec<String> {
    let report = validate(kind, &object(document), schemas);
    let line = |found: &Violation| format!("{} {} {}", found.path, found.rule, found.value_kind);
    let warnings = report.warnings.iter().map(|found| format!("?{}", line(found)));
    report.violations.iter().map(line).chain(warnings).collect()
}

fn check(kind: ResourceKind, document: Value, expected: &[&str]) {
    assert_eq!(findings(kind, document.clone(), SchemaSet::builtin()), expected, "{document}");
}

/// A valid user with `extra` on top.
fn user_with(extra: Value) -> Value {
    let mut user = json!({"schemas": [USER_URN], "userName": "anna"});
    user.as_object_mut().unwrap().extend(object(extra));
    user
}

fn check_user(extra: Value, expected: &[&str]) {
    check(ResourceKind::User, user_with(extra), expected);
}

#[test]
fn examples_of_the_rfc_are_valid_but_for_what_only_the_provider_sets() {
    let check = |kind, file: &str, expected: &[&str]| check(kind, serde_json::from_str(file).unwrap(), expected);
    let (user, group) = (ResourceKind::User, ResourceKind::Group);
    check(
        user,
        include_str!("../../tests/vectors/rfc7643-8.1-user-minimal.json"),
        &["id mutability string", "meta mutability object"],
    );
    check(
        user,
        include_str!("../../tests/vectors/rfc7643-8.2-user-full.json"),
        &["id mutability string", "groups mutability array", "meta mutability object"],
    );
    check(
        user,
        include_str!("../../tests/vectors/rfc7643-8.3-user-enterprise.json"),
        &[
            "id mutability string",
            "groups mutability array",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName mutability string",
            "meta mutability object",
        ],
    );
    check(
        group,
        include_str!("../../tests/vectors/rfc7643-8.4-group.json"),
        &["id mutability string", "meta mutability object"],
    );
}

#[test]
fn required() {
    let user = ResourceKind::User;
    check(user, json!({"schemas": [USER_URN]}), &["userName required absent"]);
    check(user, json!({"schemas": [USER_URN], "userName": null}), &["userName required null"]);
    check(user, json!({"schemas": [USER_URN], "USERNAME": ""}), &["USERNAME required string"]);
    check(user, json!({"schemas": [USER_URN], "userName": " "}), &["userName required string"]);
    check(ResourceKind::Group, json!({"schemas": [GROUP_URN]}), &["displayName required absent"]);
    check(user, json!({}), &["userName required absent", "schemas schemas_missing absent"]);
}

#[test]
fn types() {
    check_user(json!({"title": 7}), &["title type number"]);
    check_user(json!({"title": true, "active": "true"}), &["title type boolean", "active type string"]);
    check_user(json!({"name": "Anna"}), &["name type string"]);
    check_user(json!({"name": {"givenName": {}}}), &["name.givenName type object"]);
    check_user(json!({"emails": ["a@b"]}), &["emails[0] type string"]);
    check_user(
        json!({"emails": [{"value": "a@b"}, {"value": 1}, null]}),
        &["emails[1].value type number", "emails[2] type null"],
    );
    check_user(json!({"emails": [{"primary": "true"}]}), &["emails[0].primary type string"]);
}

#[test]
fn one_or_many() {
    check_user(json!({"emails": {"value": "a@b"}}), &["emails multi_valued object"]);
    check_user(json!({"emails": "a@b"}), &["emails multi_valued string"]);
    check_user(json!({"title": ["a", "b"], "name": [{}]}), &["title single_valued array", "name single_valued array"]);
}

#[test]
fn no_value_breaks_no_rule() {
    check_user(
        json!({"title": null, "emails": [], "name": {"givenName": null}, "groups": [], "id": null, "title2": 1}),
        &["title2 unknown_attribute number"],
    );
    check_user(json!({"title": [], "active": []}), &[]);
    check_user(json!({"title": "", "displayName": ""}), &[]);
}

#[test]
fn only_the_provider_sets_these() {
    check_user(
        json!({"id": "1", "meta": {}, "groups": [{"value": "1"}]}),
        &["id mutability string", "meta mutability object", "groups mutability array"],
    );
    check_user(json!({"externalId": "1", "password": "secret"}), &[]);
    let member = json!({"schemas": [GROUP_URN], "displayName": "x", "members": [
        {"value": "1", "type": "User", "$ref": "../Users/1", "display": "Anna"},
    ]});
    check(ResourceKind::Group, member, &[]);
}

#[test]
fn one_primary_value() {
    check_user(json!({"emails": [{"primary": true}, {"primary": false}]}), &[]);
    check_user(
        json!({"emails": [{"primary": true}, {"Primary": true}, {"primary": true}]}),
        &["emails[1].primary single_primary boolean", "emails[2].primary single_primary boolean"],
    );
    check_user(json!({"emails": [{"primary": true}], "phoneNumbers": [{"primary": true}]}), &[]);
}

#[test]
fn canonical_values_are_suggestions() {
    check_user(json!({"emails": [{"type": "Work"}, {"type": "billing"}]}), &["?emails[1].type canonical string"]);
}

#[test]
fn names_are_compared_without_regard_to_case() {
    check_user(json!({"NAME": {"GIVENNAME": "Anna"}, "Emails": [{"VALUE": "a@b"}]}), &[]);
    check_user(json!({"title": "a", "Title": "b"}), &["Title duplicate string"]);
    check_user(json!({"name": {"givenName": "a", "givenname": 7}}), &["name.givenname duplicate number"]);
}

#[test]
fn unknown_attributes() {
    check_user(
        json!({"shoeSize": 44, "name": {"nick": "x"}, "emails": [{"verified": true}]}),
        &[
            "shoeSize unknown_attribute number",
            "name.nick unknown_attribute string",
            "emails[0].verified unknown_attribute boolean",
        ],
    );
    check_user(json!({"members": []}), &["members unknown_attribute array"]);
    check_user(json!({"roles": [{"value": "a", "$ref": "../Roles/1"}], "addresses": [{"display": "x"}]}), &[]);
    let department = format!("{ENTERPRISE_URN}:department");
    check_user(json!({department.clone(): "x"}), &[&format!("{department} unknown_attribute string")]);
}

#[test]
fn extensions_and_the_list_of_schemas() {
    let listed = json!([USER_URN, ENTERPRISE_URN]);
    check_user(json!({"schemas": listed, ENTERPRISE_URN: {"department": "x", "manager": {"value": "1"}}}), &[]);
    check_user(json!({"schemas": listed}), &[]);
    check_user(
        json!({ENTERPRISE_URN: {"department": 1, "shoe": 2}}),
        &[
            &format!("{ENTERPRISE_URN}:department type number"),
            &format!("{ENTERPRISE_URN}:shoe unknown_attribute number"),
            &format!("{ENTERPRISE_URN} schemas_missing object"),
        ],
    );
    check_user(json!({"schemas": listed, ENTERPRISE_URN: "x"}), &[&format!("{ENTERPRISE_URN} type string")]);
    check_user(json!({"schemas": [ENTERPRISE_URN.to_uppercase()]}), &["schemas schemas_missing array"]);
    check_user(json!({"schemas": USER_URN}), &["schemas multi_valued string", "schemas schemas_missing string"]);
    check_user(
        json!({"schemas": [USER_URN, USER_URN, 7, GROUP_URN]}),
        &["schemas[1] duplicate string", "schemas[2] type number", "schemas[3] unknown_schema string"],
    );
    check(
        ResourceKind::User,
        json!({"SCHEMAS": [USER_URN, USER_URN], "userName": "anna"}),
        &["SCHEMAS[1] duplicate string"],
    );
    check_user(json!({GROUP_URN: {}}), &[&format!("{GROUP_URN} unknown_schema object")]);
}

#[test]
fn an_unknown_urn_is_a_violation_only_when_all_are_known() {
    let document = || user_with(json!({"schemas": [USER_URN, "urn:acme:User"], "urn:acme:User": {"x": 1}}));
    let warned = ["?schemas[1] unknown_schema string", "?urn:acme:User unknown_schema object"];
    check(ResourceKind::User, document(), &warned);
    let complete = SchemaSet::with_announced([], true);
    let broken = ["schemas[1] unknown_schema string", "urn:acme:User unknown_schema object"];
    assert_eq!(findings(ResourceKind::User, document(), &complete), broken);
}

#[test]
fn formats() {
    check_user(
        json!({"profileUrl": "not a url", "photos": [{"value": "https://x.example/a.png"}, {"value": ""}]}),
        &["profileUrl reference string", "photos[1].value reference string"],
    );
    check_user(
        json!({"x509Certificates": [{"value": "TWFu"}, {"value": "%"}]}),
        &["x509Certificates[1].value binary string"],
    );
}

fn acme() -> SchemaSet {
    let schema: Schema = serde_json::from_value(json!({"id": "urn:acme:User", "attributes": [
        {"name": "badge", "type": "string", "required": true},
        {"name": "level", "type": "Integer", "multiValued": "false"},
        {"name": "ratio", "type": "decimal"},
        {"name": "hiredAt", "type": "datetime"},
        {"name": "tags", "type": "string", "multiValued": true},
        {"name": "seen", "type": "dateTime", "mutability": "readOnly"},
        {"name": "odd", "type": "geo"},
        {"name": "bare", "type": "complex"},
        {"name": "deep", "type": "complex", "subAttributes": [
            {"name": "inner", "type": "complex", "subAttributes": [{"name": "flag", "type": "boolean", "required": true}]},
        ]},
    ]}))
    .unwrap();
    SchemaSet::with_announced([schema], true)
}

#[test]
fn announced_extensions() {
    let check = |extension: Value, expected: &[&str]| {
        let document = user_with(json!({"schemas": [USER_URN, "urn:acme:User"], "URN:acme:User": extension}));
        assert_eq!(findings(ResourceKind::User, document, &acme()), expected);
    };
    check(json!({"badge": "7", "level": 3, "ratio": 0.5, "hiredAt": "2024-02-29T00:00:00Z", "tags": ["a"]}), &[]);
    check(json!({"badge": "7", "odd": [1, {"x": null}], "bare": {"x": 1}, "deep": {"inner": {"flag": true}}}), &[]);
    check(
        json!({"level": 1.5, "ratio": "1", "hiredAt": "yesterday", "tags": ["a", 1], "seen": "x"}),
        &[
            "URN:acme:User:level type number",
            "URN:acme:User:ratio type string",
            "URN:acme:User:hiredAt date_time string",
            "URN:acme:User:tags[1] type number",
            "URN:acme:User:seen mutability string",
            "URN:acme:User:badge required absent",
        ],
    );
    check(json!({"badge": "7", "deep": {"inner": {}}}), &["URN:acme:User:deep.inner.flag required absent"]);
}

#[test]
fn what_an_unreadable_announcement_may_know_is_no_violation() {
    let schema: Schema = serde_json::from_value(json!({"id": "urn:acme:User", "attributes": [
        {"name": "known", "type": "complex", "subAttributes": [{"name": "a", "type": "string"}, 7]},
        {"type": "string"},
    ]}))
    .unwrap();
    let extension = json!({"known": {"a": "x", "b": "y"}, "unknown": 1});
    let document = user_with(json!({"schemas": [USER_URN, "urn:acme:User"], "urn:acme:User": extension}));
    assert_eq!(
        findings(ResourceKind::User, document, &SchemaSet::with_announced([schema], true)),
        ["?urn:acme:User:known.b unknown_attribute string", "?urn:acme:User:unknown unknown_attribute number",]
    );
}

#[test]
fn a_violation_is_three_words_and_no_value() {
    let report = validate(ResourceKind::User, &object(user_with(json!({"title": ["s3cret"]}))), SchemaSet::builtin());
    let expected = r#"{"violations":[{"path":"title","rule":"single_valued","value_kind":"array"}],"warnings":[]}"#;
    assert_eq!(serde_json::to_string(&report).unwrap(), expected);
    assert_eq!(serde_json::from_str::<Report>(expected).unwrap(), report);
    assert!(!report.is_valid());
}

#[test]
fn a_report_has_an_end() {
    let many = user_with(json!({"emails": vec![json!(1); ENTRIES_MAX + 5]}));
    assert_eq!(findings(ResourceKind::User, many, SchemaSet::builtin()).len(), ENTRIES_MAX);
}

fn any_value() -> impl Strategy<Value = Value> {
    let names = || prop_oneof!["[a-c]", Just("value".into()), Just("primary".into()), Just("manager".into())];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "sentinel-[a-z0-9]{3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever is given: an answer, the same each time, and no value in it.
    #[test]
    fn any_document_is_judged(values in prop::collection::vec(any_value(), 6)) {
        let names = ["schemas", "userName", "emails", "name", ENTERPRISE_URN, "urn:acme:User"];
        let document: Document = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        for kind in ResourceKind::ALL {
            let report = validate(*kind, &document, &acme());
            prop_assert_eq!(&report, &validate(*kind, &document, &acme()));
            prop_assert!(!serde_json::to_string(&report).unwrap().contains("sentinel"));
        }
    }
}
