//! A provider that is down, or refuses us, fails the run with its words and comes back by itself.

use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};

const ANNA: &str =
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e1\",\"userName\":\"anna\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_degrades_and_a_new_one_brings_it_back() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), "wrong", "")).expect(0);
    let _ = fleet.import(ANNA, &[]).expect(0);
    let ran = fleet.sync("acme", &[]).expect(1);
    assert_eq!(
        (ran.run()["state"].as_str(), ran.run()["error"]["code"].as_str()),
        (Some("failed"), Some("credentials"))
    );
    let listed = fleet.run(&["providers", "list", "--output", "json"]);
    assert_eq!(listed.json["providers"][0]["state"], "degraded");
    assert!(!ran.stdout.contains("wrong"), "the token stands in the report");
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 1);
    let listed = fleet.run(&["providers", "list", "--output", "json"]);
    assert_eq!(listed.json["providers"][0]["state"], "active");
}

#[test]
fn a_dead_host_fails_the_run_and_names_itself() {
    let fleet = Fleet::embedded();
    let port = scimfleet_tests::free_port();
    let _ = fleet.apply(&provider_table("acme", &format!("http://127.0.0.1:{port}/v2"), "t", "")).expect(0);
    let _ = fleet.import(ANNA, &[]).expect(0);
    let ran = fleet.sync("acme", &[]).expect(1);
    assert_eq!(ran.run()["error"]["code"], "unreachable");
    assert!(ran.run()["error"]["message"].as_str().unwrap().contains("acme"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_passing_is_tried_again() {
    use scimfleet_testkit::provider::{Fault, Matcher};
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let _ = fleet.import(ANNA, &[]).expect(0);
    sample.script(Matcher::on("POST", "/Users").times(Matcher::EVER), Fault::Status(503));
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("failed"), 1);
    sample.clear_script();
    let _serve = fleet.start(&["serve"]);
    fleet.until(&["explain", "anna", "--output", "json"], |_| sample.users_count() == 1);
}
