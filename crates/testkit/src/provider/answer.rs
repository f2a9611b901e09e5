//! What a request is answered with, before it becomes bytes: status, a few headers, a payload.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::behaviour::{Behaviour, StatusStyle};

/// A request that is refused, with the words of RFC 7644 §3.12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) scim_type: Option<&'static str>,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, scim_type: Option<&'static str>, detail: impl Into<String>) -> Self {
        Self { status, scim_type, detail: detail.into() }
    }

    /// 400 with a `scimType` of RFC 7644 table 9.
    pub(crate) fn bad(scim_type: &'static str, detail: impl Into<String>) -> Self {
        Self::new(400, Some(scim_type), detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(404, None, format!("{what} not found"))
    }
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Payload {
    Nothing,
    Scim(Value),
    /// A resource, or a list of them, that is JSON text already: most answers are, and trees cost more.
    Resource(String),
    Text {
        content_type: &'static str,
        body: String,
    },
}

/// An answer, and which object it is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) payload: Payload,
    pub(crate) object: Option<String>,
    /// Operations of a PATCH or a bulk request, for the journal.
    pub(crate) operations: usize,
}

impl Answer {
    pub(crate) fn new(status: u16, payload: Payload) -> Self {
        Self { status, location: None, etag: None, retry_after: None, payload, object: None, operations: 0 }
    }

    pub(crate) fn scim(status: u16, body: Value) -> Self {
        Self::new(status, Payload::Scim(body))
    }

    pub(crate) fn html(status: u16) -> Self {
        let body =
            "<!DOCTYPE html><html><head><title>Oops</title></head><body><h1>Something went wrong</h1></body></html>";
        Self::new(status, Payload::Text { content_type: "text/html; charset=utf-8", body: body.to_owned() })
    }

    pub(crate) fn refused(refusal: Refusal, behaviour: &Behaviour) -> Self {
        if behaviour.html_errors {
            return Self::html(refusal.status);
        }
        Self::scim(refusal.status, error_body(&refusal, behaviour))
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let (content_type, body) = match self.payload {
            Payload::Nothing => (None, Body::empty()),
            Payload::Scim(value) => (Some("application/scim+json"), Body::from(value.to_string())),
            Payload::Resource(text) => (Some("application/scim+json"), Body::from(text)),
            Payload::Text { content_type, body } => (Some(content_type), Body::from(body)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in
            [(header::LOCATION, self.location), (header::ETAG, self.etag), (header::RETRY_AFTER, self.retry_after)]
        {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// An error as RFC 7644 §3.12 words it, bent by the provider's habits.
pub(crate) fn error_body(refusal: &Refusal, behaviour: &Behaviour) -> Value {
    let mut body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "detail": refusal.detail });
    match behaviour.status_style {
        StatusStyle::Text => body["status"] = refusal.status.to_string().into(),
        StatusStyle::Number => body["status"] = refusal.status.into(),
        StatusStyle::Absent => {}
    }
    if let (Some(scim_type), true) = (refusal.scim_type, behaviour.scim_type) {
        body["scimType"] = scim_type.into();
    }
    body
}
