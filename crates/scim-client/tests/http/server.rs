//! Scripted providers: one that speaks HTTP by axum, one that writes raw bytes.

use std::future::Future;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use scimfleet_core::profile::Profile;
use scimfleet_core::{ProviderName, RemoteId};
use scimfleet_scim_client::{Authorization, ClientConfig, Egress, Limits, RequestContext, ScimClient, TlsOptions};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

pub(crate) const TOKEN: &str = "canary-7f3a9c";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// As `GET /path?query`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }
}

/// A provider whose answers are a function of the request; it remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) base: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Arrived) -> Response<Body> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/scim/v2", listener.local_addr().unwrap());
        let server = Self { base, arrived: Arc::default() };
        let (arrived, answer) = (Arc::clone(&server.arrived), Arc::new(answer));
        let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let request = Arrived { method, uri, headers, body };
            let response = answer(&request);
            arrived.lock().unwrap().push(request);
            async move { response }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        server
    }

    pub(crate) fn requests(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    pub(crate) fn only_request(&self) -> Arrived {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }
}

/// Reads one request from each connection, then hands the stream to `script`. Gives the base URL.
pub(crate) async fn raw<F, Done>(script: F) -> String
where
    F: Fn(TcpStream) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/scim/v2", listener.local_addr().unwrap());
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let script = Arc::clone(&script);
            tokio::spawn(async move {
                read_request(&mut stream).await;
                script(stream).await;
            });
        }
    });
    base
}

async fn read_request(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
                return;
            }
        }
    }
}

pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).header("content-type", content_type).body(body.into()).unwrap()
}

pub(crate) fn json(status: u16, body: Value) -> Response<Body> {
    answer(status, "application/scim+json", body.to_string())
}

pub(crate) fn empty(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

pub(crate) fn with(mut response: Response<Body>, name: &'static str, value: &str) -> Response<Body> {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

/// A SCIM error.
pub(crate) fn error(status: u16, scim_type: Option<&str>, detail: &str) -> Response<Body> {
    let mut body = serde_json::json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": status.to_string(), "detail": detail
    });
    if let Some(scim_type) = scim_type {
        body["scimType"] = scim_type.into();
    }
    json(status, body)
}

pub(crate) fn config(base: &str) -> ClientConfig {
    ClientConfig {
        provider: ProviderName::parse("acme").unwrap(),
        base_url: base.parse().unwrap(),
        authorization: Authorization::Bearer(TOKEN.into()),
        profile: Profile::default(),
        headers: std::collections::BTreeMap::new(),
        egress: Egress { loopback: true, ..Egress::default() },
        tls: TlsOptions::default(),
        limits: Limits::default(),
    }
}

pub(crate) fn client(base: &str) -> ScimClient {
    ScimClient::new(config(base)).unwrap()
}

pub(crate) fn id(text: &str) -> RemoteId {
    RemoteId::parse(text).unwrap()
}

pub(crate) fn context() -> RequestContext {
    RequestContext::default()
}
