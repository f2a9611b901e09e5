//! Who is sent: members of groups, an expression, the groups that are pushed; and leaving the scope.

use scimfleet_core::ResourceKind;
use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};

fn directory() -> String {
    let mut lines: Vec<String> = (0..30)
        .map(|n| {
            let kind = if n % 3 == 0 { "contractor" } else { "staff" };
            format!("{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e{n}\",\"userName\":\"u{n}\",\"attributes\":{{\"kind\":\"{kind}\"}}}}")
        })
        .collect();
    let group = |id: &str, members: Vec<String>| {
        let members: Vec<String> = members.iter().map(|member| format!("{{\"value\":\"{member}\"}}")).collect();
        format!(
            "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:Group\"],\"externalId\":\"{id}\",\"displayName\":\"{id}\",\"members\":[{}]}}",
            members.join(",")
        )
    };
    lines.push(group("Inner", (0..10).map(|n| format!("e{n}")).collect()));
    lines.push(group("Staff", vec!["Inner".to_owned(), "e10".to_owned(), "e11".to_owned()]));
    lines.push(group("Other", vec!["e20".to_owned()]));
    lines.join("\n") + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scope_decides_and_a_change_of_it_is_previewed() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.import(&directory(), &[]).expect(0);
    let table = |scope: &str| provider_table("acme", &sample.base_url(), &sample.token(), scope);
    let wide = "scope = { members_of = [\"Staff\"], push_groups = [\"Staff\"] }";
    let _ = fleet.apply(&table(wide)).expect(0);
    // Staff and, through it, Inner: twelve people; one group.
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 13);
    assert_eq!((sample.users_count(), sample.groups_count()), (12, 1));

    let narrow = "scope = { members_of = [\"Staff\"], push_groups = [\"Staff\"], users = 'user.attributes.get(\"kind\") != \"contractor\"' }";
    let path = fleet.write("narrow.toml", &table(narrow)).display().to_string();
    let plan = fleet.run(&["apply", &path, "--plan", "--output", "json"]).expect(0);
    assert_eq!(
        (plan.json["providers"][0]["joiners"].as_u64(), plan.json["providers"][0]["leavers"].as_u64()),
        (Some(0), Some(4))
    );
    let _ = fleet.apply(&table(narrow)).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("deactivated"), 4);
    assert_eq!(sample.named(ResourceKind::User, "u3")[0]["active"], false);

    // Back in: the same account is used again.
    let _ = fleet.apply(&table(wide)).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("updated"), 4);
    assert_eq!(sample.named(ResourceKind::User, "u3")[0]["active"], true);
    assert_eq!(sample.users_count(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_unknown_puts_nobody_out() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.import(&directory(), &[]).expect(0);
    let table = |scope: &str| provider_table("acme", &sample.base_url(), &sample.token(), scope);
    let _ = fleet.apply(&table("")).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 33);
    let _ = fleet.apply(&table("scope = { members_of = [\"Nobody knows\"] }")).expect(0);
    let ran = fleet.sync("acme", &[]).expect(0);
    assert_eq!((ran.count("deactivated"), ran.count("deleted"), ran.writes()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_fails_parks_and_puts_nobody_out() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.import(&directory(), &[]).expect(0);
    let table = |users: &str| {
        let scope = format!("scope = {{ users = '{users}', push_groups = [] }}");
        provider_table("acme", &sample.base_url(), &sample.token(), &scope)
    };
    let _ = fleet.apply(&table("True")).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 30);
    let _ = fleet.apply(&table("1 / (0 if user.userName == \"u7\" else 1) > 0")).expect(0);
    let run = fleet.sync("acme", &[]).expect(0);
    assert_eq!((run.count("parked"), run.count("deactivated"), sample.users_count()), (1, 0, 30));
    let parked = fleet.run(&["explain", "e7", "acme", "--output", "json"]).expect(0);
    let link = &parked.json["providers"][0]["link"];
    assert_eq!((link["state"].as_str(), link["reason"].as_str()), (Some("parked"), Some("invalid")));
    assert!(link["error"].as_str().unwrap().starts_with("the scope gave no verdict"), "{link}");
    let _ = fleet.apply(&table("True")).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("parked"), 0);
}
