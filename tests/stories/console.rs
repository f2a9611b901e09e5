//! The dashboard in a browser, against the real binary and a provider that really takes the accounts.

use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_tests::{Fleet, free_port};
use serde_json::json;

const PEOPLE: usize = 460;

fn people() -> String {
    let line = |n: usize| {
        format!(
            "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e{n}\",\"userName\":\"u{n:03}\",\
             \"displayName\":\"Person {n}\"}}\n"
        )
    };
    (0..PEOPLE).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_mends_a_mapping_watches_a_run_and_approves_removals() {
    // Slow enough that a run can be watched.
    let sample = ServiceProvider::start(Behaviour { latency_ms: 25, ..Behaviour::default() }).await.unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let fleet = Fleet::embedded()
        .with("SCIMFLEET_CONSOLE_LISTEN", &listen)
        .with("SCIMFLEET_ADMIN_TOKEN", "admin-token-of-the-story");
    let _ = fleet.import(&people(), &[]).expect(0);
    let _console = fleet.start(&["console"]);
    let table = json!({
        "base_url": sample.base_url(),
        "auth": { "kind": "bearer", "token": { "value": sample.token() } },
        "in_flight": 2,
        "bulk": "off",
        "leavers": { "out_of_scope": "delete" },
    });
    let console = format!("http://{listen}");
    fleet.in_browser("console.py", &[&console, "admin-token-of-the-story", &table.to_string()]);
    // u000 to u299 stay; the approved removals are carried out.
    let listen = format!("127.0.0.1:{}", free_port());
    let fleet = fleet.with("SCIMFLEET_CONSOLE_LISTEN", &listen);
    let _serve = fleet.start(&["serve"]);
    fleet.until(&["leavers", "list", "--output", "json"], |_| sample.users_count() == 300);
}
