//! The command line: what is promised exists, and what operators look at says what is so.

use std::collections::BTreeMap;

use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};
use serde_json::Value;

const PEOPLE: &str = "\
{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e1\",\"userName\":\"anna\"}\n\
{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e2\",\"userName\":\"bert\"}\n";

/// Commands with the options and arguments that are promised. Add to it; take nothing away.
#[rustfmt::skip]
const PROMISED: &[(&str, &[&str])] = &[
    ("", &["--config", "--output", "--verbose", "--version", "table", "json"]),
    ("status", &[]), ("demo", &["--once"]), ("serve", &[]), ("scheduler", &[]), ("worker", &[]), ("console", &[]), ("migrate", &[]),
    ("apply", &["FLEET.toml", "--plan"]),
    ("import", &["--format", "jsonl", "csv", "--source", "--snapshot", "--key", "userName"]),
    ("sync", &["PROVIDERS", "--all", "--wait", "--dry-run", "--object", "--fail-on", "parked"]),
    ("preview", &["PROVIDER", "OBJECT"]), ("explain", &["OBJECT", "PROVIDER"]),
    ("runs list", &["--provider"]), ("runs show", &["ID", "--follow"]), ("runs cancel", &["ID"]),
    ("holds list", &[]), ("holds show", &["ID"]), ("holds approve", &["ID"]), ("holds reject", &["ID"]),
    ("offboard", &["USER", "--wait"]), ("leavers list", &["--overdue"]),
    ("providers list", &[]), ("providers show", &["NAME"]), ("providers probe", &["NAME"]), ("providers add", &["--base-url", "--auth", "--secret-env", "--secret-stdin"]),
    ("providers pause", &["NAME", "--all"]), ("providers resume", &["NAME"]), ("providers disable", &["NAME"]), ("providers set-token", &["NAME"]),
    ("providers rename", &["FROM", "TO"]), ("providers remove", &["NAME", "--leave-accounts"]), ("providers reconcile", &["NAME"]),
    ("links list", &["--provider", "--state"]),
    ("parked list", &["--provider"]), ("parked retry", &["--provider", "--object"]),
    ("dead list", &[]), ("dead replay", &["IDS"]), ("dead drop", &["IDS", "--all"]),
    ("log list", &["--since", "--provider", "--object"]), ("log export", &["--since", "--provider", "--object"]),
    ("token create", &["--scope", "--name", "directory", "admin", "metrics"]), ("token list", &[]), ("token revoke", &["TOKEN"]),
    ("enqueue", &["JOB.json"]), ("completions", &["bash", "zsh", "fish"]), ("man", &["--folder"]),
];

#[test]
fn every_promised_command_and_option_is_there() {
    let fleet = Fleet::embedded();
    let mut missing = Vec::new();
    for (path, words) in PROMISED {
        let mut arguments: Vec<&str> = path.split_whitespace().collect();
        arguments.push("--help");
        let help = fleet.run(&arguments);
        if help.code != 0 {
            missing.push(format!("scimfleet {path}: {}", help.stderr));
        }
        missing.extend(words.iter().filter(|word| !help.stdout.contains(**word)).map(|word| format!("{path} {word}")));
    }
    assert_eq!(missing, Vec::<String>::new());
}

fn json(fleet: &Fleet, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--output", "json"]);
    let ran = fleet.run(&arguments).expect(0);
    assert_eq!(ran.json["v"], 1, "{arguments:?}: {}", ran.stdout);
    ran.json
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_in_one_sentence_whether_leavers_are_out() {
    let one = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let two = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    assert!(fleet.run(&["status"]).expect(0).stdout.contains("scimfleet providers add"));
    let tables = provider_table("acme", &one.base_url(), &one.token(), "rate = \"500/s\"")
        + &provider_table("zeta", &two.base_url(), &two.token(), "");
    let _ = fleet.apply(&tables).expect(0);
    let _ = fleet.import(PEOPLE, &[]).expect(0);
    let _ = fleet.run(&["sync", "--all", "--wait"]).expect(0);

    let calm = json(&fleet, &["status"]);
    assert_eq!(calm["sentence"], "All leavers are out. 2 providers in step.");
    assert_eq!((&calm["calm"], &calm["providers"][0]["name"]), (&true.into(), &"acme".into()));
    assert_eq!(calm["providers"][0]["last_run"]["state"], "completed");
    assert_eq!(calm["providers"][0]["writes_last_minute"], 2);

    // One is down; the other pauses with a leaver in its hand.
    two.set_token("another");
    let _ = fleet.run(&["sync", "zeta", "--wait"]).expect(1);
    let told = json(&fleet, &["status"]);
    assert_eq!(told["sentence"], "All leavers are out. 1 provider in step, 1 degraded.");
    assert_eq!(told["providers"][0]["name"], "zeta", "worst first: {told}");
    let text = fleet.run(&["status"]).expect(0).stdout;
    assert!(text.starts_with("All leavers are out."), "{text}");
    assert!(text.contains("zeta state: ") && text.contains("401"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_exported_as_json_lines() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "")).expect(0);
    let _ = fleet.import(PEOPLE, &[]).expect(0);
    let run = fleet.sync("acme", &[]).expect(0).run()["id"].as_str().unwrap().to_owned();
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let ran = fleet.run(arguments).expect(0);
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(&["log", "export"]);
    assert_eq!(all.len(), 2);
    for line in &all {
        assert_eq!((&line["v"], &line["provider"], &line["operation"]), (&1.into(), &"acme".into(), &"create".into()));
        assert_eq!((&line["status"], line["run"].as_str()), (&201.into(), Some(run.as_str())));
        assert!(line["attributes"].as_array().unwrap().contains(&"userName".into()), "{line}");
        assert!(line["at"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    assert_eq!(lines(&["log", "export", "--provider", "acme", "--since", "1h", "--object", "anna"]).len(), 1);
    assert_eq!(lines(&["log", "export", "--since", "2999-01-01T00:00:00Z"]).len(), 0);
    assert_eq!(json(&fleet, &["log", "list", "--limit", "1"])["log"].as_array().map(Vec::len), Some(1));

    // A run that has ended is followed to its end at once.
    let followed = fleet.run(&["runs", "show", &run, "--follow", "--output", "json"]).expect(0);
    assert_eq!((followed.run()["state"].as_str(), followed.count("created")), (Some("completed"), 2));
    assert!(followed.stderr.contains("acme: completed"), "{}", followed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_added_by_flags_as_apply_would() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = Fleet::embedded();
    let token = fleet.write("token.txt", &sample.token()).display().to_string();
    let base_url = sample.base_url();
    let add = ["providers", "add", "acme", "--base-url", &base_url, "--secret-file", &token, "--file", "fleet.toml"];
    let added = json(&fleet, &add);
    assert_eq!((&added["name"], &added["change"]), (&"acme".into(), &"created".into()));
    assert!(!added.to_string().contains(&sample.token()));
    let _ = fleet.import(PEOPLE, &[]).expect(0);
    assert_eq!(fleet.sync("acme", &[]).expect(0).count("created"), 2);
    // The fleet file says the same.
    let again = json(&fleet, &["apply", "fleet.toml"]);
    assert_eq!(again["providers"][0]["change"], "unchanged", "{again}");

    assert!(fleet.run(&add).expect(2).stderr.contains("there is a provider `acme` already"));
    let short = fleet.run(&["providers", "add", "other"]).expect(2);
    assert!(short.stderr.contains("`--base-url` is needed"), "{}", short.stderr);
    let wrong = ["providers", "add", "other", "--base-url", "ftp://x", "--secret-file", &token];
    assert!(fleet.run(&wrong).expect(2).stderr.contains("scheme `ftp` is not supported"));
}

#[test]
fn completions_and_manual_pages_come_from_the_command_line() {
    let fleet = Fleet::embedded();
    let _ = fleet.write("scimfleet.toml", "[broken\n");
    let bash = fleet.run(&["completions", "bash"]).expect(0).stdout;
    assert!(bash.contains("_scimfleet()") && bash.contains("--same-tenant"), "{bash}");
    let page = fleet.run(&["man"]).expect(0).stdout;
    assert!(page.contains(".TH scimfleet 1"), "{page}");
    let written = json(&fleet, &["man", "--folder", "pages"]);
    let pages: BTreeMap<String, u64> = std::fs::read_dir(fleet.folder().join("pages"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().len()))
        .collect();
    assert_eq!(written["written"].as_array().map(Vec::len), Some(pages.len()));
    let show = pages.get("scimfleet-runs-show.1");
    assert!(show.is_some_and(|length| *length > 0), "{pages:?}");
}

#[test]
fn a_job_is_enqueued_and_says_so() {
    let fleet = Fleet::embedded();
    let _ = fleet.apply(&provider_table("acme", "http://127.0.0.1:9", "t", "")).expect(0);
    let job = fleet.write("job.json", "{\"v\":1,\"job\":\"sync\",\"provider\":\"acme\"}").display().to_string();
    assert_eq!(json(&fleet, &["enqueue", &job])["enqueued"], true);
    assert_eq!(json(&fleet, &["runs", "list"])["runs"][0]["state"], "queued");
}
