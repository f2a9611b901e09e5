//! Problem details (RFC 9457), and how parameters and bodies that do not fit become one.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use scimfleet_core::ports::{CoordinationError, QueueError};
use scimfleet_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::insight::InsightError;
use crate::levers::Refusal;

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What, which, where, and a hint.
    detail: String,
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(
        "a valid token of scope `admin` is needed as bearer; `scimfleet token create --scope admin --name NAME` makes one"
    )]
    NoToken,
    #[error("this token is of another scope; `admin` is needed")]
    OtherScope,
    #[error("too many wrong tokens came from this address; try again in {} s", .0.as_secs() + 1)]
    Slower(Duration),
    #[error("there is no such path; `/api/v1/openapi.json` lists them")]
    NoRoute,
    #[error("this path does not take this method; `/api/v1/openapi.json` lists what each takes")]
    Method,
    #[error("there is no {what} `{which}`")]
    Missing { what: &'static str, which: String },
    #[error("{0}")]
    Bad(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("`{0}` changed since you read it; read it again")]
    Moved(String),
    #[error("`{0}` exists; send `If-Match` with the ETag of what you read")]
    Unread(String),
    #[error("this process is not connected to the broker and the coordination service")]
    NoCluster,
    #[error("this process cannot evaluate mappings or ask providers")]
    NoInsight,
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError {
    pub(crate) fn missing(what: &'static str, which: impl Into<String>) -> Self {
        Self::Missing { what, which: which.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::OtherScope => StatusCode::FORBIDDEN,
            Self::Slower(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoRoute | Self::Missing { .. } => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Moved(_) => StatusCode::PRECONDITION_FAILED,
            Self::Unread(_) => StatusCode::PRECONDITION_REQUIRED,
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
            Self::Store(error) if !error.is_trouble() => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoInsight | Self::NoCluster | Self::Queue(_) | Self::Coordination(_) | Self::Store(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// What the caller reads: a database's own words may name hosts, they stay in the log.
    fn detail(&self) -> String {
        match self {
            Self::Store(error) => {
                tracing::error!(error = %error, "a request to the API failed at the database");
                "the database does not answer as it should; the log of this process says more".to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl From<InsightError> for ApiError {
    fn from(error: InsightError) -> Self {
        match error {
            InsightError::Wrong(words) => Self::Bad(words),
            InsightError::Failed(words) => Self::Failed(words),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail(),
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::NoToken => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scimfleet\""));
            }
            Self::Slower(wait) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
            _ => {}
        }
        response
    }
}

impl ApiError {
    /// Refuses a change of what moved since it was read. `tag`: of what is there now; `None`: nothing is.
    pub(crate) fn unless_matches(headers: &HeaderMap, what: &str, tag: Option<&str>) -> Result<(), Self> {
        let expected = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        match (expected, tag) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Self::Unread(what.to_owned())),
            (Some("*"), Some(_)) => Ok(()),
            (Some(expected), Some(tag)) if expected == tag => Ok(()),
            _ => Err(Self::Moved(what.to_owned())),
        }
    }
}

/// Parameters of the query.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(params) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| ApiError::Bad(rejection.body_text()))?;
        Ok(Self(params))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(body) = Json::<T>::from_request(request, state)
            .await
            .map_err(|rejection: JsonRejection| ApiError::Bad(rejection.body_text()))?;
        Ok(Self(body))
    }
}
