//! A broken broker, database, coordination service or target shows where people look, and clears by itself.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use scimfleet_testkit::provider::{Behaviour, ServiceProvider};
use scimfleet_testkit::proxy::{Mode, Proxy};
use scimfleet_tests::{Fleet, Listener, free_port, provider_table};
use serde_json::Value;

/// What is shown is promised within ten seconds. A busy machine may take longer to run this story than the
/// product to notice, so the story waits longer and tells how long it was. A target is taken back by its first probe,
/// 30 s after it was set aside.
const PATIENCE: Duration = Duration::from_secs(60);
const ADMIN: &str = "admin-token-of-the-story";
const ANNA: &str =
    "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"externalId\":\"e1\",\"userName\":\"anna\"}\n";

/// A service of the test environment behind a proxy, and its URL through it.
async fn proxied(variable: &str) -> (Proxy, String) {
    let url = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is unset; run `make test`"));
    let start = url.rfind('@').map_or_else(|| url.find("://").unwrap() + 3, |at| at + 1);
    let end = url[start..].find('/').map_or(url.len(), |slash| start + slash);
    let upstream: SocketAddr = url[start..end].replace("localhost", "127.0.0.1").parse().unwrap();
    let proxy = Proxy::start(upstream).await.unwrap();
    let through = format!("{}{}{}", &url[..start], proxy.address(), &url[end..]);
    (proxy, through)
}

fn create_database(name: &str) {
    let script = "psql=$(command -v psql || compgen -G '/usr/lib/postgresql/*/bin/psql' | tail -n 1); \
         exec \"$psql\" -qX -v ON_ERROR_STOP=1 -c \"CREATE DATABASE $1\" \"$SCIMFLEET_TEST_POSTGRES_URL\"";
    let created = Command::new("bash").args(["-c", script, "bash", name]).status().unwrap();
    assert!(created.success(), "no database");
}

struct Watch {
    listener: Listener,
}

impl Watch {
    fn until(&self, what: &str, condition: impl Fn(&Listener) -> bool) {
        let began = Instant::now();
        while !condition(&self.listener) {
            assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            scimfleet_tests::pause();
        }
        println!("{what}: after {:.1} s", began.elapsed().as_secs_f64());
    }

    /// Whether `/readyz` says of a service what is expected.
    fn reads(listener: &Listener, service: &str, well: bool) -> bool {
        let (_, body) = listener.get("/readyz", None);
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        body["checks"][service].as_str().is_some_and(|words| (words == "ok") == well)
    }

    fn counts(listener: &Listener, line: &str) -> bool {
        listener.get("/metrics", None).1.lines().any(|each| each == line)
    }

    fn overview(listener: &Listener) -> (u16, Value) {
        let (status, body) = listener.get("/api/v1/overview", Some(ADMIN));
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    fn silent(listener: &Listener) -> Option<usize> {
        Self::overview(listener).1["silent"].as_array().map(Vec::len)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_shows_everywhere_and_clears_by_itself() {
    let (store, store_url) = proxied("SCIMFLEET_TEST_POSTGRES_URL").await;
    let (broker, broker_url) = proxied("SCIMFLEET_TEST_AMQP_URL").await;
    let (redis, redis_url) = proxied("SCIMFLEET_TEST_REDIS_URL").await;
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let target = Proxy::start(sample.address()).await.unwrap();
    let name = format!("outage_{}", std::process::id());
    create_database(&name);
    let (url, _) = store_url.rsplit_once('/').unwrap();
    let listener = Listener::new(free_port());
    let fleet = Fleet::embedded()
        .with("SCIMFLEET_STORE_URL", format!("{url}/{name}"))
        .with("SCIMFLEET_QUEUE_URL", &broker_url)
        .with("SCIMFLEET_QUEUE_PREFIX", &name)
        .with("SCIMFLEET_COORDINATION_URL", &redis_url)
        .with("SCIMFLEET_SECRETS_KEY", format!("{}=", "A".repeat(43)))
        .with("SCIMFLEET_CONSOLE_LISTEN", listener.address())
        .with("SCIMFLEET_ADMIN_TOKEN", ADMIN);
    let base_url = sample.base_url().replace(&sample.address().to_string(), &target.address().to_string());
    let _ = fleet.apply(&provider_table("acme", &base_url, &sample.token(), "")).expect(0);
    let _ = fleet.import(ANNA, &[]).expect(0);
    let _serve = fleet.start(&["serve"]);
    let watch = Watch { listener };
    watch.until("all is well", |at| Watch::silent(at) == Some(0) && Watch::reads(at, "broker", true));

    for (proxy, service) in [(&broker, "broker"), (&redis, "coordination"), (&store, "store")] {
        let down = format!("scimfleet_service_up{{service=\"{service}\"}} 0");
        let up = format!("scimfleet_service_up{{service=\"{service}\"}} 1");
        proxy.set(Mode::Down).await;
        watch.until(&format!("/readyz names the {service}"), |at| Watch::reads(at, service, false));
        watch.until(&format!("metrics show the {service}"), |at| Watch::counts(at, &down));
        watch.until(&format!("the overview shows the {service}"), |at| match service {
            "store" => Watch::overview(at).0 == 503,
            _ => Watch::silent(at).is_some_and(|silent| silent > 0),
        });
        proxy.set(Mode::Pass).await;
        watch.until(&format!("/readyz clears the {service}"), |at| Watch::reads(at, service, true));
        watch.until(&format!("metrics clear the {service}"), |at| Watch::counts(at, &up));
        watch.until(&format!("the overview clears the {service}"), |at| Watch::silent(at) == Some(0));
    }

    target.set(Mode::Down).await;
    let _ = fleet.import(&ANNA.replace("anna", "anna2"), &[]).expect(0);
    let state = |at: &Listener| Watch::overview(at).1["providers"][0]["state"].as_str().map(str::to_owned);
    let _ = fleet.run(&["sync", "acme"]);
    watch.until("the overview shows the target", |at| state(at).as_deref() == Some("degraded"));
    let gauge = |value: u8| format!("scimfleet_provider_state{{provider=\"acme\",state=\"degraded\"}} {value}");
    watch.until("metrics show the target", |at| Watch::counts(at, &gauge(1)));
    target.set(Mode::Pass).await;
    watch.until("the overview clears the target", |at| state(at).as_deref() == Some("active"));
    watch.until("metrics clear the target", |at| Watch::counts(at, &gauge(0)));
}
