//! Answers and refusals in the words of SCIM.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use scimfleet_core::scim::filter::InvalidFilter;
use scimfleet_core::scim::message::{ErrorMessage, MEDIA_TYPE, ScimType, UnreadableMessage};
use scimfleet_core::scim::patch::PatchError;
use scimfleet_store::{StoreError, WriteError};
use serde_json::Value;

/// When a database in trouble may be well again, in seconds.
const RETRY_AFTER_S: &str = "5";

/// An answer before it is HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
    /// The resource's entity tag.
    pub(super) version: Option<String>,
    /// The resource's URI.
    pub(super) location: Option<String>,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Option<Value>>) -> Self {
        Self { status, body: body.into(), version: None, location: None }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let created = self.status == StatusCode::CREATED.as_u16();
        let body = self.body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        // Answers hold people's data, and each is another by the token.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let location = self.location.filter(|_| created);
        for (name, value) in [(header::ETAG, self.version), (header::LOCATION, location)] {
            if let Some(value) = value.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// Why a request is refused (RFC 7644 §3.12).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct ScimError {
    pub(super) status: u16,
    pub(super) scim_type: Option<ScimType>,
    pub(super) detail: String,
}

impl ScimError {
    pub(super) fn new(status: u16, scim_type: impl Into<Option<ScimType>>, detail: impl Into<String>) -> Self {
        Self { status, scim_type: scim_type.into(), detail: detail.into() }
    }

    pub(super) fn bad(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self::new(400, scim_type, detail)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(404, None, format!("{what} does not exist"))
    }

    pub(super) fn message(&self) -> Value {
        let message = ErrorMessage::new(self.status, self.scim_type.clone(), self.detail.clone());
        serde_json::to_value(message).unwrap_or(Value::Null)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Answer::new(self.status, self.message()).into_response();
        let extra = match self.status {
            401 => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"scimfleet\"")),
            503 => Some((header::RETRY_AFTER, RETRY_AFTER_S)),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<StoreError> for ScimError {
    fn from(error: StoreError) -> Self {
        // What the database says is for the log: it may name tables and hosts.
        tracing::error!(error = %error, "the directory could not be read or written");
        if error.is_trouble() {
            Self::new(503, None, "the directory does not answer; try again later")
        } else {
            Self::new(500, None, "the directory could not do this; its log says why")
        }
    }
}

impl From<WriteError<ScimError>> for ScimError {
    fn from(error: WriteError<ScimError>) -> Self {
        match error {
            WriteError::Store(error) => error.into(),
            WriteError::NotFound => Self::not_found("the resource"),
            WriteError::Foreign { .. } => Self::new(403, ScimType::Mutability, error.to_string()),
            WriteError::Taken { .. } => Self::new(409, ScimType::Uniqueness, error.to_string()),
            WriteError::NoMember { .. } => Self::bad(ScimType::InvalidValue, error.to_string()),
            WriteError::Refused(refusal) => Self::bad(ScimType::InvalidValue, refusal.to_string()),
            WriteError::Edit(error) => error,
        }
    }
}

impl From<PatchError> for ScimError {
    fn from(error: PatchError) -> Self {
        Self::bad(error.scim_type(), error.to_string())
    }
}

impl From<InvalidFilter> for ScimError {
    fn from(error: InvalidFilter) -> Self {
        Self::bad(ScimType::InvalidFilter, error.to_string())
    }
}

impl From<UnreadableMessage> for ScimError {
    fn from(error: UnreadableMessage) -> Self {
        Self::bad(ScimType::InvalidSyntax, error.to_string())
    }
}
