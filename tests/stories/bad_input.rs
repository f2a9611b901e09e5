//! Bad input names file, line or object, and loses nothing else.

use scimfleet_testkit::provider::{Behaviour, Fault, Matcher, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};

const USER: &str = "\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"]";

#[test]
fn a_bad_line_rejects_that_line_only() {
    let fleet = Fleet::embedded();
    let lines = format!(
        "{{{USER},\"externalId\":\"a\",\"userName\":\"a\"}}\nnonsense\n{{{USER},\"externalId\":\"b\"}}\n{{{USER},\"externalId\":\"c\",\"userName\":\"c\"}}\n"
    );
    let ran = fleet.import(&lines, &[]).expect(1);
    assert_eq!(ran.json["created"], 2);
    let rejected = ran.json["rejected"].as_array().unwrap();
    let at: Vec<u64> = rejected.iter().filter_map(|one| one["line"].as_u64()).collect();
    assert_eq!(at.len(), 2);
    assert!(at.contains(&2) && at.contains(&3), "{rejected:?}");
    assert!(rejected.iter().any(|one| one["reason"].as_str().unwrap().contains("`userName` is missing")));
    assert_eq!(fleet.import(&lines, &[]).expect(1).json["unchanged"], 2);
}

#[test]
fn a_fleet_file_lists_every_mistake_at_once() {
    let fleet = Fleet::embedded();
    let ran =
        fleet.apply("[[provider]]\nname = \"Acme\"\nbase_url = \"ftp://x\"\nrate = \"fast\"\nfoo = 1\n").expect(2);
    for words in ["fleet.toml:2", "fleet.toml:3", "fleet.toml:4", "fleet.toml:5", "foo"] {
        assert!(ran.stderr.contains(words), "`{words}` is missing:\n{}", ran.stderr);
    }
}

#[test]
fn a_bad_job_names_its_file() {
    let fleet = Fleet::embedded();
    let job = fleet.write("job.json", "{\"v\":1,\"job\":\"dance\"}").display().to_string();
    assert!(fleet.run(&["enqueue", &job]).expect(2).stderr.contains("job.json"));
    let config = fleet.write("bad.toml", "[stroe]\nurl = 1\n").display().to_string();
    assert!(fleet.run(&["--config", &config, "migrate"]).expect(2).stderr.contains("stroe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_cost_one_object_and_no_duplicate() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let people: String =
        (0..120).map(|n| format!("{{{USER},\"externalId\":\"e{n}\",\"userName\":\"u{n}\"}}\n")).collect();
    let _ = fleet.import(&people, &[]).expect(0);
    sample.script(Matcher::on("POST", "/Users").nth(5), Fault::HtmlPage(200));
    sample.script(Matcher::on("POST", "/Users").nth(30), Fault::Garbage);
    sample.script(Matcher::on("POST", "/Users").nth(60), Fault::DropAnswerAfterApplying);
    let ran = fleet.sync("acme", &[]).expect(0);
    // Whoever failed may have been tried again within the run.
    assert_eq!(ran.count("created") + ran.count("failed"), 120, "{}", ran.stdout);
    assert!(ran.count("created") >= 117, "{}", ran.stdout);
    fleet.until(&["sync", "acme", "--wait", "--output", "json"], |_| sample.users_count() == 120);
    assert_eq!(sample.duplicates(scimfleet_core::ResourceKind::User), Vec::<String>::new());
    assert_eq!(sample.violations(), []);
}
