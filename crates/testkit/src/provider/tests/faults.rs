//! Scripted faults and the journal; through a socket where the connection is what breaks.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// One request over a connection of its own; what came back, or how it broke.
async fn raw(provider: &Running, method: &str, path: &str, body: Option<Value>) -> std::io::Result<String> {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let head = format!(
        "{method} /scim/v2{path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-type: application/scim+json\r\ncontent-length: {}\r\n\r\n{body}",
        provider.token(),
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(provider.address()).await?;
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("an answer or an end in time")
}

#[tokio::test]
async fn it_serves_on_loopback_and_stops() {
    let provider = ServiceProvider::start(Behaviour::default()).await.unwrap();
    assert!(provider.base_url().starts_with("http://127.0.0.1:") && provider.base_url().ends_with("/scim/v2"));
    let answer = raw(&provider, "POST", "/Users", Some(user("ann"))).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.to_lowercase().contains(&format!("location: {}/users/", provider.base_url())), "{answer}");
    let address = provider.address();
    tokio::time::timeout(DEADLINE, provider.stop()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn connections_are_cut_before_or_after_the_work() {
    let provider = ServiceProvider::start(Behaviour::default()).await.unwrap();
    for (fault, name, applied, reset) in [
        (Fault::ResetBeforeApplying, "a", false, true),
        (Fault::ResetAfterApplying, "b", true, true),
        (Fault::DropAnswerAfterApplying, "c", true, false),
    ] {
        provider.script(Matcher::on("POST", "/Users"), fault.clone());
        let outcome = raw(&provider, "POST", "/Users", Some(user(name))).await;
        match outcome {
            Ok(answer) => assert!(!reset && answer.is_empty(), "{fault:?}: {answer}"),
            Err(error) => assert!(reset && error.kind() == std::io::ErrorKind::ConnectionReset, "{fault:?}: {error}"),
        }
        assert_eq!(provider.named(ResourceKind::User, name).len(), usize::from(applied), "{fault:?}");
    }
    assert_eq!(provider.journal().counts.answered(0), 3);
    assert!(raw(&provider, "POST", "/Users", Some(user("d"))).await.unwrap().starts_with("HTTP/1.1 201"));
}

#[tokio::test]
async fn a_black_hole_ends_with_the_provider() {
    let provider = ServiceProvider::start(Behaviour::default()).await.unwrap();
    provider.script(Matcher::any(), Fault::BlackHole);
    let mut stream = TcpStream::connect(provider.address()).await.unwrap();
    stream.write_all(b"GET /scim/v2/Users HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert!(tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte)).await.is_err());
    tokio::time::timeout(DEADLINE, provider.stop()).await.unwrap();
    let end = tokio::time::timeout(DEADLINE, stream.read(&mut byte)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
}

#[tokio::test]
async fn answers_that_are_no_answers() {
    let provider = plain();
    for (fault, status, applied) in [
        (Fault::Status(503), 503, false),
        (Fault::StatusAfterApplying(504), 504, true),
        (Fault::Garbage, 200, false),
        (Fault::HtmlPage(200), 200, false),
        (Fault::Body(202, "{}".to_owned()), 202, false),
        (Fault::EmptyAfterApplying, 201, true),
        (Fault::Throttled("7".to_owned()), 429, false),
    ] {
        let before = provider.users_count();
        provider.script(Matcher::on("POST", "/Users"), fault.clone());
        let reply = call(&provider, "POST", "/Users", Some(user(&format!("u{before}")))).await;
        assert_eq!(reply.status, status, "{fault:?}");
        assert_eq!(provider.users_count() - before, usize::from(applied), "{fault:?}");
        match fault {
            Fault::Garbage | Fault::HtmlPage(_) => {
                assert!(serde_json::from_str::<Value>(&reply.text).is_err());
            }
            Fault::EmptyAfterApplying => assert_eq!(reply.text, ""),
            Fault::Throttled(_) => assert_eq!(reply.header("retry-after"), Some("7")),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn delays_take_their_time_before_or_after_the_work() {
    let provider = plain();
    let long = Duration::from_secs(60);
    for fault in [Fault::Delay(long), Fault::DelayAnswer(long)] {
        provider.script(Matcher::any(), fault);
        let start = tokio::time::Instant::now();
        assert_eq!(get(&provider, "/Users").await.status, 200);
        assert!(start.elapsed() >= long);
    }
    provider.change_behaviour(|habits| habits.latency_ms = 5_000);
    let start = tokio::time::Instant::now();
    get(&provider, "/Users").await;
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn the_journal_remembers_and_counts() {
    let provider = plain();
    let id = call(&provider, "POST", "/Users", Some(user("a"))).await.id();
    let mark = provider.mark();
    let mut asked = request(&provider, "GET", &format!("/Users/{id}?attributes=userName"), None);
    asked.headers_mut().insert("traceparent", "00-1-2-01".parse().unwrap());
    send(&provider, asked).await;
    let title = patch(json!([{ "op": "add", "path": "title", "value": "x" }, { "op": "remove", "path": "title" }]));
    call(&provider, "PATCH", &format!("/Users/{id}"), title).await;
    get(&provider, "/Users/none").await;

    let since = provider.since(&mark);
    assert_eq!(since.entries.len(), 3);
    let (read, changed) = (&since.entries[0], &since.entries[1]);
    assert_eq!((read.method.as_str(), read.query.as_str(), read.status), ("GET", "attributes=userName", 200));
    assert_eq!((read.object.as_deref(), read.traceparent.as_deref()), (Some(id.as_str()), Some("00-1-2-01")));
    assert_eq!((changed.operations, &changed.object), (2, &Some(id.clone())));
    assert_eq!(provider.journal().entries[0].object, Some(id));
    let counts = provider.counts_since(&mark);
    assert_eq!((counts.of("GET"), counts.of("PATCH"), counts.of("POST"), counts.answered(404)), (2, 1, 0, 1));
    assert_eq!((counts.total(), counts.writes()), (3, 1));

    provider.cap_journal(2);
    assert_eq!((provider.journal().entries.len(), provider.journal().counts.total()), (2, 4));
    assert_eq!(provider.journal().matching("GET", "none").count(), 1);
    provider.cap_journal(0);
    get(&provider, "/Users").await;
    assert_eq!((provider.journal().entries.len(), provider.journal().counts.total()), (0, 5));
}

#[tokio::test]
async fn bodies_are_kept_when_asked() {
    let provider = ServiceProvider::unbound(Behaviour { journal_bodies: true, ..Behaviour::default() });
    call(&provider, "POST", "/Users", Some(user("a"))).await;
    let body = provider.journal().entries[0].body.clone().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), user("a"));
}

#[tokio::test]
async fn drift_and_duplicates_can_be_staged() {
    let provider = plain();
    let id = provider.seed_user(user("a")).unwrap();
    provider.tamper(ResourceKind::User, &id, |user| drop(user.insert("title".to_owned(), "Mole".into()))).unwrap();
    assert_eq!(provider.resource(ResourceKind::User, &id).unwrap()["title"], "Mole");
    assert_eq!(provider.duplicates(ResourceKind::User), Vec::<String>::new());
    let mut twin = user("b");
    twin["externalId"] = "ext-a".into();
    provider.seed_user(twin).unwrap();
    assert_eq!(provider.duplicates(ResourceKind::User), ["ext-a"]);
    assert_eq!(provider.with_external_id(ResourceKind::User, "ext-a").len(), 2);
    assert_eq!(provider.journal().counts.total(), 0);
}
