use serde_json::json;

use super::*;
use crate::scim::resource::{ENTERPRISE_URN, USER_URN};

fn parse(text: &str) -> Result<AttributePath, InvalidPath> {
    AttributePath::parse(text, SchemaSet::builtin())
}

fn object(value: Value) -> Document {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

#[test]
fn reading() {
    let check = |text: &str, expected: (Option<&str>, Option<&str>, Option<&str>)| {
        let path = parse(text).unwrap();
        assert_eq!((path.extension(), path.attribute(), path.sub_attribute()), expected, "{text}");
    };
    check("userName", (None, Some("userName"), None));
    check("name.givenName", (None, Some("name"), Some("givenName")));
    check("members.$ref", (None, Some("members"), Some("$ref")));
    check(&format!("{USER_URN}:name.givenName"), (None, Some("name"), Some("givenName")));
    check(&format!("{ENTERPRISE_URN}:department"), (Some(ENTERPRISE_URN), Some("department"), None));
    check(&format!("{ENTERPRISE_URN}:manager.value"), (Some(ENTERPRISE_URN), Some("manager"), Some("value")));
    check(ENTERPRISE_URN, (Some(ENTERPRISE_URN), None, None));
    check("urn:acme:2.0:User:badge", (Some("urn:acme:2.0:User"), Some("badge"), None));
}

#[test]
fn the_longest_known_urn_is_split_off() {
    let schema = |urn: &str| serde_json::from_value(json!({"id": urn, "attributes": []})).unwrap();
    let schemas = SchemaSet::with_announced([schema("urn:acme"), schema("urn:acme:User")], true);
    let path = AttributePath::parse("URN:acme:user:badge", &schemas).unwrap();
    assert_eq!((path.extension(), path.attribute()), (Some("URN:acme:user"), Some("badge")));
    let path = AttributePath::parse("urn:acme:UserX", &schemas).unwrap();
    assert_eq!((path.extension(), path.attribute()), (Some("urn:acme"), Some("UserX")));
}

#[test]
fn refusing() {
    let long = "x".repeat(PATH_LENGTH_MAX + 1);
    for text in ["", ".", "a.", "a.b.c", "1a", "a b", "ä", "emails[type eq \"work\"]", "urn:acme:", USER_URN, &long] {
        let error = parse(text).unwrap_err();
        assert!(error.path.len() <= 80, "{text}");
    }
    assert_eq!(
        parse("emails[0]").unwrap_err().to_string(),
        "invalid attribute path `emails[0]`: an attribute path without a filter"
    );
}

#[test]
fn written_as_read() {
    for text in ["userName", "name.givenName", ENTERPRISE_URN, "urn:acme:2.0:User:badge.id"] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn getting() {
    let document = object(json!({
        "USERNAME": "anna", "name": {"GivenName": "Anna"}, "emails": [{"value": "a"}],
        ENTERPRISE_URN.to_uppercase(): {"Manager": {"value": "7"}},
    }));
    let check = |text: &str, expected: Option<Value>| {
        assert_eq!(parse(text).unwrap().get(&document), expected.as_ref(), "{text}");
    };
    check("userName", Some(json!("anna")));
    check("name.givenname", Some(json!("Anna")));
    check("emails", Some(json!([{"value": "a"}])));
    check("emails.value", None);
    check("title", None);
    check("userName.x", None);
    check(&format!("{ENTERPRISE_URN}:manager.value"), Some(json!("7")));
}

#[test]
fn setting_and_removing() {
    let mut document = object(json!({"Name": {"givenName": "Anna"}, "title": "x"}));
    let department = parse(&format!("{ENTERPRISE_URN}:department")).unwrap();
    assert_eq!(parse("name.GIVENNAME").unwrap().set(&mut document, json!("Ann")), Ok(Some(json!("Anna"))));
    assert_eq!(department.set(&mut document, json!("Sales")), Ok(None));
    assert!(parse("title.x").unwrap().set(&mut document, json!(1)).is_err());
    let expected = json!({"Name": {"givenName": "Ann"}, "title": "x", ENTERPRISE_URN: {"department": "Sales"}});
    assert_eq!(Value::Object(document.clone()), expected);
    assert_eq!(department.remove(&mut document), Some(json!("Sales")));
    assert_eq!(department.remove(&mut document), None);
    assert_eq!(parse("TITLE").unwrap().remove(&mut document), Some(json!("x")));
    assert_eq!(Value::Object(document), json!({"Name": {"givenName": "Ann"}, ENTERPRISE_URN: {}}));
}

#[test]
fn trails_are_written_as_violations_name_places() {
    let root = Trail::root();
    assert_eq!(root.to_string(), "");
    assert_eq!(root.name("emails").index(1).name("value").to_string(), "emails[1].value");
    assert_eq!(root.name("urn:x:User").name("manager").name("value").to_string(), "urn:x:User:manager.value");
    assert_eq!(root.name("urn:x:User").to_string(), "urn:x:User");
}
