//! Yesterday's database comes back from a backup (hazard 30): it is noticed, nothing is sent before the
//! provider was linked again, and nobody gets an account back that was taken away meanwhile.

use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};
use serde_json::{Value, json};

const DATABASE: [&str; 3] = ["scimfleet.db", "scimfleet.db-wal", "scimfleet.db-shm"];

fn user(n: usize, active: bool) -> String {
    let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "externalId": format!("e{n}"),
        "userName": format!("u{n}"), "active": active });
    format!("{user}\n")
}

fn team(members: &[usize]) -> String {
    let members: Vec<_> = members.iter().map(|n| json!({ "value": format!("e{n}") })).collect();
    let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "externalId": "team",
        "displayName": "Team", "members": members });
    format!("{group}\n")
}

/// Copies the database's files from one folder to another; what is not there is removed there.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    for name in DATABASE {
        if std::fs::copy(from.join(name), to.join(name)).is_err() {
            let _ = std::fs::remove_file(to.join(name));
        }
    }
}

/// What the provider holds, less what it says about its own keeping.
fn content(sample: &Running) -> Value {
    let content = sample.content();
    let plain = |documents: &[Value]| -> Vec<Value> {
        let mut documents = documents.to_vec();
        for document in &mut documents {
            document.as_object_mut().unwrap().remove("meta");
        }
        documents
    };
    json!({ "users": plain(&content.users), "groups": plain(&content.groups) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_gives_nobody_access_back() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let everybody: String = (0..10).map(|n| user(n, true)).collect();
    let _ = fleet.import(&(everybody + &team(&[0, 1, 2])), &["--snapshot"]).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 11);
    let backup = tempfile::tempdir().unwrap();
    copy(fleet.folder(), backup.path());

    // One leaves, one is deactivated, one joins; a member is exchanged.
    let rest: String = (0..9).map(|n| user(n, n != 8)).collect();
    let _ = fleet.import(&(rest + &user(10, true) + &team(&[0, 1, 3])), &["--snapshot"]).expect(0);
    let _ = fleet.sync("acme", &[]).expect(0);
    let before = content(&sample);

    copy(backup.path(), fleet.folder());
    let paused = fleet.sync("acme", &[]).expect(1);
    assert!(paused.stdout.contains("skipped"), "{}", paused.stdout);
    let shown = fleet.run(&["providers", "show", "acme", "--output", "json"]).expect(0);
    assert_eq!(shown.json["state"], "paused", "{}", shown.stdout);
    assert!(shown.json["reason"].as_str().unwrap().contains("backup"));
    let resume = fleet.run(&["providers", "resume", "acme"]).expect(2);
    assert!(resume.stderr.contains("providers reconcile acme"), "{}", resume.stderr);
    assert_eq!(content(&sample), before);

    // The directory learns of the joiner and of the group, but not of those who left.
    let _ = fleet.import(&(user(10, true) + &team(&[0, 1, 3])), &[]).expect(0);
    let linked = fleet.run(&["providers", "reconcile", "acme", "--output", "json"]).expect(0);
    assert_eq!(linked.json["reconciled"], json!({ "linked": 9, "gone": 1, "inactive": 1, "unknown": 1 }));
    let after = fleet.sync("acme", &[]).expect(0);
    assert_eq!((after.count("created"), after.count("adopted"), after.count("parked")), (0, 1, 2));
    assert_eq!(content(&sample), before);
    assert_eq!(fleet.sync("acme", &[]).expect(0).writes(), 0);
}
