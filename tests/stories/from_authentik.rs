//! `docs/from-authentik.md`, command by command, as it stands; then the source that it configures, followed.

use scimfleet_tests::{Authentik, Fleet, Interop, Ran, repository};
use serde_json::{Value, json};

/// The blocks of a kind in the guide, in their order.
fn blocks(guide: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    guide.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn user_at(server: &Interop, name: &str) -> Value {
    let found = server.get(&format!("/Users?filter=userName%20eq%20%22{name}%22"));
    found["Resources"].as_array().and_then(|all| all.first().cloned()).unwrap_or_default()
}

fn check(line: &str, ran: &Ran) {
    if line.ends_with("--dry-run") {
        assert!(!ran.stdout.contains("create") && !ran.stdout.contains("delete"), "{}", ran.stdout);
        assert!(ran.stdout.contains("patch"), "{}", ran.stdout);
    }
    if line.contains("links list") {
        assert!(ran.stdout.contains("adopted"), "{}", ran.stdout);
    }
    if line.contains("links rekey") {
        assert!(ran.stdout.contains("has the externalId"), "{}", ran.stdout);
    }
}

#[test]
fn every_command_of_the_guide_runs_as_it_stands() {
    let target = Interop::start("scim2-server", "/v2", &[]);
    let authentik = Authentik::start(&[("USERS", "60"), ("GROUPS", "20"), ("PROVIDERS", "1")]);
    authentik.control("sync", &json!({ "provider": 1, "url": target.base_url, "token": target.token }));
    let guide = std::fs::read_to_string(repository().join("docs/from-authentik.md")).unwrap();
    let fleet = Fleet::embedded().with("AUTHENTIK_URL", &authentik.url).with("ACME_SCIM_TOKEN", &target.token);
    fleet.write("authentik.token", &authentik.token);
    let account = user_at(&target, "user00007")["id"].as_str().unwrap().to_owned();
    fleet.write("links.csv", &format!("kind,object,remote_id\nuser,user00007,{account}\n"));
    let configuration = blocks(&guide, "toml").remove(0).replace("https://authentik.example", &authentik.url);
    let quick = configuration.replace("\"1h\"", "\"2s\"").replace("\"30s\"", "\"1s\"");

    let mut serving = None;
    let mut commands = 0;
    for line in blocks(&guide, "sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()) {
        // Values of one's own.
        if line.starts_with("export ") {
            continue;
        }
        commands += 1;
        if line == "scimfleet serve" {
            fleet.write("scimfleet.toml", &quick);
            serving = Some(fleet.start(&["serve"]));
            follow(&fleet, &authentik, &target);
            continue;
        }
        let ran = fleet.run_line(&line).expect(0);
        check(&line, &ran);
    }
    assert!(serving.is_some() && commands >= 12, "{commands}");
}

/// What changes in authentik arrives at the application; only a complete read takes anybody away.
fn follow(fleet: &Fleet, authentik: &Authentik, target: &Interop) {
    let look = ["providers", "list", "--output", "json"];
    authentik.control("change", &json!({ "pk": 8, "name": "Renamed Person" }));
    fleet.until(&look, |_| user_at(target, "user00008")["displayName"] == "Renamed Person");
    authentik.control("change", &json!({ "pk": 10, "is_active": false }));
    fleet.until(&look, |_| user_at(target, "user00010")["active"] == false);
    // Half of a list is no reason to remove the other half.
    authentik.control("fault", &json!({ "endpoint": "core/users", "page": 1, "what": "short page", "always": true }));
    authentik.control("remove", &json!({ "pk": 12 }));
    let asked = || authentik.control("served", &json!({}))["core/users"].as_u64().unwrap();
    let now = asked();
    fleet.until(&look, |_| asked() > now + 6);
    assert_eq!(user_at(target, "user00012")["active"], true);
    authentik.control("mend", &json!({}));
    // An account that was taken over is deactivated, not deleted.
    fleet.until(&look, |_| user_at(target, "user00012")["active"] == false);
}
