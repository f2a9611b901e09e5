//! The directory's own SCIM endpoint, as clients and test suites see it that this project did not write.

use std::path::Path;
use std::process::{Command, Stdio};

use scimfleet_core::ResourceKind;
use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_tests::{Fleet, Postgres, Role, provider_table, repository};

/// A fleet whose directory is open.
struct Directory {
    fleet: Fleet,
    _serve: Role,
    base_url: String,
    token: String,
}

impl Directory {
    fn open(fleet: Fleet) -> Self {
        let (serve, base_url) = fleet.start_console("serve");
        let created = fleet.run(&["token", "create", "--scope", "directory", "--name", "suite", "--output", "json"]);
        let token = created.expect(0).json["token"].as_str().unwrap().to_owned();
        Self { fleet, _serve: serve, base_url, token }
    }

    /// What a script of `tests/interop` said of it, and its exit code.
    fn told_by(&self, script: &str, more: &[&str]) -> (i32, String) {
        let file = repository().join(format!("tests/interop/{script}.sh"));
        let output = Command::new("bash").arg(&file).args([&self.base_url, &self.token]).args(more).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap_or(-1), text)
    }
}

fn the_suites_are_content(fleet: Fleet) {
    let directory = Directory::open(fleet);
    let (code, said) = directory.told_by("scim2-tester", &[]);
    let count = |word: &str| said.lines().filter(|line| line.trim_start().starts_with(word)).count();
    println!("scim2-tester: {} SUCCESS, {} ERROR", count("SUCCESS"), count("ERROR"));
    assert!(code == 0 && count("ERROR") == 0 && count("SUCCESS") > 100, "{said}");

    // It puts somebody who does not exist into a group, and expects that to be taken.
    let (_, said) = directory.told_by("scim-sanity", &["--json-output"]);
    let from = said.find('{').unwrap_or_else(|| panic!("{said}"));
    let told: serde_json::Value = serde_json::from_str(&said[from..]).unwrap_or_else(|error| panic!("{error}: {said}"));
    let results = told["results"].as_array().unwrap();
    let failed: Vec<&str> =
        results.iter().filter(|one| one["status"] == "fail").map(|one| one["name"].as_str().unwrap()).collect();
    println!("scim-sanity: {}, failed {failed:?}", told["summary"]);
    assert_eq!(failed, ["PATCH /Groups/{id} add member"], "{told:#}");
    assert!(results.len() > 25, "{told:#}");
}

#[test]
fn test_suites_find_no_mistake_on_sqlite() {
    the_suites_are_content(Fleet::embedded());
}

#[test]
fn test_suites_find_no_mistake_on_postgresql() {
    let database = Postgres::create();
    let [(store, url), (key, secret)] = database.environment();
    the_suites_are_content(Fleet::embedded().with(store, url).with(key, secret));
}

#[test]
fn scim2_client_drives_it() {
    let directory = Directory::open(Fleet::embedded());
    let program = repository().join("tests/stories/clients.py");
    let script = repository().join("tests/interop/scim2-client.sh");
    let arguments = [program.as_os_str(), directory.base_url.as_ref(), directory.token.as_ref()];
    let output = Command::new("bash").arg(script).args(arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

/// One command of scim-sim; the id at the end of what it says.
fn scim_sim(home: &Path, arguments: &[&str]) -> String {
    let script = repository().join("tests/interop/scim-sim.sh");
    let cache = std::env::var("INTEROP_HOME").unwrap_or_else(|_| {
        format!("{}/.cache/scim-interop", std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned()))
    });
    let mut command = Command::new("bash");
    command.arg(script).args(arguments).env("HOME", home).env("INTEROP_HOME", cache).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.contains('❌'), "{arguments:?}: {said}");
    println!("scim-sim {arguments:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_sim_fills_it_and_the_provider_follows() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let directory = Directory::open(Fleet::embedded());
    let table = provider_table("acme", &sample.base_url(), &sample.token(), "schedule = \"off\"");
    let _ = directory.fleet.apply(&table).expect(0);
    let home = directory.fleet.folder();
    let config = serde_json::json!({ "SCIM_BASE_URL": directory.base_url, "SCIM_AUTH_TOKEN": directory.token });
    std::fs::write(home.join(".scim_config.json"), config.to_string()).unwrap();
    let id_in = |said: &str| said.trim().rsplit(' ').next().unwrap().to_owned();
    let user = id_in(&scim_sim(home, &["add-user"]));
    let group = id_in(&scim_sim(home, &["create-group", "Staff"]));
    let _ = scim_sim(home, &["add-to-group", &user, &group]);
    assert!(scim_sim(home, &["show"]).contains("Staff"));
    let members = || {
        sample
            .named(ResourceKind::Group, "Staff")
            .first()
            .map_or(0, |one| one["members"].as_array().map_or(0, Vec::len))
    };
    let explained = ["explain", user.as_str(), "--output", "json"];
    directory.fleet.until(&explained, |_| sample.users_count() == 1 && members() == 1);
    let _ = scim_sim(home, &["remove-from-group", &user, &group]);
    directory.fleet.until(&explained, |_| members() == 0);
    let _ = scim_sim(home, &["remove-user", &user]);
    directory.fleet.until(&explained, |_| sample.users_count() == 0);
}
