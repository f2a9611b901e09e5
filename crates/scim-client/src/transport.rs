//! One exchange: a request is built, sent once, and its answer read within the limits. Metrics and the
//! log line of a request are made here and nowhere else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, LOCATION,
};
use reqwest::{Method, Response};
use scimfleet_core::ProviderName;
use scimfleet_core::scim::message::{ErrorMessage, ScimType};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument as _;
use url::Url;

use crate::authorization::{Credential, Grant};
use crate::body::{self, BodyError, presentable};
use crate::carrier::Line;
use crate::config::{ClientConfig, ConfigError, Limits};
use crate::connection::{check_urls, extra_headers, failure, header, read_up_to, retry_after};
use crate::error::{Asked, ScimError};

/// Characters of a `scimType` that is none of the RFC's: enough to look it up.
const SCIM_TYPE_CHARS_MAX: usize = 40;

/// A header's value of this many characters or more may be a key, and is taken out of a provider's words;
/// shorter ones are words like `prod`.
const HEADER_SECRET_CHARS_MIN: usize = 8;

/// A request as SCIM sees it.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Below the base URL, percent-encoded, with a slash at its start.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) if_match: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
    /// Text from the body that must not come back in an error.
    pub(crate) secrets: Vec<&'a str>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: String, traceparent: Option<&'a str>) -> Self {
        Self { method, path, query: Vec::new(), body: None, if_match: None, traceparent, secrets: Vec::new() }
    }
}

/// A success.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) location: Option<String>,
    /// `None` when the body was empty.
    pub(crate) value: Option<Value>,
}

/// Everything that the requests to one provider have in common.
pub(crate) struct Transport {
    line: Line,
    base: String,
    provider: ProviderName,
    label: Arc<str>,
    credential: Credential,
    content_type: HeaderValue,
    accept: HeaderValue,
    accept_by_method: HashMap<&'static str, HeaderValue>,
    extra_headers: HeaderMap,
    trailing_slash: bool,
    limits: Limits,
}

impl Transport {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, ConfigError> {
        let provider = &config.provider;
        check_urls(config)?;
        let media_type = |key, text: &str| {
            HeaderValue::from_str(text).map_err(|_| ConfigError::MediaType { provider: provider.clone(), key })
        };
        let profile = &config.profile;
        // Entra answers 400 to a DELETE that accepts plain JSON, so only the first choice is named there.
        let first_choice = profile.accept.split(',').next().unwrap_or_default().trim();
        let mut accept_by_method = HashMap::from([("DELETE", media_type("accept", first_choice)?)]);
        for (method, accept) in &profile.accept_by_method {
            let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
            accept_by_method.insert(method_name(&method), media_type("accept_by_method", accept)?);
        }
        Ok(Self {
            line: Line::new(config)?,
            base: config.base_url.as_str().trim_end_matches('/').to_owned(),
            provider: provider.clone(),
            label: Arc::from(provider.as_str()),
            credential: Credential::new(&config.authorization)?,
            content_type: media_type("content_type", &profile.content_type)?,
            accept: media_type("accept", &profile.accept)?,
            accept_by_method,
            extra_headers: extra_headers(config)?,
            trailing_slash: profile.trailing_slash,
            limits: config.limits.clone(),
        })
    }

    /// What stands under `provider` in the metrics, where it is none.
    pub(crate) fn label_as(&mut self, label: &str) {
        self.label = Arc::from(label);
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn provider(&self) -> &ProviderName {
        &self.provider
    }

    /// The name of a request for errors and logs.
    pub(crate) fn asked(&self, method: &Method, path: &str) -> Asked {
        Asked { provider: self.provider.clone(), method: method_name(method), path: path.to_owned() }
    }

    /// Sends `request` once; twice only if it was refused for a token that can be renewed, since what was
    /// refused with 401 was not applied.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Reply, ScimError> {
        let asked = self.asked(&request.method, &request.path);
        let deadline = Instant::now() + self.limits.request_timeout;
        let grant = self.grant(&asked, deadline).await?;
        let outcome = self.attempt(&asked, &request, &grant, deadline).await;
        match outcome {
            Err(ScimError::Refused { status: 401, .. }) if self.credential.discard(&grant).await => {
                let renewed = self.grant(&asked, deadline).await?;
                self.attempt(&asked, &request, &renewed, deadline).await
            }
            outcome => outcome,
        }
    }

    async fn grant(&self, asked: &Asked, deadline: Instant) -> Result<Grant, ScimError> {
        let granted = self.credential.grant(self.line.client(), &self.limits, asked);
        tokio::time::timeout_at(deadline, granted).await.unwrap_or_else(|_| {
            let reason =
                format!("the token endpoint did not answer within {} s", self.limits.request_timeout.as_secs());
            Err(ScimError::Token { asked: asked.boxed(), status: None, retry_after: None, reason })
        })
    }

    async fn attempt(
        &self,
        asked: &Asked,
        request: &Request<'_>,
        grant: &Grant,
        deadline: Instant,
    ) -> Result<Reply, ScimError> {
        let started = Instant::now();
        // Not at INFO: a span for each of thousands of requests a second is worth it only to whoever asked.
        let span = tracing::debug_span!("request", provider = %self.provider, method = asked.method, path = asked.path,
            status = tracing::field::Empty, otel.kind = "client");
        let exchange = self.exchange(asked, request, grant, deadline.saturating_duration_since(started));
        let outcome = exchange.instrument(span.clone()).await;
        span.in_scope(|| self.observe(asked, started.elapsed(), &outcome));
        outcome
    }

    fn observe(&self, asked: &Asked, elapsed: Duration, outcome: &Result<Reply, ScimError>) {
        let status = match outcome {
            Ok(reply) => Some(reply.status),
            Err(error) => error.status(),
        };
        tracing::Span::current().record("status", status);
        let status_label = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let provider = Arc::clone(&self.label);
        metrics::counter!("scimfleet_requests_total",
            "provider" => Arc::clone(&provider), "method" => asked.method, "status" => status_label)
        .increment(1);
        metrics::histogram!("scimfleet_request_seconds", "provider" => provider, "method" => asked.method)
            .record(elapsed.as_secs_f64());
        let (provider, method, path) = (self.provider.as_str(), asked.method, asked.path.as_str());
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(_) => tracing::debug!(provider, method, path, status, elapsed_ms, "scim request succeeded"),
            Err(error) => {
                let class = error.class().as_str();
                tracing::debug!(provider, method, path, status, elapsed_ms, class, "scim request failed");
            }
        }
    }

    async fn exchange(
        &self,
        asked: &Asked,
        request: &Request<'_>,
        grant: &Grant,
        timeout: Duration,
    ) -> Result<Reply, ScimError> {
        let url = self.url(asked, request)?;
        let mut built = reqwest::Request::new(request.method.clone(), url);
        *built.headers_mut() = self.headers(asked, request, grant)?;
        if let Some(body) = &request.body {
            *built.body_mut() = Some(body.clone().into());
        }
        let response = self.line.send(asked, built, timeout).await?;
        let mut secrets = request.secrets.clone();
        secrets.push(grant.secret.expose_secret());
        let values = self.extra_headers.values().filter_map(|value| value.to_str().ok());
        secrets.extend(values.filter(|value| value.len() >= HEADER_SECRET_CHARS_MIN));
        match response.status().as_u16() {
            200..=299 => self.read_success(asked, response, &secrets).await,
            status @ 300..=399 => Err(redirected(asked, status, &response)),
            _ => Err(self.read_refusal(asked, response, &secrets).await),
        }
    }

    fn url(&self, asked: &Asked, request: &Request<'_>) -> Result<Url, ScimError> {
        let mut text = format!("{}{}", self.base, request.path);
        if self.trailing_slash && !text.ends_with('/') {
            text.push('/');
        }
        for (index, (name, value)) in request.query.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            percent_encode(&mut text, value);
        }
        // The host is the base URL's, whose address was checked; names are checked when they are resolved.
        Url::parse(&text).map_err(|error| unsendable(asked, format!("the URL is invalid ({error})")))
    }

    fn headers(&self, asked: &Asked, request: &Request<'_>, grant: &Grant) -> Result<HeaderMap, ScimError> {
        let mut headers = self.extra_headers.clone();
        headers.insert(AUTHORIZATION, grant.header.clone());
        let accept = self.accept_by_method.get(method_name(&request.method)).unwrap_or(&self.accept);
        headers.insert(ACCEPT, accept.clone());
        if request.body.is_some() {
            headers.insert(CONTENT_TYPE, self.content_type.clone());
        }
        if let Some(version) = request.if_match {
            let value = HeaderValue::from_str(version)
                .map_err(|_| unsendable(asked, "the version cannot stand in If-Match".to_owned()))?;
            headers.insert(IF_MATCH, value);
        }
        // A trace context is a convenience: a broken one is left out, never a reason not to send.
        if let Some(value) = request.traceparent.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(HeaderName::from_static("traceparent"), value);
        }
        Ok(headers)
    }

    async fn read_success(&self, asked: &Asked, response: Response, secrets: &[&str]) -> Result<Reply, ScimError> {
        let status = response.status().as_u16();
        let (etag, location) = (header(&response, &ETAG), header(&response, &LOCATION));
        let content_type = header(&response, &CONTENT_TYPE);
        let retry_after = retry_after(response.headers());
        let bytes = self.read_body(asked, response).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Reply { status, etag, location, value: None });
        }
        let value =
            body::parse(&bytes, &self.limits).map_err(|error| unreadable(asked, status, content_type, error))?;
        if let Some(message) = body::error_in_success(&value) {
            let inner = message.status.filter(|status| (400..600).contains(status));
            return Err(self.refused(asked, inner.unwrap_or(status), retry_after, message, secrets));
        }
        Ok(Reply { status, etag, location, value: Some(value) })
    }

    /// The body of a success; more than the limit is an error and not read.
    async fn read_body(&self, asked: &Asked, mut response: Response) -> Result<Vec<u8>, ScimError> {
        let (status, limit) = (response.status().as_u16(), self.limits.answer_bytes_max);
        let too_large =
            || ScimError::TooLarge { asked: asked.boxed(), status, limit, unit: "bytes", applied: asked.applied() };
        let announced = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(announced.min(64 * 1024));
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(asked, error))? {
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The status says all that matters; the body is read as far as it can be.
    async fn read_refusal(&self, asked: &Asked, response: Response, secrets: &[&str]) -> ScimError {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let bytes = read_up_to(response, self.limits.error_bytes_max).await.unwrap_or_default();
        let value = body::parse(&bytes, &self.limits).unwrap_or(Value::Null);
        self.refused(asked, status, retry_after, body::error_message(value), secrets)
    }

    /// The error of a refusal, its words made presentable.
    pub(crate) fn refused(
        &self,
        asked: &Asked,
        status: u16,
        retry_after: Option<Duration>,
        message: ErrorMessage,
        secrets: &[&str],
    ) -> ScimError {
        let presentable = |text: &str, chars_max| presentable(text, secrets, chars_max);
        let detail = message.detail.map(|detail| presentable(&detail, self.limits.detail_chars_max));
        let scim_type = message.scim_type.map(|word| match word {
            ScimType::Other(word) => ScimType::Other(presentable(&word, SCIM_TYPE_CHARS_MAX)),
            known => known,
        });
        ScimError::Refused {
            asked: asked.boxed(),
            status,
            scim_type,
            detail: detail.filter(|detail| !detail.is_empty()),
            retry_after,
            scim_body: message.is_scim,
        }
    }
}

/// Appends `text`, everything but RFC 3986 unreserved characters encoded. A blank becomes `%20`: not
/// every provider reads `+` as one.
pub(crate) fn percent_encode(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "GET",
    }
}

pub(crate) fn unsendable(asked: &Asked, reason: String) -> ScimError {
    ScimError::Unsendable { asked: asked.boxed(), reason }
}

pub(crate) fn malformed(asked: &Asked, status: u16, reason: impl Into<String>) -> ScimError {
    ScimError::Malformed { asked: asked.boxed(), status, reason: reason.into(), applied: asked.applied() }
}

fn unreadable(asked: &Asked, status: u16, content_type: Option<String>, error: BodyError) -> ScimError {
    match error {
        BodyError::TooLarge(limit, unit) => {
            ScimError::TooLarge { asked: asked.boxed(), status, limit, unit, applied: asked.applied() }
        }
        BodyError::NotJson(reason) => {
            let media_type = presentable(content_type.as_deref().unwrap_or("no content type"), &[], 80);
            malformed(asked, status, format!("a body that is not JSON ({media_type}: {reason})"))
        }
    }
}

fn redirected(asked: &Asked, status: u16, response: &Response) -> ScimError {
    let location = header(response, &LOCATION).and_then(|location| {
        let mut target = response.url().join(&location).ok()?;
        target.set_query(None);
        target.set_fragment(None);
        // Fails for URLs that cannot hold credentials, which then hold none.
        let _ = target.set_username("").and_then(|()| target.set_password(None));
        Some(presentable(target.as_str(), &[], 200))
    });
    ScimError::Redirected { asked: asked.boxed(), status, location }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_unreserved_is_encoded() {
        let mut out = String::new();
        percent_encode(&mut out, "a/b?c#d e+f%\"ä~");
        assert_eq!(out, "a%2Fb%3Fc%23d%20e%2Bf%25%22%C3%A4~");
    }
}
