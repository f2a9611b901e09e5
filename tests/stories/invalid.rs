//! Data that breaks the schema stops the run and says which object, mapping and violation.

use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use scimfleet_tests::{Fleet, provider_table};

const BROKEN: &str = r#"
[[mapping]]
name = "50-broken"
resource = "user"
expression = '''
if user.username == "u7":
    return {"emails": "not a list", "nickName": 5, "madeUp": True}
return None
'''
"#;

fn people(count: usize) -> String {
    let line = |n: usize| {
        format!(
            "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e{n}\",\"userName\":\"u{n}\",\"displayName\":\"U {n}\"}}\n"
        )
    };
    (0..count).map(line).collect()
}

fn fleet(sample: &Running, more: &str) -> Fleet {
    let fleet = Fleet::embedded();
    let mappings = "mappings = [\"10-user-default\", \"10-group-default\", \"50-broken\"]";
    let table = provider_table("acme", &sample.base_url(), &sample.token(), &format!("{mappings}\n{more}"));
    let _ = fleet.apply(&format!("{table}{BROKEN}")).expect(0);
    let _ = fleet.import(&people(250), &[]).expect(0);
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_data_stops_the_run_and_is_named() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = fleet(&sample, "");
    for _ in 0..2 {
        let ran = fleet.sync("acme", &[]).expect(3);
        let run = ran.run();
        assert_eq!(run["state"], "stopped");
        assert_eq!((run["error"]["code"].as_str(), run["error"]["object"].as_str()), (Some("invalid"), Some("u7")));
        assert_eq!(run["error"]["mapping"], "50-broken");
        let violations = run["error"]["violations"].as_array().unwrap();
        let paths: Vec<&str> = violations.iter().filter_map(|one| one["path"].as_str()).collect();
        assert_eq!(paths, ["emails", "nickName", "madeUp"], "{run}");
        assert!(violations.iter().all(|one| one["rule"].is_string() && one["value_kind"].is_string()));
    }
    assert!(sample.named(scimfleet_core::ResourceKind::User, "u7").is_empty());
    assert_eq!(sample.violations(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_skip_the_object_is_parked_alone() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let fleet = fleet(&sample, "on_invalid = \"skip\"");
    let ran = fleet.sync("acme", &[]).expect(0);
    assert_eq!((ran.count("created"), ran.count("parked")), (249, 1));
    assert_eq!(fleet.sync("acme", &["--fail-on", "parked"]).expect(1).writes(), 0);
    let parked = fleet.run(&["parked", "list", "--output", "json"]).expect(0);
    assert_eq!(parked.json["parked"][0]["name"], "u7");
    assert_eq!(parked.json["parked"][0]["reason"], "invalid");
    // The mapping is mended: nothing else is needed.
    let table = provider_table("acme", &sample.base_url(), &sample.token(), "on_invalid = \"skip\"");
    let _ = fleet.apply(&table).expect(0);
    assert_eq!(fleet.sync("acme", &["--fail-on", "parked"]).expect(0).count("created"), 1);
}

#[test]
fn what_does_not_compile_is_refused_at_apply() {
    let fleet = Fleet::embedded();
    let table = provider_table("acme", "http://127.0.0.1:1/v2", "t", "mappings = [\"50-typo\"]");
    let mapping = "[[mapping]]\nname = \"50-typo\"\nresource = \"user\"\nexpression = '''\nx = 1\nreturn {\"title\": usr.title}\n'''\n";
    let ran = fleet.apply(&format!("{table}{mapping}")).expect(2);
    for words in ["50-typo", "line 2", "column", "usr", "^"] {
        assert!(ran.stderr.contains(words), "`{words}` is missing: {}", ran.stderr);
    }
    assert_eq!(
        fleet.run(&["providers", "list", "--output", "json"]).json["providers"].as_array().map(Vec::len),
        Some(0)
    );
}
