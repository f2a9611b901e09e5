use std::collections::HashSet;

use super::*;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[test]
fn the_demo_is_as_large_as_it_says_and_always_the_same() {
    let demo = SampleDirectory::demo();
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    demo.write_jsonl(&mut once).unwrap();
    demo.write_jsonl(&mut twice).unwrap();
    assert_eq!(once, twice);
    assert_eq!(once.split(|byte| *byte == b'\n').count(), 1_250 + 40 + 1);
    let mut other = Vec::new();
    SampleDirectory { seed: 8, ..demo }.write_jsonl(&mut other).unwrap();
    assert_ne!(once, other);
}

#[test]
fn identities_are_unique_and_references_lead_somewhere() {
    let demo = SampleDirectory::demo();
    let all: Vec<Value> = demo.resources().collect();
    let ids: HashSet<&str> = all.iter().map(|one| text(one, "externalId")).collect();
    assert_eq!(ids.len(), all.len());
    let names: HashSet<String> = demo.users().map(|user| text(&user, "userName").to_lowercase()).collect();
    assert_eq!(names.len(), demo.users);
    let groups: HashSet<String> = demo.groups().map(|group| text(&group, "displayName").to_lowercase()).collect();
    assert_eq!(groups.len(), demo.groups);
    for one in &all {
        let members = one["members"].as_array().into_iter().flatten().map(|member| text(member, "value"));
        let manager = one[ENTERPRISE_URN]["manager"]["value"].as_str();
        assert!(members.chain(manager).all(|id| ids.contains(id)), "{one}");
    }
}

#[test]
fn there_is_something_of_everything() {
    let users: Vec<Value> = SampleDirectory { inactive_percent: 3, ..SampleDirectory::demo() }.users().collect();
    let count = |test: &dyn Fn(&Value) -> bool| users.iter().filter(|user| test(user)).count();
    assert!((10..100).contains(&count(&|user| user["active"] == false)));
    assert!((50..200).contains(&count(&|user| user["attributes"]["kind"] == "contractor")));
    assert!(count(&|user| !text(user, "displayName").is_ascii()) > 300);
    assert!(count(&|user| text(user, "userName").is_ascii()) == users.len());
    let groups: Vec<Value> = SampleDirectory::demo().groups().collect();
    let members = |group: &Value| group["members"].as_array().unwrap().clone();
    assert_eq!(groups.last().unwrap()["displayName"], "Staff");
    assert!(members(groups.last().unwrap()).len() > 1_000);
    assert!(groups.iter().any(|group| members(group).iter().any(|member| member["type"] == "Group")));
    assert!(groups.iter().all(|group| !members(group).is_empty()));
    assert!(["Engineering", "Sales"].iter().all(|name| groups.iter().any(|group| group["displayName"] == **name)));
}
