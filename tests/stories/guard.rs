//! Deleting is the dangerous verb: a snapshot that lost people takes nothing away unasked.

use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};

fn people(range: std::ops::Range<usize>) -> String {
    let line = |n: usize| {
        format!(
            "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e{n}\",\"userName\":\"u{n}\"}}\n"
        )
    };
    range.map(line).collect()
}

fn filled(sample: &Running) -> Fleet {
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let _ = fleet.import(&people(0..200), &["--snapshot"]).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 200);
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_beyond_the_guard_wait_for_a_person() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = filled(&sample);
    let refused = fleet.import(&people(60..200), &["--snapshot"]).expect(1);
    assert!(refused.stderr.contains("lacks 60 of the 200"), "{}", refused.stderr);
    let forced = fleet.import(&people(60..200), &["--snapshot", "--allow-removals", "60"]).expect(0);
    assert_eq!(forced.json["removed"], 60);

    let held = fleet.sync("acme", &[]).expect(4);
    assert_eq!((held.count("held"), held.count("deleted"), sample.users_count()), (60, 0, 200));
    let holds = fleet.run(&["holds", "list", "--output", "json"]).expect(0);
    let id = holds.json["holds"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(holds.json["holds"][0]["items"].as_array().map(Vec::len), Some(60));

    // One of them comes back before anybody decides: approving must not take that one.
    let _ = fleet.import(&people(0..1), &[]).expect(0);
    let _ = fleet.sync("acme", &[]).expect(4);
    let approved = fleet.run(&["holds", "approve", &id, "--output", "json"]).expect(0);
    assert_eq!(approved.json["released"], 59);
    assert_eq!(approved.json["moved"].as_array().map(Vec::len), Some(1));
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("deleted"), 59);
    assert_eq!(sample.users_count(), 141);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_hold_leaves_the_accounts() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = filled(&sample);
    let _ = fleet.import(&people(60..200), &["--snapshot", "--allow-removals", "60"]).expect(0);
    let _ = fleet.sync("acme", &[]).expect(4);
    let holds = fleet.run(&["holds", "list", "--output", "json"]).expect(0);
    let id = holds.json["holds"][0]["id"].as_str().unwrap().to_owned();
    let _ = fleet.run(&["holds", "reject", &id]).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).writes(), 0);
    assert_eq!(sample.users_count(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_among_strangers_waits_for_a_person() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    for n in 0..40 {
        let user = serde_json::json!({ "userName": format!("stranger{n}"), "externalId": format!("s{n}") });
        sample.seed_user(user).unwrap();
    }
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let _ = fleet.import(&people(0..60), &[]).expect(0);
    let held = fleet.sync("acme", &[]).expect(4);
    assert_eq!((held.count("held"), held.count("created"), sample.users_count()), (60, 0, 40));
    let holds = fleet.run(&["holds", "list", "--output", "json"]).expect(0);
    let hold = &holds.json["holds"][0];
    assert!(hold["reason"].as_str().unwrap().contains("40 accounts are there already"), "{hold}");
    let id = hold["id"].as_str().unwrap().to_owned();
    let _ = fleet.run(&["holds", "approve", &id]).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 60);
    assert_eq!(sample.users_count(), 100);
}
