//! What operators watch: metrics, readiness and logs of a process at work.

use std::collections::{BTreeMap, BTreeSet};

use scimfleet_testkit::provider::{Behaviour, Fault, Matcher, ServiceProvider};
use scimfleet_tests::{Fleet, free_port, provider_table, request};
use serde_json::Value;

const ANNA: &str =
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e1\",\"userName\":\"anna\"}\n";

/// Names and labels that dashboards rest on. Add to it; take nothing away.
const PROMISED: &[(&str, &[&str])] = &[
    ("scimfleet_requests_total", &["method", "provider", "status"]),
    ("scimfleet_request_seconds", &["method", "provider"]),
    ("scimfleet_operations_total", &["kind", "operation", "outcome", "provider"]),
    ("scimfleet_task_seconds", &["lane", "provider"]),
    ("scimfleet_queue_messages", &["lane", "provider"]),
    ("scimfleet_dirty_objects", &["provider"]),
    ("scimfleet_parked_objects", &["provider"]),
    ("scimfleet_change_latency_seconds", &["lane", "provider"]),
    ("scimfleet_provider_state", &["provider", "state"]),
    ("scimfleet_run_seconds", &["provider"]),
    ("scimfleet_throttled_total", &["provider"]),
    ("scimfleet_workers", &[]),
    ("scimfleet_leavers_waiting", &["provider"]),
    ("scimfleet_leaver_oldest_seconds", &["provider"]),
    ("scimfleet_dirty_oldest_seconds", &["provider"]),
    ("scimfleet_held_objects", &["provider"]),
    ("scimfleet_provider_state_seconds", &["provider"]),
    ("scimfleet_scheduler_leads", &[]),
    ("scimfleet_service_up", &["service"]),
];

/// Each metric with the labels of its series; a histogram's are one.
fn scraped(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let known = metrics.entry(name.to_owned()).or_default();
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once('='));
        known.extend(labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le" && label != "quantile"));
    }
    metrics
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promised_metric_is_there_with_its_labels_behind_a_token() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let port = free_port();
    let fleet = Fleet::embedded()
        .with("SCIMFLEET_METRICS_LISTEN", format!("127.0.0.1:{port}"))
        .with("SCIMFLEET_METRICS_PROTECTED", "true");
    // Without Bulk, so that the first POST of a user is the one that meets the limit.
    let table = provider_table("acme", &sample.base_url(), &sample.token(), "bulk = \"off\"");
    let _ = fleet.apply(&table).expect(0);
    let token = |scope: &str| -> String {
        let made = fleet.run(&["token", "create", "--scope", scope, "--name", scope, "--output", "json"]).expect(0);
        format!("Bearer {}", made.json["token"].as_str().unwrap())
    };
    let (reader, other) = (token("metrics"), token("directory"));
    sample.script(Matcher::on("POST", "/Users").nth(1), Fault::Throttled("0".to_owned()));
    let _serve = fleet.start(&["serve"]);
    fleet.until(&["status", "--output", "json"], |_| request(port, "GET", "/healthz", &[], "").status == 200);
    let scrape = || request(port, "GET", "/metrics", &[("Authorization", &reader)], "").body;
    // As a change, which the first run of a new provider must not take along.
    fleet.until(&["status", "--output", "json"], |status| status["providers"][0]["last_run"]["state"] == "completed");
    let _ = fleet.import(ANNA, &[]).expect(0);
    fleet.until(&["status", "--output", "json"], |_| scrape().contains("scimfleet_change_latency_seconds"));
    let _ = fleet.sync("acme", &[]);

    let expected: BTreeMap<String, BTreeSet<String>> = PROMISED
        .iter()
        .map(|(name, labels)| ((*name).to_owned(), labels.iter().map(|label| (*label).to_owned()).collect()))
        .collect();
    // Some are measured every 30 s only.
    fleet.until(&["status", "--output", "json"], |_| scraped(&scrape()).len() >= expected.len());
    assert_eq!(scraped(&scrape()), expected);
    assert_eq!(request(port, "GET", "/metrics", &[], "").status, 401);
    assert_eq!(request(port, "GET", "/metrics", &[("Authorization", &other)], "").status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_target_is_named_and_clears_by_itself() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let port = free_port();
    let fleet = Fleet::embedded().with("SCIMFLEET_METRICS_LISTEN", format!("127.0.0.1:{port}"));
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let _serve = fleet.start(&["serve"]);
    let ready = || request(port, "GET", "/readyz", &[], "");
    let state = |state: &str| {
        let line = format!("scimfleet_provider_state{{provider=\"acme\",state=\"{state}\"}} 1");
        request(port, "GET", "/metrics", &[], "").body.lines().any(|found| found == line)
    };
    fleet.until(&["status", "--output", "json"], |_| ready().status == 200 && state("active"));

    let token = sample.token();
    sample.set_token("another");
    let _ = fleet.import(ANNA, &[]).expect(0);
    fleet.until(&["status", "--output", "json"], |_| ready().body.contains("degraded: acme is degraded"));
    // The process itself can do its work.
    assert_eq!(ready().status, 200);
    fleet.until(&["status", "--output", "json"], |_| state("degraded"));

    sample.set_token(&token);
    let _ = fleet.run(&["providers", "probe", "acme"]).expect(0);
    fleet.until(&["status", "--output", "json"], |_| ready().body.contains("\"providers\":\"ok\"") && state("active"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_with_run_task_provider_and_object() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded().with("SCIMFLEET_LOG_FORMAT", "json").with("SCIMFLEET_LOG", "scimfleet=debug");
    let mapping = "\n[[mapping]]\nname = \"90-wrong\"\nresource = \"user\"\nexpression = 'return {\"emails\": [{\"value\": 42}]}'\n";
    let table = provider_table(
        "acme",
        &sample.base_url(),
        &sample.token(),
        "mappings = [\"10-user-default\", \"10-group-default\", \"90-wrong\"]",
    );
    let _ = fleet.apply(&(table + mapping)).expect(0);
    let _ = fleet.import(ANNA, &[]).expect(0);
    let ran = fleet.sync("acme", &[]).expect(3);
    let lines: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fields = ["time", "level", "message", "run", "task", "provider", "object"];
    let has = |line: &Value| fields.iter().all(|field| line.get(field).is_some_and(|one| !one.is_null()));
    assert!(lines.iter().any(has), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&sample.token()));
}
