use serde_json::json;

use super::*;

fn schema(value: Value) -> Schema {
    serde_json::from_value(value).unwrap()
}

#[test]
fn the_data_files_are_read_whole() {
    for (set, count) in [(&BUILTIN.schemas[0], 21), (&BUILTIN.schemas[1], 2), (&BUILTIN.schemas[2], 6)] {
        assert!(set.whole, "{}", set.id);
        assert_eq!(set.attributes.len(), count, "{}", set.id);
        for attribute in &set.attributes {
            assert_ne!(attribute.kind, AttributeType::Unchecked, "{}", attribute.name);
            assert_eq!(attribute.whole, attribute.kind == AttributeType::Complex, "{}", attribute.name);
        }
    }
    assert_eq!(COMMON.attributes.len(), 4);
    assert_eq!(USUAL.attributes.len(), 5);
}

#[test]
fn the_data_files_are_what_is_written() {
    for file in [
        include_str!("schemas/user.json"),
        include_str!("schemas/group.json"),
        include_str!("schemas/enterprise-user.json"),
    ] {
        let read: Schema = serde_json::from_str(file).unwrap();
        let again: Schema = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}

#[test]
fn lookups_ignore_case() {
    let set = SchemaSet::builtin();
    assert_eq!(set.core(ResourceKind::User).id, USER_URN);
    assert_eq!(set.core(ResourceKind::Group).id, GROUP_URN);
    assert_eq!(set.get(&ENTERPRISE_URN.to_uppercase()).unwrap().name, "EnterpriseUser");
    assert!(set.top_level(ResourceKind::User, "USERNAME").unwrap().required);
    assert_eq!(set.top_level(ResourceKind::Group, "externalid").unwrap().name, "externalId");
    assert!(set.top_level(ResourceKind::Group, "userName").is_none());
    assert!(set.extension(ENTERPRISE_URN).is_some());
    assert!(set.extension(USER_URN).is_none());
}

#[test]
fn an_announcement_is_read_as_far_as_it_goes() {
    let read = schema(json!({"ID": "urn:x", "Attributes": [
        {"name": "a", "type": "STRING", "MultiValued": "True", "mutability": "readonly", "returned": "sometimes"},
        {"type": "string"},
        "nonsense",
        {"name": "b", "type": "geo"},
        {"name": "c", "subAttributes": [{"name": "d", "type": "boolean"}, null]},
    ]}));
    assert_eq!(read.name, "urn:x");
    assert!(!read.whole);
    let names: Vec<_> = read.attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.kind)).collect();
    let (string, unchecked, complex) = (AttributeType::String, AttributeType::Unchecked, AttributeType::Complex);
    assert_eq!(names, [("a", string), ("b", unchecked), ("c", complex)]);
    let a = read.attribute("A").unwrap();
    assert!(a.multi_valued);
    assert_eq!((a.mutability, a.returned), (Mutability::ReadOnly, Returned::Default));
    assert!(!read.attribute("c").unwrap().whole);
    assert!(serde_json::from_value::<Schema>(json!({"name": "no id"})).is_err());
}

#[test]
fn an_announcement_only_adds() {
    let less = schema(json!({"id": USER_URN.to_lowercase(), "attributes": [
        {"name": "USERNAME", "type": "integer", "required": false},
        {"name": "emails", "type": "complex", "subAttributes": [{"name": "verified", "type": "boolean"}]},
        {"name": "shoeSize", "type": "integer"},
    ]}));
    let set = SchemaSet::with_announced([less], true);
    assert_eq!(set.iter().count(), 3);
    let user = set.core(ResourceKind::User);
    let user_name = user.attribute("userName").unwrap();
    assert_eq!((user_name.kind, user_name.required), (AttributeType::String, true));
    assert!(user.attribute("title").is_some());
    assert_eq!(user.attribute("shoeSize").unwrap().kind, AttributeType::Integer);
    let emails = user.attribute("emails").unwrap();
    assert!(emails.multi_valued && emails.whole);
    assert!(emails.sub_attribute("verified").is_some() && emails.sub_attribute("value").is_some());
}

#[test]
fn an_unreadable_schema_makes_the_set_incomplete() {
    let resources =
        |values: &[Value]| values.iter().map(|value| value.as_object().unwrap().clone()).collect::<Vec<_>>();
    let good = json!({"id": "urn:x", "attributes": []});
    assert!(SchemaSet::from_resources(resources(std::slice::from_ref(&good)), true).complete);
    let set = SchemaSet::from_resources(resources(&[good, json!({"name": "?"})]), true);
    assert!(!set.complete);
    assert!(set.get("urn:x").is_some());
}

#[test]
fn deep_announcements_end() {
    let mut nested = json!({"name": "leaf", "type": "string"});
    for _ in 0..50 {
        nested = json!({"name": "n", "type": "complex", "subAttributes": [nested]});
    }
    let read = schema(json!({"id": "urn:x", "attributes": [nested]}));
    let mut depth = 0;
    let mut attributes = &read.attributes;
    while let Some(attribute) = attributes.first() {
        depth += 1;
        attributes = &attribute.sub_attributes;
    }
    assert_eq!(depth, ATTRIBUTE_DEPTH_MAX);
}
