//! Leavers: first, at paused providers too, and with an answer per provider.

use scimfleet_core::ResourceKind;
use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};

const ANNA: &str =
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e1\",\"userName\":\"anna\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn offboard_reaches_paused_providers_and_prints_the_evidence() {
    let one = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let two = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let tables = provider_table("one", &one.base_url(), &one.token(), "")
        + &provider_table("two", &two.base_url(), &two.token(), "");
    let _ = fleet.apply(&tables).expect(0);
    let _ = fleet.import(ANNA, &[]).expect(0);
    let _ = fleet.run(&["sync", "--all", "--wait"]).expect(0);
    let _ = fleet.run(&["providers", "pause", "--all"]).expect(0);
    assert_eq!(fleet.sync("one", &[]).expect(1).run()["state"], "skipped");

    let ran = fleet.run(&["offboard", "anna", "--output", "json"]).expect(0);
    assert_eq!(ran.json["confirmed"], true);
    for sample in [&one, &two] {
        assert_eq!(sample.named(ResourceKind::User, "anna")[0]["active"], false);
    }
    let none = fleet.run(&["leavers", "list", "--overdue", "--output", "json"]).expect(0);
    assert_eq!(none.json["leavers"].as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offboarding_that_nobody_confirms_fails() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let _ = fleet.import(ANNA, &[]).expect(0);
    let _ = fleet.sync("acme", &[]).expect(0);
    sample.set_token("another");
    let ran = fleet.run(&["offboard", "anna", "--wait", "2s", "--output", "json"]).expect(1);
    assert_eq!(ran.json["providers"][0]["confirmed"], false);
    assert!(ran.json["providers"][0]["words"].as_str().unwrap().contains("401"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_serve_changes_arrive_by_themselves() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "schedule = \"off\"")).expect(0);
    let _serve = fleet.start(&["serve"]);
    let _ = fleet.import(ANNA, &[]).expect(0);
    fleet.until(&["explain", "anna", "--output", "json"], |_| sample.users_count() == 1);
    let _ = fleet.import(&ANNA.replace("\"anna\"", "\"anna\",\"active\":false"), &[]).expect(0);
    let off = || sample.named(ResourceKind::User, "anna").first().is_some_and(|user| user["active"] == false);
    fleet.until(&["explain", "anna", "--output", "json"], |_| off());
    // A sync by hand is done by `serve`; the command only waits.
    assert_eq!(fleet.sync("acme", &[]).expect(0).writes(), 0);
    // A thousand edits of one user end in the last state and cost far fewer requests.
    let mark = sample.mark();
    let edits: String = (0..1000).map(|n| ANNA.replace("\"anna\"", &format!("\"anna\",\"title\":\"T{n}\""))).collect();
    let _ = fleet.import(&edits, &[]).expect(0);
    let last = || sample.named(ResourceKind::User, "anna").first().is_some_and(|user| user["title"] == "T999");
    fleet.until(&["explain", "anna", "--output", "json"], |_| last());
    assert!(sample.counts_since(&mark).writes() < 50, "{}", sample.counts_since(&mark).writes());
}
