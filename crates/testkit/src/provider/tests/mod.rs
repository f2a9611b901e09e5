//! The provider through its router; only where the socket matters through a socket.

mod bulk;
mod faults;
mod habits;
mod protocol;
mod sample;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

pub(super) const USER_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(super) const GROUP_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// An answer as a test looks at it.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(super) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(super) async fn send(provider: &Running, request: Request<Body>) -> Reply {
    let response = provider.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Reply { status: parts.status.as_u16(), headers: parts.headers, text }
}

pub(super) fn request(provider: &Running, method: &str, path: &str, body: Option<Value>) -> Request<Body> {
    let builder = Request::builder()
        .method(method)
        .uri(format!("/scim/v2{path}"))
        .header("authorization", format!("Bearer {}", provider.token()));
    match body {
        Some(body) => {
            builder.header("content-type", "application/scim+json").body(Body::from(body.to_string())).unwrap()
        }
        None => builder.body(Body::empty()).unwrap(),
    }
}

pub(super) async fn call(provider: &Running, method: &str, path: &str, body: Option<Value>) -> Reply {
    send(provider, request(provider, method, path, body)).await
}

pub(super) async fn get(provider: &Running, path: &str) -> Reply {
    call(provider, "GET", path, None).await
}

pub(super) fn user(name: &str) -> Value {
    json!({ "schemas": [USER_URN], "userName": name, "externalId": format!("ext-{name}"), "active": true })
}

pub(super) fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    json!({ "schemas": [GROUP_URN], "displayName": name, "externalId": format!("ext-{name}"), "members": members })
}

pub(super) fn patch(operations: Value) -> Option<Value> {
    Some(json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations }))
}

pub(super) fn plain() -> Running {
    ServiceProvider::unbound(Behaviour::default())
}

/// A filter as it stands in a URL.
pub(super) fn filter(text: &str) -> String {
    format!("?filter={}", uri::encode(text))
}
