//! One trace from the write to the directory to the request at the provider, and its spans at a collector.

use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use scimfleet_tests::{Fleet, Receiver, Role, free_port, provider_table, repository, request};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A span, as far as the story looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
}

/// The length-delimited fields of a protobuf message, by number; others are skipped.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        match tag & 7 {
            0 => drop(varint(&mut bytes)),
            1 => bytes = &bytes[8..],
            5 => bytes = &bytes[4..],
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                found.push((tag >> 3, &bytes[..length]));
                bytes = &bytes[length..];
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn of(fields: &[(u64, &[u8])], number: u64) -> Vec<u8> {
    fields.iter().find(|(known, _)| *known == number).map(|(_, bytes)| bytes.to_vec()).unwrap_or_default()
}

/// The spans of an ExportTraceServiceRequest: resource_spans (1) → scope_spans (2) → spans (2).
fn spans(body: &[u8]) -> Vec<Span> {
    let inner = |bytes: &[u8], number: u64| -> Vec<Vec<u8>> {
        fields(bytes).into_iter().filter(|(known, _)| *known == number).map(|(_, bytes)| bytes.to_vec()).collect()
    };
    let scopes = inner(body, 1).iter().flat_map(|resource| inner(resource, 2)).collect::<Vec<_>>();
    let spans = scopes.iter().flat_map(|scope| inner(scope, 2)).collect::<Vec<_>>();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    spans
        .iter()
        .map(|span| {
            let fields = fields(span);
            Span {
                trace: hex(of(&fields, 1)),
                id: hex(of(&fields, 2)),
                parent: hex(of(&fields, 4)),
                name: String::from_utf8(of(&fields, 5)).unwrap(),
            }
        })
        .collect()
}

/// Writes one user with a trace context, and waits until the provider has it; returns what the POST came with, and
/// who did it all.
fn written(fleet: &Fleet, port: u16, sample: &Running) -> (String, Role) {
    let token = fleet
        .run(&["token", "create", "--scope", "directory", "--name", "hr", "--output", "json"])
        .expect(0)
        .json["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let serve = fleet.start(&["serve"]);
    fleet.until(&["status", "--output", "json"], |_| request(port, "GET", "/healthz", &[], "").status == 200);
    let headers = [
        ("Authorization", format!("Bearer {token}")),
        ("Content-Type", "application/scim+json".to_owned()),
        ("traceparent", format!("00-{TRACE}-{PARENT}-01")),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let user = "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"userName\":\"anna\"}";
    let made = request(port, "POST", "/scim/v2/Users", &headers, user);
    assert_eq!(made.status, 201, "{}", made.body);
    fleet.until(&["status", "--output", "json"], |_| sample.users_count() == 1);
    let entries = sample.journal().entries;
    let post = entries.iter().find(|entry| entry.method == "POST" && entry.path == "/Users").unwrap();
    (post.traceparent.clone().unwrap_or_default(), serve)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_context_goes_all_the_way() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let port = free_port();
    let fleet = Fleet::embedded().with("SCIMFLEET_CONSOLE_LISTEN", format!("127.0.0.1:{port}"));
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "schedule = \"off\"")).expect(0);
    let (sent, _serve) = written(&fleet, port, &sample);
    assert_eq!(sent, format!("00-{TRACE}-{PARENT}-01"));
}

/// Publishes a job as a stranger at the broker, in a trace.
fn job_in_a_trace(url: &str, prefix: &str, job: &str) {
    let (script, client) = (repository().join("tests/interop/amqp.sh"), repository().join("tests/stories/amqp.py"));
    let published = std::process::Command::new(script)
        .arg(client)
        .args(["publish", prefix, "jobs", job, &format!("00-{TRACE}-{PARENT}-01")])
        .env("SCIMFLEET_QUEUE_URL", url)
        .output()
        .unwrap();
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_of_a_job_message_arrives_at_the_provider() {
    let url = std::env::var("SCIMFLEET_TEST_AMQP_URL").expect("SCIMFLEET_TEST_AMQP_URL is unset; run `make test`");
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let (port, prefix) = (free_port(), format!("trace-{}", std::process::id()));
    let fleet = Fleet::embedded()
        .with("SCIMFLEET_CONSOLE_LISTEN", format!("127.0.0.1:{port}"))
        .with("SCIMFLEET_QUEUE_URL", &url)
        .with("SCIMFLEET_QUEUE_PREFIX", &prefix);
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "schedule = \"off\"")).expect(0);
    let anna = "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"userName\":\"anna\"}\n";
    let _ = fleet.import(anna, &[]).expect(0);
    let _serve = fleet.start(&["serve"]);
    fleet.until(&["status", "--output", "json"], |_| sample.users_count() == 1);
    let mark = sample.journal().entries.len();
    job_in_a_trace(&url, &prefix, "{\"v\":1,\"job\":\"sync\",\"provider\":\"acme\"}");
    let traced = || {
        let entries = sample.journal().entries;
        entries[mark..].iter().find_map(|entry| entry.traceparent.clone().filter(|text| text.contains(TRACE)))
    };
    fleet.until(&["status", "--output", "json"], |_| traced().is_some());
    assert_eq!(traced().unwrap(), format!("00-{TRACE}-{PARENT}-01"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_collector_every_step_is_a_span_of_the_same_trace() {
    let sample = ServiceProvider::start(Behaviour::default()).await.unwrap();
    let (port, collector) = (free_port(), Receiver::start());
    let fleet = Fleet::embedded()
        .with("SCIMFLEET_CONSOLE_LISTEN", format!("127.0.0.1:{port}"))
        .with("SCIMFLEET_TELEMETRY_OTLP", format!("http://127.0.0.1:{}", collector.port))
        .with("OTEL_BSP_SCHEDULE_DELAY", "100");
    let _ = fleet.apply(&provider_table("acme", &sample.base_url(), &sample.token(), "schedule = \"off\"")).expect(0);
    let exported = || -> Vec<Span> {
        let posted = collector.posted();
        assert!(posted.iter().all(|(path, _)| path == "/v1/traces"));
        posted.iter().flat_map(|(_, body)| spans(body)).filter(|span| span.trace == TRACE).collect()
    };
    let (sent, _serve) = written(&fleet, port, &sample);
    let (_, rest) = sent.split_once(&format!("00-{TRACE}-")).unwrap_or_else(|| panic!("{sent}"));
    let task = rest.split('-').next().unwrap().to_owned();
    let chain = || -> Option<Vec<String>> {
        let all = exported();
        let named = |name: &str| all.iter().find(|span| span.name == name).cloned();
        let (write, publish, work) = (named("write")?, named("publish")?, named("task")?);
        let request = all.iter().find(|span| span.name == "request" && span.parent == work.id)?.clone();
        Some(vec![write.parent, publish.parent, write.id, work.parent, publish.id, work.id, request.parent])
    };
    fleet.until(&["status", "--output", "json"], |_| chain().is_some());
    let chain = chain().unwrap();
    assert_eq!(chain[0], PARENT);
    assert_eq!(chain[1], chain[2], "publishing follows the write");
    assert_eq!(chain[3], chain[4], "the task follows the publishing");
    assert_eq!(chain[5], task, "the provider is told of the task");
    assert_eq!(chain[6], task);
}
