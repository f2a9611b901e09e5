//! Providers that break HTTP, stall, flood, or point inside.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use scimfleet_core::ResourceKind::User;
use scimfleet_core::retry::Class;
use scimfleet_core::scim::Document;
use scimfleet_scim_client::{ConfigError, Egress, ScimClient, ScimError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{Server, answer, client, config, context, id, raw, with};

/// Creates a user: the request whose outcome matters most.
async fn create(client: &ScimClient) -> ScimError {
    client.create(User, &Document::new(), &context()).await.unwrap_err()
}

fn impatient(base: &str) -> ScimClient {
    let mut config = config(base);
    config.limits.request_timeout = Duration::from_millis(200);
    ScimClient::new(config).unwrap()
}

#[tokio::test]
async fn a_refused_connection_changed_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = create(&client(&base)).await;
    assert!(matches!(error, ScimError::Unreachable { .. }), "{error}");
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Transient, false), "{error}");
    assert!(error.to_string().starts_with("POST /Users at `acme`: no answer ("), "{error}");
    assert!(!error.to_string().contains("http://"), "{error}");
}

#[tokio::test]
async fn a_reset_after_the_request_leaves_doubt() {
    let base = raw(|stream| async move {
        stream.set_zero_linger().unwrap();
        drop(stream);
    })
    .await;
    let client = client(&base);
    let error = create(&client).await;
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Unknown, true), "{error}");
    let error = client.get(User, &id("1"), &context()).await.unwrap_err();
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Transient, false), "{error}");
}

/// Node closes what was idle for 5 s; when it was busy at that moment, with our next request unread.
#[tokio::test]
async fn a_write_does_not_go_over_a_connection_that_the_provider_may_be_closing() {
    let base = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\n{\"id\":\"1\"}").await.unwrap();
        let _ = stream.read_u8().await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let client = client(&base);
    for _ in 0..2 {
        client.create(User, &Document::new(), &context()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_leaves_doubt() {
    let whole = b"HTTP/1.1 201 Created\r\ncontent-length: 20\r\n\r\n{\"id\":\"12345\",\"a\":1}";
    for cut in [5, 20, 44, 50, whole.len() - 1] {
        let base = raw(move |mut stream| async move { stream.write_all(&whole[..cut]).await.unwrap() }).await;
        let error = create(&client(&base)).await;
        assert_eq!((error.class(), error.may_have_been_applied()), (Class::Unknown, true), "{cut}: {error}");
    }
}

#[tokio::test]
async fn silence_and_slow_bodies_end_with_the_timeout() {
    let silent = raw(|_stream| std::future::pending()).await;
    let error = create(&impatient(&silent)).await;
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Unknown, true), "{error}");
    let dripping = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 900\r\n\r\n").await.unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if stream.write_all(b"{").await.is_err() {
                return;
            }
        }
    })
    .await;
    let error = create(&impatient(&dripping)).await;
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Unknown, true), "{error}");
}

#[tokio::test]
async fn a_stalled_handshake_changed_nothing() {
    let silent = raw(|_stream| std::future::pending()).await;
    let mut config = config(&silent.replace("http://", "https://"));
    config.limits.connect_timeout = Duration::from_millis(200);
    let error = create(&ScimClient::new(config).unwrap()).await;
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Transient, false), "{error}");
}

#[tokio::test]
async fn garbage_instead_of_http_leaves_doubt() {
    let base = raw(|mut stream| async move { stream.write_all(b"SSH-2.0-OpenSSH\r\n").await.unwrap() }).await;
    let error = create(&client(&base)).await;
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Unknown, true), "{error}");
}

#[tokio::test]
async fn a_page_for_people_is_no_answer() {
    let server = Server::start(|_| answer(200, "text/html; charset=utf-8", "<html>Sign in</html>")).await;
    let client = client(&server.base);
    for error in [create(&client).await, client.delete(User, &id("1"), None, &context()).await.unwrap_err()] {
        assert!(matches!(error, ScimError::Malformed { status: 200, .. }), "{error}");
        assert_eq!((error.class(), error.may_have_been_applied()), (Class::Unknown, true), "{error}");
        assert!(error.to_string().contains("text/html") && !error.to_string().contains("Sign in"), "{error}");
    }
}

/// Writes until the client hangs up; tells how much it took.
async fn flood(head: &'static str) -> (String, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let base = raw(move |mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            stream.write_all(head.as_bytes()).await.unwrap();
            let megabyte = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
            for _ in 0..100 {
                if stream.write_all(megabyte.as_bytes()).await.is_err() {
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (base, taken)
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let (base, taken) = flood("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let error = create(&client(&base)).await;
    assert!(matches!(error, ScimError::TooLarge { unit: "bytes", .. }), "{error}");
    assert_eq!(error.class(), Class::Unknown);
    assert!(taken.load(Ordering::SeqCst) < 32, "{taken:?} MB");
    let (base, taken) = flood("HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let error = create(&client(&base)).await;
    assert!(matches!(error, ScimError::Refused { status: 500, scim_body: false, .. }), "{error}");
    assert!(taken.load(Ordering::SeqCst) < 16, "{taken:?} MB");
}

#[tokio::test]
async fn an_announced_flood_is_not_read_at_all() {
    let base = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n").await.unwrap();
        // Ends when the client hangs up; the client does not wait for the body.
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let error = create(&client(&base)).await;
    assert!(matches!(error, ScimError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_gzip_bomb_stops_at_the_limit_of_what_comes_out() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..200 {
        bomb.write_all(&[b' '; 0x10_0000]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1_000_000, "{}", bomb.len());
    let server =
        Server::start(move |_| with(answer(200, "application/json", bomb.clone()), "content-encoding", "gzip")).await;
    let error = create(&client(&server.base)).await;
    assert!(matches!(error, ScimError::TooLarge { unit: "bytes", .. }), "{error}");
}

#[tokio::test]
async fn honest_gzip_is_read() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(br#"{"id":"1"}"#).unwrap();
    let packed = packed.finish().unwrap();
    let server =
        Server::start(move |_| with(answer(201, "application/json", packed.clone()), "content-encoding", "gzip")).await;
    let created = client(&server.base).create(User, &Document::new(), &context()).await.unwrap();
    assert_eq!(created.remote_id, Some(id("1")));
}

#[tokio::test]
async fn deep_and_crowded_json_is_refused_before_it_is_parsed() {
    let deep = "[".repeat(1_000_000);
    let crowded = format!("[{}[]]", "[],".repeat(1_000_000));
    for (body, unit) in [(deep, "JSON levels"), (crowded, "JSON values")] {
        let server = Server::start(move |_| answer(200, "application/json", Body::from(body.clone()))).await;
        let error = create(&client(&server.base)).await;
        assert!(matches!(error, ScimError::TooLarge { unit: seen, .. } if seen == unit), "{error}");
    }
}

#[tokio::test]
async fn names_that_lead_inside_are_not_called() {
    let server = Server::start(|_| answer(200, "application/json", "{}")).await;
    let base = server.base.replace("127.0.0.1", "localhost");
    let mut config = config(&base);
    config.egress = Egress::default();
    let error = create(&ScimClient::new(config.clone()).unwrap()).await;
    assert!(matches!(error, ScimError::Egress { .. }), "{error}");
    assert_eq!((error.class(), error.may_have_been_applied()), (Class::Transient, false));
    assert!(error.to_string().contains("of `localhost` is this machine"), "{error}");
    assert_eq!(server.requests().len(), 0);
    config.egress.loopback = true;
    ScimClient::new(config).unwrap().create(User, &Document::new(), &context()).await.unwrap();
}

#[tokio::test]
async fn base_urls_that_cannot_be_meant_are_refused() {
    let cases = [
        ("ftp://x/", "base URL of `acme`: scheme `ftp` is not supported; use https (or http)"),
        ("file:///etc/passwd", "base URL of `acme`: scheme `file` is not supported; use https (or http)"),
        ("https://u:p@x/", "base URL of `acme` holds credentials; put them into `auth`"),
        ("https://u@x/", "base URL of `acme` holds credentials; put them into `auth`"),
        ("https://x/?a=b", "base URL of `acme` holds a query or a fragment; leave off what follows the path"),
        (
            "http://169.254.169.254/latest",
            "base URL of `acme`: address 169.254.169.254 is link-local (metadata services live there); it is never called",
        ),
        (
            "http://[::ffff:10.0.0.1]/",
            "base URL of `acme`: address ::ffff:10.0.0.1 is a private address; `[egress] private = true` would allow it",
        ),
    ];
    for (base, expected) in cases {
        let error: ConfigError = ScimClient::new(config(base)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
