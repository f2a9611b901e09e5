//! A directory goes into servers that this project did not write, and is read back by a reader that knows
//! nothing of it.

use std::io::BufWriter;

use scimfleet_testkit::directory::SampleDirectory;
use scimfleet_tests::{Fleet, Interop, provider_table, run_python};
use serde_json::json;

const USERS: usize = 2_500;
const GROUPS: usize = 60;

fn sample() -> SampleDirectory {
    SampleDirectory { users: USERS, groups: GROUPS, seed: 11, inactive_percent: 0 }
}

fn write_sample(fleet: &Fleet) -> String {
    let path = fleet.folder().join("sample.jsonl");
    sample().write_jsonl(&mut BufWriter::new(std::fs::File::create(&path).unwrap())).unwrap();
    path.display().to_string()
}

/// A mover, a renamed user, cleared attributes, a member in and a member out, a leaver.
fn changes() -> String {
    let user = |index: usize| scimfleet_testkit::directory::user_external_id(index);
    let group = sample().groups().next().unwrap();
    let mut members = group["members"].as_array().unwrap().clone();
    let out = members.pop().unwrap();
    members.push(json!({ "value": user(if out["value"] == user(77) { 78 } else { 77 }) }));
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let core = "urn:ietf:params:scim:schemas:core:2.0:User";
    let lines = [
        json!({ "schemas": [core], "externalId": user(3), "title": "Mover", enterprise: { "department": "Elsewhere" } }),
        json!({ "schemas": [core], "externalId": user(4), "userName": "renamed.person" }),
        json!({ "schemas": [core], "externalId": user(5), "title": null }),
        json!({ "schemas": [core], "externalId": user(6), "active": false }),
        json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "externalId": group["externalId"],
            "members": members }),
    ];
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn into(server: &Interop, more: &str) {
    let fleet = Fleet::embedded();
    let sample = write_sample(&fleet);
    let imported = fleet.run(&["import", &sample, "--output", "json"]).expect(0);
    assert_eq!(imported.json["created"], (USERS + GROUPS) as u64);
    let _ = fleet.apply(&provider_table("target", &server.base_url, &server.token, more)).expect(0);

    let first = fleet.sync("target", &[]).expect(0);
    assert_eq!(first.count("created"), (USERS + GROUPS) as u64);
    assert_eq!(first.run()["tasks"]["users"], USERS.div_ceil(100) as u64);
    let mut compared = vec![server.base_url.as_str(), server.token.as_str(), sample.as_str()];
    println!("{}", run_python("tests/interop/compare.py", &compared));

    let again = fleet.sync("target", &[]).expect(0);
    assert_eq!((again.writes(), again.count("unchanged")), (0, (USERS + GROUPS) as u64));

    let changed = fleet.write("changes.jsonl", &changes()).display().to_string();
    let _ = fleet.run(&["import", &changed]).expect(0);
    let planned = fleet.sync("target", &["--dry-run"]).expect(0);
    assert_eq!(planned.run()["plan"].as_array().map(Vec::len), Some(5), "{}", planned.stdout);
    let moved = fleet.sync("target", &[]).expect(0);
    assert_eq!((moved.count("updated"), moved.count("deactivated")), (4, 1));
    compared.push(&changed);
    println!("{}", run_python("tests/interop/compare.py", &compared));

    let leaver = scimfleet_testkit::directory::user_external_id(9);
    snapshot_without(&fleet, &sample, &changed, &leaver);
    let last = fleet.sync("target", &[]).expect(0);
    assert_eq!(last.count("deleted"), 1);
    compared.extend(["--gone", leaver.as_str()]);
    println!("{}", run_python("tests/interop/compare.py", &compared));
}

/// The whole directory again, with the changes, without one person.
fn snapshot_without(fleet: &Fleet, sample: &str, changed: &str, leaver: &str) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let kept: String = read(sample)
        .lines()
        .filter(|line| !line.contains(&format!("\"externalId\":\"{leaver}\"")))
        .map(|line| format!("{line}\n"))
        .collect();
    let whole = fleet.write("whole.jsonl", &format!("{kept}{}", read(changed))).display().to_string();
    let ran = fleet.run(&["import", &whole, "--snapshot", "--output", "json"]).expect(0);
    assert_eq!(ran.json["removed"], 1, "{}", ran.stdout);
}

#[test]
fn scim2_server_holds_what_the_directory_holds() {
    into(&Interop::start("scim2-server", "/v2", &[]), "");
}

#[test]
fn scimmy_holds_what_the_directory_holds() {
    into(&Interop::start("scimmy", "/scim/v2", &[]), "");
}

/// With Bulk (RFC 7644 §3.7) a first sync takes less than a tenth of the requests that it would take without.
#[test]
fn scim2_server_takes_bulk_requests() {
    let server = Interop::start("scim2-server", "/v2", &[("SPC", "full")]);
    let fleet = Fleet::embedded();
    let few = SampleDirectory { users: 300, groups: 30, seed: 5, inactive_percent: 0 };
    let path = fleet.folder().join("few.jsonl");
    few.write_jsonl(&mut BufWriter::new(std::fs::File::create(&path).unwrap())).unwrap();
    let sample = path.display().to_string();
    let _ = fleet.run(&["import", &sample]).expect(0);
    let _ = fleet.apply(&provider_table("target", &server.base_url, &server.token, "")).expect(0);
    let first = fleet.sync("target", &[]).expect(0);
    assert_eq!(first.count("created"), 330);
    let requests = first.run()["requests"].as_object().unwrap();
    let number = |name: &str| requests.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let sent: u64 = ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().map(number).sum();
    assert!(sent < 33 && number("bulk_operations") >= 330, "{requests:?}");
    println!("{}", run_python("tests/interop/compare.py", &[&server.base_url, &server.token, &sample]));
    let again = fleet.sync("target", &[]).expect(0);
    assert_eq!((again.writes(), again.count("unchanged")), (0, 330));
}
