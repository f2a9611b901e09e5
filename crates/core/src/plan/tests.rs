use super::*;
use crate::profile::{MemberRemoval, MemberType, Way};

fn object(json: Value) -> Document {
    match json {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn patching() -> Profile {
    Profile { update: Update::Patch, ..Profile::default() }
}

fn paths(plan: &Plan) -> Vec<&str> {
    plan.changes.iter().map(|change| change.path.as_str()).collect()
}

fn sent<'a>(id: &'a RemoteId, document: &'a Document, digest: &'a str) -> Standing<'a> {
    Standing {
        remote_id: Some(id),
        ownership: Some(Ownership::Created),
        baseline: Some(document),
        sent_digest: Some(digest),
    }
}

/// What the changes should be: path and the value to be.
type Expected<'a> = &'a [(&'a str, Option<Value>)];

const ENTERPRISE: &str = crate::scim::resource::ENTERPRISE_URN;

#[test]
fn differences_name_the_paths_that_a_patch_would() {
    let before = object(json!({
        "userName": "anna", "title": "Dr", "name": {"givenName": "Anna", "familyName": "A"},
        "emails": [{"value": "a@x"}, {"value": "b@x"}],
        ENTERPRISE: {"department": "IT", "manager": {"value": "1"}}, "schemas": ["a"]
    }));
    let cases: &[(Value, Expected<'_>)] = &[
        (json!({"name": {"givenName": "Anna", "familyName": "B"}}), &[("name.familyName", Some(json!("B")))]),
        (json!({"name": {"givenName": "Anna"}}), &[("name.familyName", None)]),
        (json!({"title": null}), &[("title", None)]),
        (json!({"emails": [{"value": "b@x"}, {"value": "a@x"}]}), &[]),
        (json!({"emails": [{"value": "b@x"}]}), &[("emails", Some(json!([{"value": "b@x"}])))]),
        (json!({"schemas": ["b"]}), &[]),
        (
            json!({ENTERPRISE: {"department": "HR", "manager": {"value": "1"}}}),
            &[("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", Some(json!("HR")))],
        ),
        (
            json!({ENTERPRISE: null}),
            &[
                ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", None),
                ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", None),
            ],
        ),
        (
            json!({ENTERPRISE: {"department": "IT", "manager": {"value": "2"}}}),
            &[("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", Some(json!({"value": "2"})))],
        ),
    ];
    for (patch, expected) in cases {
        let mut after = before.clone();
        for (key, value) in object(patch.clone()) {
            if value.is_null() {
                after.shift_remove(&key);
            } else {
                after.insert(key, value);
            }
        }
        let found: Vec<(String, Option<Value>)> =
            changes(&before, &after).into_iter().map(|change| (change.path, change.to)).collect();
        let expected: Vec<(String, Option<Value>)> =
            expected.iter().map(|(path, to)| ((*path).to_owned(), to.clone())).collect();
        assert_eq!(found, expected, "{patch}");
    }
}

#[test]
fn a_new_extension_is_sent_attribute_by_attribute() {
    let after = object(json!({ENTERPRISE: {"department": "IT", "division": "X"}}));
    let found = changes(&Document::new(), &after);
    assert_eq!(found.len(), 2);
    assert!(found[0].path.ends_with(":User:department"));
}

#[test]
fn what_was_sent_is_not_sent_again() {
    let id = RemoteId::parse("r1").unwrap();
    let document = object(json!({"userName": "anna", "emails": [{"value": "a"}, {"value": "b"}]}));
    let turned = object(json!({"emails": [{"value": "b"}, {"value": "a"}], "userName": "anna"}));
    let sent_digest = digest(&document);
    let plan =
        plan_wanted(ResourceKind::User, &turned, sent(&id, &document, &sent_digest), Leavers::default(), &patching());
    assert_eq!(plan.operation, Operation::Nothing(Idle::InSync));
}

#[test]
fn the_profile_decides_between_patch_and_put() {
    let id = RemoteId::parse("r1").unwrap();
    let before = object(json!({"userName": "anna", "title": "a"}));
    let after = object(json!({"userName": "anna", "title": "b"}));
    let old = digest(&before);
    let standing = sent(&id, &before, &old);
    let patch = plan_wanted(ResourceKind::User, &after, standing, Leavers::default(), &patching());
    assert!(matches!(&patch.operation, Operation::Patch { operations } if operations.len() == 1));
    let put = plan_wanted(ResourceKind::User, &after, standing, Leavers::default(), &Profile::default());
    assert_eq!(put.operation, Operation::Replace { document: after });
    assert_eq!(paths(&put), ["title"]);
}

#[test]
fn nobody_inactive_is_created_and_turning_off_is_named_so() {
    let off = object(json!({"userName": "anna", "active": false}));
    let new = Standing { remote_id: None, ownership: None, baseline: None, sent_digest: None };
    let plan = plan_wanted(ResourceKind::User, &off, new, Leavers::default(), &patching());
    assert_eq!(plan.operation, Operation::Nothing(Idle::NoAccountNeeded));

    let id = RemoteId::parse("r1").unwrap();
    let on = object(json!({"userName": "anna", "active": true}));
    let old = digest(&on);
    let plan = plan_wanted(ResourceKind::User, &off, sent(&id, &on, &old), Leavers::default(), &patching());
    assert_eq!(plan.operation.word(), "deactivate");
    let delete = Leavers { disabled: LeaverAction::Delete, ..Leavers::default() };
    let plan = plan_wanted(ResourceKind::User, &off, sent(&id, &on, &old), delete, &patching());
    assert_eq!(plan.operation, Operation::Delete);
    let keep = Leavers { disabled: LeaverAction::Keep, ..Leavers::default() };
    let plan = plan_wanted(ResourceKind::User, &off, sent(&id, &on, &old), keep, &patching());
    assert_eq!(plan.operation, Operation::Nothing(Idle::Kept));
}

#[test]
fn of_an_adopted_account_only_our_attributes_are_set() {
    let id = RemoteId::parse("r1").unwrap();
    let shown = object(json!({"userName": "anna", "title": "x", "nickName": "theirs", "id": "r1"}));
    let adopted = Standing {
        remote_id: Some(&id),
        ownership: Some(Ownership::Adopted),
        baseline: Some(&shown),
        sent_digest: None,
    };
    let desired = object(json!({"userName": "anna", "title": "y"}));
    let plan = plan_wanted(ResourceKind::User, &desired, adopted, Leavers::default(), &patching());
    assert_eq!(paths(&plan), ["title"]);
    let same = object(json!({"userName": "anna"}));
    let plan = plan_wanted(ResourceKind::User, &same, adopted, Leavers::default(), &patching());
    assert_eq!(plan.operation, Operation::Nothing(Idle::InSync));
}

#[test]
fn leavers_go_by_policy_and_ownership() {
    use LeaverAction::{Deactivate, Delete, Keep};
    let policy = Leavers::default();
    let created = Some(Ownership::Created);
    let adopted = Some(Ownership::Adopted);
    let cases = [
        (ResourceKind::User, Leaving::Deleted, created, false, Delete),
        (ResourceKind::User, Leaving::Deleted, adopted, false, Deactivate),
        (ResourceKind::User, Leaving::Deleted, adopted, true, Delete),
        (ResourceKind::User, Leaving::OutOfScope, created, false, Deactivate),
        (ResourceKind::Group, Leaving::Deleted, created, false, Delete),
        (ResourceKind::Group, Leaving::Deleted, adopted, false, Keep),
    ];
    for (kind, leaving, ownership, delete_adopted, expected) in cases {
        let action = leaver_action(kind, leaving, ownership, policy, delete_adopted);
        assert_eq!(action, expected, "{kind} {leaving:?} {ownership:?} {delete_adopted}");
    }
    let groups_off = Leavers { groups: Deactivate, ..policy };
    assert_eq!(leaver_action(ResourceKind::Group, Leaving::Deleted, created, groups_off, false), Keep);
}

#[test]
fn where_users_cannot_be_deleted_they_are_deactivated_once() {
    let id = RemoteId::parse("r1").unwrap();
    let on = object(json!({"userName": "anna", "active": true}));
    let profile = Profile { delete_users: false, ..patching() };
    let plan = plan_away(ResourceKind::User, LeaverAction::Delete, sent(&id, &on, ""), &profile);
    assert_eq!(plan.operation.word(), "deactivate");
    let off = object(json!({"userName": "anna", "active": false}));
    let plan = plan_away(ResourceKind::User, LeaverAction::Delete, sent(&id, &off, ""), &profile);
    assert_eq!(plan.operation, Operation::Nothing(Idle::Kept));
}

fn members(range: std::ops::Range<u32>) -> Vec<Member> {
    range.map(|n| member_of(&n.to_string(), ResourceKind::User)).collect()
}

fn member_of(id: &str, kind: ResourceKind) -> Member {
    Member { account: RemoteId::parse(id).unwrap(), kind }
}

#[test]
fn members_travel_in_chunks_of_the_profile() {
    let profile = Profile { members_per_patch: 100, ..patching() };
    let sizes = |patches: Vec<Vec<PatchOperation>>| patches.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(member_patches(&members(0..250), &[], &profile)), [1, 1, 1]);
    assert_eq!(sizes(member_patches(&members(0..1), &members(5..7), &profile)), [3]);
    assert_eq!(sizes(member_patches(&[], &members(0..150), &profile)), [100, 50]);
    let listed = Profile { member_removal: MemberRemoval::ValueList, ..profile.clone() };
    assert_eq!(sizes(member_patches(&[], &members(0..150), &listed)), [1, 1]);
    let one_by_one = Profile { removals_per_patch: 1, members_per_patch: 20, ..profile };
    assert_eq!(sizes(member_patches(&members(0..30), &members(40..43), &one_by_one)), [1, 1, 1, 1, 1]);
    let quoted = member_patches(&[], &[member_of("a\"b", ResourceKind::User)], &patching());
    assert_eq!(quoted[0][0].path.as_deref(), Some(r#"members[value eq "a\"b"]"#));
}

#[test]
fn members_say_what_they_are_where_that_is_wanted() {
    let some = [member_of("1", ResourceKind::User), member_of("2", ResourceKind::Group)];
    let cases = [
        (MemberType::Absent, json!([{"value": "1"}, {"value": "2"}])),
        (MemberType::Capitalised, json!([{"value": "1", "type": "User"}, {"value": "2", "type": "Group"}])),
        (MemberType::Lower, json!([{"value": "1", "type": "user"}, {"value": "2", "type": "group"}])),
    ];
    for (member_type, expected) in cases {
        assert_eq!(member_values(&some, &Profile { member_type, ..patching() }), expected);
    }
}

#[test]
fn active_goes_by_patch_where_the_profile_says_so() {
    let id = RemoteId::parse("r1").unwrap();
    let profile = Profile { deactivate: Way::Patch, ..Profile::default() };
    let on = object(json!({"userName": "anna", "active": true, "title": "a"}));
    let off = object(json!({"userName": "anna", "active": false, "title": "a"}));
    let retitled = object(json!({"userName": "anna", "active": true, "title": "b"}));
    let plan = |before: &Document, after: &Document| {
        let sent_digest = digest(before);
        plan_wanted(ResourceKind::User, after, sent(&id, before, &sent_digest), Leavers::default(), &profile)
    };
    assert_eq!(profile.update_of_active(), Update::Patch);
    assert_eq!(plan(&on, &off).operation.word(), "deactivate");
    assert_eq!(plan(&off, &on).operation.word(), "patch");
    assert_eq!(plan(&on, &retitled).operation.word(), "replace");
}

#[test]
fn a_group_that_cannot_be_renamed_is_left_alone_and_says_so() {
    let id = RemoteId::parse("g1").unwrap();
    let before = object(json!({"displayName": "a"}));
    let after = object(json!({"displayName": "b"}));
    let old = digest(&before);
    let profile = Profile { group_renames: false, ..patching() };
    let plan = plan_wanted(ResourceKind::Group, &after, sent(&id, &before, &old), Leavers::default(), &profile);
    assert_eq!(plan.operation, Operation::Nothing(Idle::NameFixed));
    assert_eq!(paths(&plan), ["displayName"]);
}

#[test]
fn an_adopted_account_keeps_values_of_others() {
    let id = RemoteId::parse("r1").unwrap();
    let shown = object(json!({"userName": "anna", "emails": [{"value": "a@x", "type": "work"}, {"value": "own@x"}]}));
    let adopted = Standing {
        remote_id: Some(&id),
        ownership: Some(Ownership::Adopted),
        baseline: Some(&shown),
        sent_digest: None,
    };
    let desired = object(json!({"userName": "anna", "emails": [{"value": "a@x", "type": "work"}]}));
    let plan = plan_wanted(ResourceKind::User, &desired, adopted, Leavers::default(), &patching());
    assert_eq!(plan.operation, Operation::Nothing(Idle::InSync));
}
