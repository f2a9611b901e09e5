//! A database of its own for each case, and the server over it, called without a socket.

use std::process::Command;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures::FutureExt;
use scimfleet_directory::server::{Limits, ServerState, router};
use scimfleet_store::{Sealer, Store, StoreOptions};
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Where the tests find PostgreSQL.
const POSTGRES: &str = "SCIMFLEET_TEST_POSTGRES_URL";
/// The token of the environment; its writes come from `scim:directory`.
pub(crate) const TOKEN: &str = "directory-token-of-the-tests";

/// Which database a case runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// The server over a database of its own.
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) router: Router,
    pub(crate) token: String,
    folder: tempfile::TempDir,
    admin: Option<(String, String)>,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Defines cases that run on both databases.
#[allow(unused_macros, reason = "not every user of this file defines cases")]
macro_rules! on_both {
    ($(async fn $name:ident($server:ident: &Server) $body:block)+) => {
        $(async fn $name($server: &$crate::support::Server) $body)+

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::support::run($crate::support::Kind::Sqlite, async |server| super::$name(server).await).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::support::run($crate::support::Kind::Postgres, async |server| super::$name(server).await).await;
            })+
        }
    };
}
#[allow(unused_imports, reason = "not every user of this file defines cases")]
pub(crate) use on_both;

/// Runs a case on a fresh database, which is dropped whatever the case does.
pub(crate) async fn run(kind: Kind, case: impl AsyncFnOnce(&Server)) {
    let server = Server::start(kind).await;
    let outcome = std::panic::AssertUnwindSafe(case(&server)).catch_unwind().await;
    server.end().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, admin) = match kind {
            Kind::Sqlite => (format!("sqlite://{}", folder.path().join("test.db").display()), None),
            Kind::Postgres => {
                let admin = std::env::var(POSTGRES).unwrap_or_else(|_| {
                    panic!(
                        "{POSTGRES} is not set: run `make test`, or \
                         `tests/services/with-services.sh -- cargo test -p scimfleet-directory`"
                    )
                });
                let name = format!("scimfleet_test_{}", uuid::Uuid::new_v4().simple());
                psql(&admin, &format!("CREATE DATABASE {name}"));
                let (server, _) = admin.rsplit_once('/').unwrap();
                (format!("{server}/{name}"), Some((admin.clone(), name)))
            }
        };
        let key = SecretString::from(format!("{}=", "A".repeat(43)));
        let sealer = Sealer::from_base64(&key).unwrap();
        let store = Store::connect(&StoreOptions { url, connections: 6 }, Some(sealer)).await.unwrap();
        store.migrate().await.unwrap();
        let router = router(ServerState::new(store.clone(), Some(SecretString::from(TOKEN.to_owned()))));
        Self { store, router, token: TOKEN.to_owned(), folder, admin }
    }

    /// The same directory behind a server with other limits.
    pub(crate) fn with_limits(&self, limits: Limits) -> Router {
        let token = Some(SecretString::from(TOKEN.to_owned()));
        router(ServerState::new(self.store.clone(), token).with_limits(limits))
    }

    pub(crate) async fn end(self) {
        self.store.close().await;
        if let Some((admin, name)) = &self.admin {
            psql(admin, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
        self.folder.close().unwrap();
    }

    /// Any request; header names and values are given in pairs.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        send(&self.router, Some(&self.token), method, path, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, operations: Value) -> Answer {
        self.send("PATCH", path, &[], Some(json!({"Operations": operations}))).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None).await
    }

    /// Creates a user; its id.
    pub(crate) async fn user(&self, name: &str) -> String {
        self.post("/Users", json!({"userName": name})).await.created()
    }

    /// Creates a group; its id.
    pub(crate) async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        self.post("/Groups", json!({"displayName": name, "members": members})).await.created()
    }

    /// The userNames or displayNames on a page.
    pub(crate) async fn names(&self, path: &str) -> Vec<String> {
        self.get(path).await.ok().names()
    }

    /// The changes that wait, as `name change`, and forgets them.
    pub(crate) async fn changes(&self) -> Vec<String> {
        let rows = self.store.outbox(100_000).await.unwrap();
        let mut lines = Vec::new();
        for row in &rows {
            let found = self.store.resources(std::slice::from_ref(&row.resource_id)).await.unwrap();
            lines.push(format!("{} {} +{} -{}", found[0].name(), row.change, row.added.len(), row.removed.len()));
        }
        self.store.relay(&rows, &[]).await.unwrap();
        lines
    }
}

impl Answer {
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    pub(crate) fn created(self) -> String {
        assert_eq!(self.status, 201, "{}", self.body);
        self.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let resources = self.body["Resources"].as_array().unwrap().iter();
        let name = |one: &Value| one["userName"].as_str().or_else(|| one["displayName"].as_str()).map(str::to_owned);
        resources.map(|one| name(one).unwrap()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// A SCIM error of this status and type.
    pub(crate) fn refused(&self, status: u16, scim_type: Option<&str>) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{}", self.body);
        assert_eq!(self.body["status"], json!(status.to_string()), "{}", self.body);
        assert_eq!(self.body["scimType"].as_str(), scim_type, "{}", self.body);
    }
}

/// Sends a request to a router; the path is below the base URL.
pub(crate) async fn send(
    router: &Router,
    token: Option<&str>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Answer {
    let uri = format!("/scim/v2{}", path.replace(' ', "%20").replace('"', "%22"));
    let mut request = Request::builder().method(method).uri(uri).header("host", "directory.example");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    assert!(parts.status != StatusCode::INTERNAL_SERVER_ERROR, "{body}");
    assert_eq!(parts.headers["content-type"], "application/scim+json");
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// One statement to PostgreSQL, by its own client: the client library belongs to the store.
fn psql(url: &str, sql: &str) {
    let output = Command::new("psql").args(["-qX", "-v", "ON_ERROR_STOP=1", "-c", sql, url]).output();
    let output = output.expect("psql is installed with PostgreSQL");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
