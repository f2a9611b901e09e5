use secrecy::ExposeSecret as _;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mistakes(text: &str, environment: &[(&str, &str)]) -> String {
    Config::parse("scimfleet.toml", text, variables(environment)).unwrap_err().to_string()
}

#[test]
fn everything_has_a_default() {
    let config = Config::parse("scimfleet.toml", "", []).unwrap();
    assert_eq!(config.store.url.expose(), "sqlite://scimfleet.db");
    assert_eq!(config.queue.url.expose(), "memory://");
    assert_eq!(config.queue.prefix, "scimfleet");
    assert_eq!(config.coordination.url.expose(), "memory://");
    assert_eq!(config.console.listen.to_string(), "127.0.0.1:8686");
    assert_eq!(config.scheduler.full_sync_every.to_string(), "1h");
    assert_eq!(config.worker, WorkerConfig { tasks_in_flight: 8, requests_in_flight: 64, leavers_reserved: 1 });
    assert_eq!(config.egress, EgressConfig { private: true, loopback: true, proxy: None });
    assert_eq!(config.secrets.key_file, Path::new("scimfleet.key"));
    assert!(config.secrets.key.is_none() && config.admin_token.is_none() && config.directory_token.is_none());
    assert_eq!(config.metrics, MetricsConfig { listen: None, protected: false });
    assert_eq!(config.telemetry.otlp, None);
    assert_eq!(config.scheduler.log_kept, Some(Duration::from_secs(400 * 86_400)));
    assert!(config.is_embedded());
}

#[test]
fn the_environment_wins_and_empty_variables_do_not_count() {
    let text = r#"
[store]
url = "postgres://db/fleet"
[queue]
url = "amqp://mq"
[worker]
tasks_in_flight = 16
[egress]
private = true
[metrics]
listen = "0.0.0.0:9464"
"#;
    let environment = [
        ("SCIMFLEET_STORE_URL", "postgres://other/fleet"),
        ("SCIMFLEET_QUEUE_URL", ""),
        ("SCIMFLEET_WORKER_TASKS_IN_FLIGHT", "2"),
        ("SCIMFLEET_EGRESS_PRIVATE", "false"),
        ("SCIMFLEET_METRICS_LISTEN", "off"),
        ("SCIMFLEET_METRICS_PROTECTED", "yes"),
        ("SCIMFLEET_TELEMETRY_OTLP", "http://collector:4318"),
        ("SCIMFLEET_SCHEDULER_LOG_KEPT", "off"),
        ("SCIMFLEET_CONSOLE_LISTEN", "localhost:0"),
        ("SCIMFLEET_ADMIN_TOKEN", "first-admin\n"),
        ("PATH", "/bin"),
    ];
    let config = Config::parse("scimfleet.toml", text, variables(&environment)).unwrap();
    assert_eq!(config.store.url.expose(), "postgres://other/fleet");
    assert_eq!(config.queue.url.expose(), "amqp://mq");
    assert!(!config.is_embedded());
    assert_eq!(config.worker.tasks_in_flight, 2);
    assert!(!config.egress.private);
    assert_eq!(config.metrics, MetricsConfig { listen: None, protected: true });
    assert_eq!(config.telemetry.otlp.unwrap().expose(), "http://collector:4318");
    assert_eq!(config.scheduler.log_kept, None);
    assert_eq!(config.console.listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.admin_token.unwrap().expose_secret(), "first-admin");
}

#[test]
fn every_mistake_is_listed_at_once_with_its_line() {
    let text = r#"
[store]
url = "mysql://root:s3cret@db/fleet"
[queue]
url = "amqp//mq"
prefix = "a.b"
[cosole]
listen = "x"
[worker]
task_in_flight = 3
tasks_in_flight = 0
requests_in_flight = "many"
[egress]
private = "maybe"
proxy = "socks5://p"
[secrets]
key = "abc"
key_file = ["a"]
[scheduler]
full_sync_every = "hourly"
log_kept = "1h"
[metrics]
listen = "9464"
"#;
    assert_eq!(
        mistakes(text, &[]),
        "\
scimfleet.toml:3:7: `store.url`: scheme `mysql` is not supported (write `sqlite://scimfleet.db` or `postgres://user:password@host/database`)
scimfleet.toml:5:7: `queue.url`: is no address: `://` is missing (write `memory://` or `amqp://user:password@host:5672/%2f`)
scimfleet.toml:6:10: `queue.prefix`: `a.b` is no name (1 to 32 letters, digits, `-` and `_`)
scimfleet.toml:7:2: unknown key `cosole` in the configuration (did you mean `console`?)
scimfleet.toml:10:1: unknown key `task_in_flight` in [worker] (did you mean `tasks_in_flight`?)
scimfleet.toml:11:19: `worker.tasks_in_flight`: `0` is out of range (a number from 1 to 256)
scimfleet.toml:12:22: `worker.requests_in_flight`: `many` is out of range (a number from 1 to 4096)
scimfleet.toml:14:11: `egress.private`: `maybe` is neither true nor false (write `true` or `false`)
scimfleet.toml:15:9: `egress.proxy`: scheme `socks5` is not supported (write `http://host:port`)
scimfleet.toml:17:7: `key` of [secrets]: is never read from a file (set SCIMFLEET_SECRETS_KEY, or name a file by `key_file`)
scimfleet.toml:18:12: `key_file` of [secrets]: expected a single value, found an array
scimfleet.toml:20:19: `scheduler.full_sync_every`: `hourly` is no schedule: neither a duration nor a cron expression (write a duration such as `1h`, `30m` or `90s`, a cron expression such as `0 */2 * * *` (UTC), or `off`)
scimfleet.toml:21:12: `scheduler.log_kept`: `1h` is no time of at least a day (such as `90d`, or `off` for ever)
scimfleet.toml:23:10: `metrics.listen`: `9464` is no address to listen on (write an address and a port such as `0.0.0.0:9464`, or `off`)"
    );
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let cases = [
        (
            "SCIMFLEET_STORE_ULR",
            "x",
            "environment: unknown variable `SCIMFLEET_STORE_ULR` (did you mean `SCIMFLEET_STORE_URL`?)",
        ),
        (
            "SCIMFLEET_CONSOLE_ROOT",
            "/x",
            "environment: unknown variable `SCIMFLEET_CONSOLE_ROOT` (known: SCIMFLEET_CONSOLE_LISTEN)",
        ),
        (
            "SCIMFLEET_ADMIN_TOKN",
            "x",
            "environment: unknown variable `SCIMFLEET_ADMIN_TOKN` (did you mean `SCIMFLEET_ADMIN_TOKEN`?)",
        ),
        (
            "SCIMFLEET_SECRETS_KEY",
            "c2hvcnQ=",
            "environment: `SCIMFLEET_SECRETS_KEY`: is not 32 bytes in base64 (make one with `openssl rand -base64 32`)",
        ),
        (
            "SCIMFLEET_STORE_URL",
            "postgres://u:p/w@db/x",
            "environment: `SCIMFLEET_STORE_URL`: is no address: invalid port number; special characters in a password are written as %XX (write `sqlite://scimfleet.db` or `postgres://user:password@host/database`)",
        ),
        (
            "SCIMFLEET_WORKER_LEAVERS_RESERVED",
            "8",
            "environment: `SCIMFLEET_WORKER_LEAVERS_RESERVED`: `8` is out of range (a number from 0 to 7: fewer than `worker.tasks_in_flight`)",
        ),
    ];
    for (name, value, message) in cases {
        assert_eq!(mistakes("", &[(name, value)]), message);
    }
}

#[test]
fn foreign_variables_are_left_alone() {
    let environment = [
        ("SCIMFLEET_CONSOLE_SERVICE_HOST", "10.0.0.1"),
        ("SCIMFLEET_CONSOLE_PORT", "tcp://10.0.0.1:8686"),
        ("SCIMFLEET_CONSOLE_PORT_8686_TCP", "tcp://10.0.0.1:8686"),
        ("SCIMFLEET_TEST_BROKER", "x"),
        ("SCIMFLEET_LOG", "debug"),
        ("SCIMFLEET_LOG_FORMAT", "json"),
    ];
    assert!(Config::parse("scimfleet.toml", "", variables(&environment)).is_ok());
}

#[test]
fn a_syntax_error_does_not_hide_the_other_mistakes() {
    let found = mistakes("[store]\nurl = \n[worker]\ntasks_in_flight = 0\n", &[]);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0].starts_with("scimfleet.toml:2:"), "{found}");
    assert!(lines.iter().any(|line| line.starts_with("scimfleet.toml:4:19: `worker.tasks_in_flight`")), "{found}");
}

#[test]
fn nothing_secret_is_shown() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let environment = [
        ("SCIMFLEET_STORE_URL", "postgres://fleet:canary-1@db/fleet"),
        ("SCIMFLEET_QUEUE_URL", "amqp://fleet:canary-2@mq"),
        ("SCIMFLEET_SECRETS_KEY", key),
        ("SCIMFLEET_ADMIN_TOKEN", "canary-3"),
        ("SCIMFLEET_EGRESS_PROXY", "http://me:canary-4@proxy:3128"),
    ];
    let config = Config::parse("scimfleet.toml", "", variables(&environment)).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("canary") && !shown.contains(key), "{shown}");
    let refused =
        mistakes("[store]\nurl = \"postgres://fleet:canary-5@/x y\"", &[("SCIMFLEET_QUEUE_URL", "canary-6@mq")]);
    assert!(!refused.contains("canary"), "{refused}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let error = Config::load(Some(Path::new("no-such-folder/fleet.toml")), []).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no-such-folder/fleet.toml: cannot be read: No such file or directory (os error 2) (`--config` names a TOML file; without it every setting has a default)"
    );
}
