//! A credential or a password is nowhere but in the request. In a process of its own, because what is
//! logged is captured for the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "http/server.rs"]
#[allow(dead_code, reason = "written for the larger suite, too")]
mod server;

use std::io;
use std::sync::{Arc, Mutex};

use scimfleet_core::ResourceKind::User;
use scimfleet_core::scim::message::{PatchOp, PatchOperation};
use serde_json::json;

use server::{Server, TOKEN, client, config, context, error, id};

const PASSWORD: &str = "canary-pa55";

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_echo_does_not_repeat_a_secret() {
    let server = Server::start(|request| {
        let sent = format!("{:?} {}", request.headers, String::from_utf8_lossy(&request.body));
        error(400, None, &sent)
    })
    .await;
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let client = client(&server.base);
    let user = json!({"userName": "anna", "password": PASSWORD}).as_object().unwrap().clone();
    let operation = |path: Option<&str>, value| PatchOperation {
        op: PatchOp::Replace,
        path: path.map(str::to_owned),
        value: Some(value),
    };
    let by_path = [operation(Some("password"), json!(PASSWORD))];
    let path_less = [operation(None, json!({"password": PASSWORD}))];
    let errors = [
        client.create(User, &user, &context()).await.unwrap_err(),
        client.replace(User, &id("1"), &user, None, &context()).await.unwrap_err(),
        client.patch(User, &id("1"), &by_path, None, &context()).await.unwrap_err(),
        client.patch(User, &id("1"), &path_less, None, &context()).await.unwrap_err(),
    ];
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("scim request failed"), "{log}");
    let shown = format!("{errors:?} {client:?} {:?} {log}", config(&server.base));
    assert!(shown.contains("[redacted]"), "{shown}");
    for secret in [TOKEN, PASSWORD] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(server.requests().len(), 4);
}
