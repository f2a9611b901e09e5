//! From an HTTP request to an answer.

use std::collections::HashMap;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query as UrlQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, Response, header};
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::ScimType;
use scimfleet_core::{ResourceId, ResourceKind};
use serde_json::Value;

use super::answer::{Answer, ScimError};
use super::operate::{Call, Preconditions};
use super::query::Query;
use super::{ServerState, auth, discovery, uri};

/// Answers everything below the base URL.
pub(super) async fn handle(State(state): State<ServerState>, request: Request) -> Response<Body> {
    let head = request.method() == Method::HEAD;
    let mut response = match respond(state, request).await {
        Ok(answer) => answer.into_response(),
        Err(error) => error.into_response(),
    };
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn respond(state: ServerState, request: Request) -> Result<Answer, ScimError> {
    let (parts, body) = request.into_parts();
    let source = auth::source_of(&state, &parts.headers).await?;
    let limit = state.limits.body_bytes_max;
    let too_large = || ScimError::new(413, None, format!("the body is longer than {limit} bytes"));
    let body = to_bytes(body, limit).await.map_err(|_| too_large())?;
    let base_url = uri::base_url(&parts, &state.base_path);
    let call = Call { base_url, source, state };
    Incoming { call, parts, body }.answer().await
}

/// A request that was let in and read.
struct Incoming {
    call: Call,
    parts: Parts,
    body: Bytes,
}

impl Incoming {
    async fn answer(self) -> Result<Answer, ScimError> {
        let below = self.parts.uri.path().strip_prefix(&*self.call.state.base_path).unwrap_or_default();
        let segments: Option<Vec<String>> = below.split('/').filter(|part| !part.is_empty()).map(uri::decode).collect();
        let segments = segments.ok_or_else(|| ScimError::not_found("the resource"))?;
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let limits = &self.call.state.limits;
        match path.as_slice() {
            ["ServiceProviderConfig"] => self.read_only(|base| Ok(discovery::config(base, limits))),
            ["ResourceTypes"] => self.read_only(|base| discovery::resource_types(base, None)),
            ["ResourceTypes", id] => self.read_only(|base| discovery::resource_types(base, Some(id))),
            ["Schemas"] => self.read_only(|base| discovery::schemas(base, None)),
            ["Schemas", id] => self.read_only(|base| discovery::schemas(base, Some(id))),
            ["Bulk"] => self.only(&Method::POST)?.call.bulk(self.json()?).await,
            [] => self.only(&Method::GET)?.search_url(ResourceKind::ALL).await,
            [".search"] => self.only(&Method::POST)?.search_body(ResourceKind::ALL).await,
            // §3.11: "MAY respond with 501".
            ["Me"] => Err(ScimError::new(501, None, "a token stands for no user here")),
            [endpoint, rest @ ..] => self.resources(kind_of(endpoint)?, rest).await,
        }
    }

    async fn resources(&self, kind: ResourceKind, rest: &[&str]) -> Result<Answer, ScimError> {
        match (rest, self.method()) {
            ([], &Method::GET) => self.search_url(&[kind]).await,
            ([], &Method::POST) => self.call.create(kind, self.value()?, &self.query()?.projection).await,
            ([".search"], _) => self.only(&Method::POST)?.search_body(&[kind]).await,
            ([id], _) => self.one(kind, id).await,
            ([], _) => Err(self.not_allowed()),
            _ => Err(ScimError::not_found("the endpoint")),
        }
    }

    async fn one(&self, kind: ResourceKind, id: &str) -> Result<Answer, ScimError> {
        let id = ResourceId::parse(id).map_err(|_| ScimError::not_found("the resource"))?;
        let conditions = Preconditions {
            if_match: self.header(header::IF_MATCH),
            if_none_match: self.header(header::IF_NONE_MATCH),
        };
        let projection = self.query()?.projection;
        match *self.method() {
            Method::GET => self.call.get(kind, &id, &conditions, &projection).await,
            Method::PUT => self.call.replace(kind, &id, self.value()?, &conditions, &projection).await,
            Method::PATCH => self.call.patch(kind, &id, self.value()?, &conditions, &projection).await,
            Method::DELETE => self.call.delete(kind, &id, &conditions).await,
            _ => Err(self.not_allowed()),
        }
    }

    async fn search_url(&self, kinds: &[ResourceKind]) -> Result<Answer, ScimError> {
        self.call.list(kinds, &self.query()?).await
    }

    async fn search_body(&self, kinds: &[ResourceKind]) -> Result<Answer, ScimError> {
        let query = Query::of_body(&self.json()?, &self.call.state.limits)?;
        self.call.list(kinds, &query).await
    }

    /// A discovery endpoint. "If a filter is provided, the service provider SHALL respond with HTTP status
    /// code 403" (§4).
    fn read_only(&self, answer: impl FnOnce(&str) -> Result<Answer, ScimError>) -> Result<Answer, ScimError> {
        self.only(&Method::GET)?;
        if self.query()?.filter.is_some() {
            return Err(ScimError::new(403, None, "this endpoint is not filtered"));
        }
        answer(&self.call.base_url)
    }

    /// HEAD is a GET whose answer has no body.
    fn method(&self) -> &Method {
        if self.parts.method == Method::HEAD { &Method::GET } else { &self.parts.method }
    }

    fn only(&self, method: &Method) -> Result<&Self, ScimError> {
        if self.method() == method { Ok(self) } else { Err(self.not_allowed()) }
    }

    fn not_allowed(&self) -> ScimError {
        ScimError::new(405, None, format!("{} is not for this endpoint", self.parts.method))
    }

    fn header(&self, name: HeaderName) -> Option<String> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    fn query(&self) -> Result<Query, ScimError> {
        let parameters = UrlQuery::<HashMap<String, String>>::try_from_uri(&self.parts.uri)
            .map_err(|_| ScimError::bad(ScimType::InvalidSyntax, "the query cannot be read"))?;
        Query::of_url(&parameters.0, &self.call.state.limits)
    }

    fn value(&self) -> Result<Value, ScimError> {
        serde_json::from_slice(&self.body).map_err(|_| ScimError::bad(ScimType::InvalidSyntax, "the body is not JSON"))
    }

    fn json(&self) -> Result<Document, ScimError> {
        match self.value()? {
            Value::Object(object) => Ok(object),
            _ => Err(ScimError::bad(ScimType::InvalidSyntax, "the body is not a JSON object")),
        }
    }
}

fn kind_of(endpoint: &str) -> Result<ResourceKind, ScimError> {
    let found = ResourceKind::ALL.iter().find(|kind| kind.endpoint().trim_start_matches('/') == endpoint);
    found.copied().ok_or_else(|| ScimError::not_found("the endpoint"))
}
