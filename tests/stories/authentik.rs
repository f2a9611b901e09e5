//! Coming from authentik: its directory is read, its providers are written down, its links are taken over, and the
//! first sync finds nothing to make and nothing to remove at applications that authentik filled.

use scimfleet_tests::{Authentik, Fleet, Interop};
use serde_json::{Value, json};

const USERS: u64 = 3_000;
const GROUPS: u64 = 120;

/// Service accounts are 2 of every 100.
const PEOPLE: u64 = USERS - USERS / 50;

fn import(fleet: &Fleet, authentik: &Authentik, more: &[&str]) -> scimfleet_tests::Ran {
    let token = fleet.write("authentik.token", &authentik.token).display().to_string();
    let mut arguments =
        vec!["import", "authentik", "--url", &authentik.url, "--token-file", &token, "--output", "json"];
    arguments.extend_from_slice(more);
    fleet.run(&arguments)
}

#[test]
fn a_read_that_is_not_whole_removes_nobody() {
    let authentik = Authentik::start(&[("USERS", "260"), ("GROUPS", "30")]);
    let fleet = Fleet::embedded();
    assert_eq!(import(&fleet, &authentik, &[]).expect(0).json["created"], 290);
    let faults = [
        json!({ "endpoint": "core/users", "page": 2, "what": "lost page", "always": true }),
        json!({ "endpoint": "core/users", "page": 3, "what": "short page", "always": true }),
        json!({ "endpoint": "core/users", "page": 3, "what": "status 500" }),
        json!({ "endpoint": "core/groups", "page": 2, "what": "status 500" }),
        json!({ "endpoint": "core/groups", "page": 1, "what": "lost page", "always": true }),
        json!({ "endpoint": "core/users", "page": 1, "what": "empty", "always": true }),
    ];
    for fault in faults {
        authentik.control("fault", &fault);
        let ran = import(&fleet, &authentik, &[]).expect(1);
        assert!(ran.stderr.contains("nothing was taken in"), "{fault}: {}", ran.stderr);
        authentik.control("mend", &json!({}));
    }
    // Both lists empty add up; the guard does not let them pass.
    for endpoint in ["core/users", "core/groups"] {
        authentik.control("fault", &json!({ "endpoint": endpoint, "page": 1, "what": "empty", "always": true }));
    }
    let ran = import(&fleet, &authentik, &[]).expect(1);
    assert!(ran.stderr.contains("nothing was removed"), "{}", ran.stderr);
    authentik.control("mend", &json!({}));
    let again = import(&fleet, &authentik, &[]).expect(0);
    assert_eq!((&again.json["unchanged"], &again.json["removed"]), (&json!(290), &json!(0)));
    // Somebody who left is removed, and a removed attribute is cleared.
    authentik.control("remove", &json!({ "pk": 7 }));
    authentik.control("change", &json!({ "pk": 12, "attributes": {} }));
    let ran = import(&fleet, &authentik, &[]).expect(0);
    let counts = ["updated", "removed", "created"].map(|counter| ran.json[counter].as_u64());
    // Whoever left was a member of one group, which is another one now.
    assert_eq!(counts, [Some(2), Some(1), Some(0)], "{}", ran.stdout);
}

#[test]
fn a_fleet_file_says_what_can_be_said_and_names_the_rest() {
    let authentik = Authentik::start(&[("USERS", "50"), ("GROUPS", "40"), ("URL_1", "http://127.0.0.1:1/v2")]);
    let fleet = Fleet::embedded();
    let path = fleet.folder().join("written.toml").display().to_string();
    let ran = import(&fleet, &authentik, &["--write-fleet", &path]).expect(1);
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(ran.json["fleet"]["providers"], json!(["acme-scim", "scimmy-corp", "slack"]));
    let cannot = ran.json["fleet"]["cannot_run"].as_array().unwrap();
    assert_eq!((cannot.len(), &cannot[0]["mapping"], &cannot[0]["line"]), (1, &json!("custom: 'on call'"), &json!(3)));
    assert!(cannot[0]["reason"].as_str().unwrap().contains("no network"), "{cannot:?}");
    let remarks = ran.json["fleet"]["remarks"].to_string();
    for words in ["policy `office hours`", "not user `user00002`", "group `Division 7`"] {
        assert!(remarks.contains(words), "{words}: {remarks}");
    }
    for line in [
        "token = { env = \"ACME_SCIM_TOKEN\" }",
        "profile = \"slack\"",
        "schedule = \"11 */4 * * *\"",
        "tls = { verify = false }",
        "page_size = 50",
        "dry_run = true # as in authentik",
        "exclude_service_accounts = true",
        "# It cannot run here, line 3:",
        "# policy binding that cannot be translated: not user `user00002`",
    ] {
        assert!(written.contains(line), "`{line}` is missing:\n{written}");
    }
    // What cannot run is refused by `apply`; without it everything else is taken as it stands.
    let refused = fleet.run(&["apply", &path]).expect(2);
    assert!(refused.stderr.contains("ACME_SCIM_TOKEN"), "{}", refused.stderr);
    let fleet = fleet.with("ACME_SCIM_TOKEN", "a").with("SCIMMY_CORP_TOKEN", "b").with("SLACK_TOKEN", "c");
    let refused = fleet.run(&["apply", &path]).expect(2);
    assert!(refused.stderr.contains("on call"), "{}", refused.stderr);
    let mended =
        written.replace("calls = requests.get(", "calls = (").replace("calls.json()[\"title\"]", "\"on call\"");
    let mended = fleet.write("mended.toml", &mended).display().to_string();
    let applied = fleet.run(&["apply", &mended, "--output", "json"]).expect(0);
    assert_eq!(applied.json["providers"].as_array().map(Vec::len), Some(3), "{}", applied.stdout);
    assert_eq!(
        fleet.run(&["apply", &mended, "--output", "json"]).expect(0).json["providers"][2]["change"],
        "unchanged"
    );
}

/// Accounts and groups that an application holds, and how many names stand twice.
fn held(server: &Interop, kind: &str, name: &str) -> (u64, u64) {
    let mut names = Vec::new();
    loop {
        let path = format!("/{kind}?startIndex={}&count=100&excludedAttributes=members", names.len() + 1);
        let page = server.get(&path);
        let found = page["Resources"].as_array().cloned().unwrap_or_default();
        names.extend(found.iter().map(|one| one[name].as_str().unwrap_or_default().to_owned()));
        if names.len() as u64 >= page["totalResults"].as_u64().unwrap_or_default() || found.is_empty() {
            break;
        }
    }
    let total = names.len();
    names.sort_unstable();
    names.dedup();
    (total as u64, (total - names.len()) as u64)
}

fn operations(plan: &Value) -> Vec<String> {
    let all = plan.as_array().cloned().unwrap_or_default();
    all.iter().map(|one| one["operation"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_take_over_makes_nobody_twice_and_sends_only_what_authentik_failed_to() {
    let strict = Interop::start("scim2-server", "/v2", &[]);
    let wide = Interop::start("scimmy", "/scim/v2", &[]);
    let authentik = Authentik::start(&[]);
    let filled = authentik.control("sync", &json!({ "provider": 1, "url": strict.base_url, "token": strict.token }));
    assert_eq!(filled, json!({ "users": PEOPLE, "groups": GROUPS }));
    let some = authentik.control("sync", &json!({ "provider": 2, "url": wide.base_url, "token": wide.token }));
    let some = some["users"].as_u64().unwrap();
    assert!(some > 200, "{some}");

    let fleet = Fleet::embedded()
        .with("ACME_SCIM_TOKEN", &strict.token)
        .with("SCIMMY_CORP_TOKEN", &wide.token)
        .with("SLACK_TOKEN", "unused");
    let path = fleet.folder().join("fleet.toml").display().to_string();
    let imported = import(&fleet, &authentik, &["--write-fleet", &path]).expect(1);
    assert_eq!(imported.json["fleet"]["cannot_run"].as_array().map(Vec::len), Some(1));
    // The mapping that cannot run belongs to the third provider, which is not taken over here.
    let written = std::fs::read_to_string(&path).unwrap();
    let written =
        written.replace("calls = requests.get(", "calls = (").replace("calls.json()[\"title\"]", "\"on call\"");
    // Titles that went count as removals: the guard has stories of its own.
    let written = written.replace("\nbase_url", "\nguard = { share = \"50%\", cap = 500, at_least = 200 }\nbase_url");
    std::fs::write(&path, written).unwrap();
    let _ = fleet.run(&["apply", &path]).expect(0);

    for (provider, server, users, groups) in [("acme-scim", &strict, PEOPLE, GROUPS), ("scimmy-corp", &wide, some, 30)]
    {
        let before = (held(server, "Users", "userName"), held(server, "Groups", "displayName"));
        assert_eq!(before, ((users, 0), (groups, 0)), "{provider}");
        let token = fleet.folder().join("authentik.token").display().to_string();
        let links =
            ["links", "import", provider, "--from", "authentik", "--url", &authentik.url, "--token-file", &token];
        let taken = fleet.run(&[&links[..], &["--output", "json"]].concat()).expect(0);
        assert_eq!((&taken.json["adopted"], &taken.json["refused_count"]), (&json!(users + groups), &json!(0)));
        let again = fleet.run(&[&links[..], &["--output", "json"]].concat()).expect(0);
        assert_eq!((&again.json["adopted"], &again.json["unchanged"]), (&json!(0), &json!(users + groups)));

        let dry = fleet.sync(provider, &["--dry-run"]).expect(0);
        let planned = operations(&dry.run()["plan"]);
        assert!(planned.iter().all(|operation| operation == "patch"), "{planned:?}");
        let changes = dry.run()["plan"].as_array().unwrap().iter().flat_map(|one| one["changes"].as_array().unwrap());
        for change in changes {
            let (path, to) = (change["path"].as_str().unwrap(), &change["to"]);
            // Titles that went, and the second telephone that went: nothing else differs.
            assert!(
                path == "title" && to.is_null() || path == "phoneNumbers" && to.as_array().unwrap().len() == 1,
                "{change}"
            );
        }

        let first = fleet.sync(provider, &[]).expect(0);
        let made =
            ["created", "deleted", "deactivated", "held", "parked", "failed"].map(|counter| first.count(counter));
        assert_eq!(made, [0; 6], "{}", first.stdout);
        assert_eq!(first.count("updated"), planned.len() as u64);
        let requests = &first.run()["requests"];
        let number = |name: &str| requests[name].as_u64().unwrap();
        assert_eq!(number("PATCH") + number("bulk_operations"), planned.len() as u64, "{requests}");
        assert_eq!((number("PUT"), number("DELETE")), (0, 0));
        // Nobody was created: what was posted are bulk requests.
        assert!(number("POST") <= number("bulk_operations"), "{requests}");
        assert_eq!((held(server, "Users", "userName"), held(server, "Groups", "displayName")), before);
        assert_eq!(fleet.sync(provider, &[]).expect(0).writes(), 0);
        println!("{provider}: {} accounts and {groups} groups taken over, {} PATCH", users, first.writes());
    }
}
