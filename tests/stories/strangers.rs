//! What others did at a provider stays theirs, and a provider that hides who is there gets nobody twice.

use scimfleet_core::ResourceKind;
use scimfleet_testkit::provider::{Behaviour, Fault, Filtering, Matcher, Paging, Running, ServiceProvider, Total};
use scimfleet_tests::{Fleet, provider_table};
use serde_json::{Value, json};

struct Stage {
    // Keeps the provider's tasks alive.
    _runtime: tokio::runtime::Runtime,
    provider: Running,
    fleet: Fleet,
}

impl Stage {
    fn new(behaviour: Behaviour, more: &str, people: &[Value]) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let provider = runtime.block_on(ServiceProvider::start(behaviour)).unwrap();
        let fleet = Fleet::embedded();
        let _ = fleet.import(&lines(people), &[]).expect(0);
        let _ = fleet.apply(&provider_table("target", &provider.base_url(), &provider.token(), more)).expect(0);
        let _ = fleet.sync("target", &[]).expect(0);
        Self { _runtime: runtime, provider, fleet }
    }

    fn import(&self, people: &[Value]) {
        let _ = self.fleet.import(&lines(people), &[]).expect(0);
    }

    fn id(&self, kind: ResourceKind, name: &str) -> String {
        let found = self.provider.named(kind, name);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found[0]["id"].as_str().unwrap().to_owned()
    }

    fn mails(&self, name: &str) -> Vec<String> {
        let user = &self.provider.named(ResourceKind::User, name)[0];
        let mut mails: Vec<String> = user["emails"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|mail| mail["value"].as_str().unwrap().to_owned())
            .collect();
        mails.sort_unstable();
        mails
    }
}

fn lines(people: &[Value]) -> String {
    people.iter().map(|one| format!("{one}\n")).collect()
}

fn person(name: &str, title: &str, mail: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "externalId": format!("e-{name}"), "userName": name,
        "displayName": name, "title": title, "emails": [{ "value": mail, "type": "work", "primary": true }] })
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": member })).collect();
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "externalId": format!("g-{name}"),
        "displayName": name, "members": members })
}

/// Somebody there adds an address and a member; whatever we change of ours, theirs stay.
fn theirs_stay(behaviour: Behaviour, more: &str) {
    let crew = group("crew", &["e-anna"]);
    let stage = Stage::new(behaviour, more, &[person("anna", "a", "anna@x"), person("berta", "b", "b@x"), crew]);
    let provider = &stage.provider;
    let theirs = json!({ "value": "own@there", "type": "home" });
    let anna = stage.id(ResourceKind::User, "anna");
    provider
        .tamper(ResourceKind::User, &anna, |user| user["emails"].as_array_mut().unwrap().push(theirs.clone()))
        .unwrap();
    let stranger = provider.seed_user(json!({ "userName": "stranger" })).unwrap();
    let crew = stage.id(ResourceKind::Group, "crew");
    provider
        .tamper(ResourceKind::Group, &crew, |group| {
            group["members"].as_array_mut().unwrap().push(json!({ "value": stranger }));
        })
        .unwrap();

    stage.import(&[person("anna", "changed", "anna@x"), group("crew", &["e-anna", "e-berta"])]);
    let _ = stage.fleet.sync("target", &[]).expect(0);
    assert_eq!(provider.named(ResourceKind::User, "anna")[0]["title"], "changed");
    assert_eq!(stage.mails("anna"), ["anna@x", "own@there"], "after a change of the title");

    stage.import(&[person("anna", "changed", "new@x"), group("crew", &["e-berta"])]);
    let _ = stage.fleet.sync("target", &[]).expect(0);
    assert_eq!(stage.mails("anna"), ["new@x", "own@there"], "after a change of our address");
    let mut members: Vec<String> = provider.resource(ResourceKind::Group, &crew).unwrap()["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["value"].as_str().unwrap().to_owned())
        .collect();
    members.sort_unstable();
    let mut expected = vec![stranger, stage.id(ResourceKind::User, "berta")];
    expected.sort_unstable();
    assert_eq!(members, expected);

    let mut mail_less = person("anna", "changed", "x");
    mail_less["emails"] = Value::Null;
    stage.import(&[mail_less]);
    let _ = stage.fleet.sync("target", &[]).expect(0);
    assert_eq!(stage.mails("anna"), ["own@there"], "after ours went");
    assert_eq!(stage.fleet.sync("target", &[]).expect(0).writes(), 0);
    assert_eq!(provider.violations(), []);
}

#[test]
fn values_of_others_stay_where_lists_are_read_merged_and_patched() {
    theirs_stay(Behaviour::default(), "drift = \"report\"");
}

#[test]
fn values_of_others_stay_where_values_are_named() {
    theirs_stay(Behaviour::default(), "drift = \"report\"\nprofile = \"rfc-strict\"");
}

#[test]
fn values_of_others_stay_where_everything_goes_by_put() {
    let config = json!({ "patch": { "supported": false } }).as_object().unwrap().clone();
    theirs_stay(Behaviour { patch: false, config, ..Behaviour::default() }, "drift = \"report\"");
}

#[test]
fn a_filter_that_finds_nobody_makes_nobody_twice() {
    let stage = Stage::new(Behaviour::default(), "", &[person("anna", "a", "a@x"), group("crew", &["e-anna"])]);
    stage.provider.change_behaviour(|behaviour| behaviour.filter = Filtering::Empty);
    let _ = stage.provider.seed_group(json!({ "displayName": "team" })).unwrap();
    stage.import(&[group("team", &["e-anna"])]);
    // Only what is not part of a full sync is looked up by filter. The run after it waits for its end.
    let _ = stage.fleet.sync("target", &["--object", "g-team"]);
    let _ = stage.fleet.sync("target", &[]).expect(0);
    assert_eq!(stage.provider.named(ResourceKind::Group, "team").len(), 1);
    let shown = stage.fleet.run(&["providers", "show", "target", "--output", "json"]).expect(0).json;
    assert_eq!((&shown["profile"]["filter"], &shown["origins"]["filter"]), (&json!(false), &json!("remembered")));
}

#[test]
fn a_listing_that_hides_everybody_proves_nothing() {
    let stage = Stage::new(Behaviour::default(), "", &[person("anna", "a", "a@x")]);
    stage.provider.change_behaviour(|behaviour| behaviour.listing_is_made_up = true);
    let _ = stage.provider.seed_user(json!({ "userName": "erik" })).unwrap();
    stage.import(&[person("erik", "e", "e@x")]);
    let ran = stage.fleet.sync("target", &[]).expect(0);
    assert_eq!((ran.count("adopted"), ran.count("created")), (1, 0), "{}", ran.stdout);
    assert_eq!(stage.fleet.sync("target", &[]).expect(0).writes(), 0);
}

/// An account goes behind our back; whether that is noticed depends on what the listing is worth.
fn one_is_removed_there(behaviour: Behaviour, script: impl FnOnce(&Running)) -> (u64, u64) {
    let people: Vec<Value> = (0..7).map(|index| person(&format!("p{index}"), "t", "p@x")).collect();
    let stage = Stage::new(behaviour, "", &people);
    let gone = stage.id(ResourceKind::User, "p3");
    stage.provider.remove(ResourceKind::User, &gone).unwrap();
    script(&stage.provider);
    let mark = stage.provider.mark();
    let _ = stage.fleet.sync("target", &[]).expect(0);
    let _ = stage.fleet.sync("target", &[]).expect(0);
    let counts = stage.provider.counts_since(&mark);
    (counts.of("POST"), counts.of("DELETE"))
}

#[test]
fn an_expired_cursor_starts_over_and_loses_nobody() {
    let behaviour = || Behaviour { paging: Paging::Cursor, page_size_max: 2, ..Behaviour::default() };
    let expires = |provider: &Running| provider.script(Matcher::on("GET", "/Users?cursor=4"), Fault::ExpiredCursor);
    assert_eq!(one_is_removed_there(behaviour(), expires), (1, 0));
    let always = |provider: &Running| {
        provider.script(Matcher::on("GET", "/Users?cursor=4").times(Matcher::EVER), Fault::ExpiredCursor);
    };
    assert_eq!(one_is_removed_there(behaviour(), always), (0, 0), "a listing that breaks off proves nothing");
}

#[test]
fn listings_that_cannot_be_trusted_take_nobody_away() {
    let two = || Behaviour { page_size_max: 2, ..Behaviour::default() };
    let short = Behaviour { page_size_max: 3, ..Behaviour::default() };
    assert_eq!(one_is_removed_there(short, |_| ()), (1, 0), "short pages are read to the end");
    let cases = [
        Behaviour { paging: Paging::FirstPageForEver, ..two() },
        Behaviour { total: Total::Inflated, ..two() },
        Behaviour { total: Total::Absent, paging: Paging::FirstPageForEver, ..two() },
    ];
    for behaviour in cases {
        let words = format!("{:?} {:?}", behaviour.paging, behaviour.total);
        assert_eq!(one_is_removed_there(behaviour, |_| ()), (0, 0), "{words}");
    }
}

#[test]
fn one_writer_at_a_time_is_enough_for_everybody() {
    let people: Vec<Value> = (0..250).map(|index| person(&format!("p{index}"), "t", "p@x")).collect();
    let stage = Stage::new(Behaviour::default(), "[provider.override]\none_writer = true", &people);
    assert_eq!(stage.provider.users_count(), 250);
    assert_eq!(stage.fleet.sync("target", &[]).expect(0).writes(), 0);
}

#[test]
fn the_profile_in_force_says_where_it_comes_from() {
    let fleet = Fleet::embedded();
    let more = "profile = \"aws\"\n[provider.override]\nmembers_per_patch = 7";
    let _ = fleet.apply(&provider_table("target", "http://127.0.0.1:9/scim/v2", "t", more)).expect(0);
    let shown = fleet.run(&["providers", "show", "target", "--output", "json"]).expect(0).json;
    assert_eq!(shown["curated"], "aws");
    assert_eq!(
        (&shown["profile"]["members_per_patch"], &shown["origins"]["members_per_patch"]),
        (&json!(7), &json!("override"))
    );
    assert_eq!((&shown["profile"]["paging"], &shown["origins"]["paging"]), (&json!("cursor"), &json!("curated")));
    let auto = provider_table("target", "https://api.slack.com/scim/v2", "t", "");
    let _ = fleet.apply(&auto).expect(0);
    let shown = fleet.run(&["providers", "show", "target", "--output", "json"]).expect(0).json;
    assert_eq!((&shown["curated"], &shown["origins"]["rates"]), (&json!("slack"), &json!("curated")));
    let unknown = fleet.apply(&provider_table("target", "http://127.0.0.1:9/v2", "t", "profile = \"slak\"")).expect(2);
    assert!(
        unknown.stderr.contains("unknown profile `slak`") && unknown.stderr.contains("slack"),
        "{}",
        unknown.stderr
    );
}
