//! The HTTP library: how it is set up, and what its errors and headers mean. Nothing here knows SCIM.

use std::error::Error;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, redirect};
use url::Url;

use crate::authorization::Authorization;
use crate::body::presentable;
use crate::config::{ClientConfig, ConfigError};
use crate::egress::{FilteringResolver, refusal_in};
use crate::error::{Applied, Asked, ScimError};

/// GitHub and AWS refuse requests without a `User-Agent`.
const USER_AGENT: &str = concat!("scimfleet/", env!("CARGO_PKG_VERSION"));

/// Refuses URLs that nobody can mean, before anything is sent there.
pub(crate) fn check_urls(config: &ClientConfig) -> Result<(), ConfigError> {
    check_url(config, "base URL", &config.base_url)?;
    match &config.authorization {
        Authorization::OAuth2 { token_url, .. } => check_url(config, "token URL", token_url),
        Authorization::Bearer(_) | Authorization::Basic { .. } => Ok(()),
    }
}

fn check_url(config: &ClientConfig, which: &'static str, url: &Url) -> Result<(), ConfigError> {
    let provider = config.provider.clone();
    let holds = |what, hint| Err(ConfigError::Url { which, provider: config.provider.clone(), what, hint });
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError::Scheme { which, provider, scheme: url.scheme().to_owned() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return holds("credentials", "put them into `auth`");
    }
    // Some token endpoints are told their tenant in the query.
    if url.fragment().is_some() || (url.query().is_some() && which == "base URL") {
        return holds("a query or a fragment", "leave off what follows the path");
    }
    config.egress.check_literal(url).map_err(|refusal| ConfigError::Egress { which, provider, refusal })
}

/// The HTTP library, told never to follow, never to take a proxy from the environment, and to resolve
/// names through the address filter.
pub(crate) fn http_client(config: &ClientConfig) -> Result<Client, ConfigError> {
    let (limits, tls) = (&config.limits, &config.tls);
    let broken = |reason: String| ConfigError::Tls { provider: config.provider.clone(), reason };
    let mut builder = Client::builder()
        .user_agent(user_agent(config)?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(FilteringResolver::new(config.egress.clone()))
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.request_timeout)
        .pool_max_idle_per_host(limits.idle_connections_max)
        .pool_idle_timeout(limits.idle_connection_timeout)
        .tls_danger_accept_invalid_certs(!tls.verify);
    if let Some(proxy) = &config.egress.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(|error| broken(words_of(&error)))?);
    }
    if let Some(pem) = &tls.identity_pem {
        use secrecy::ExposeSecret;
        // The library's own words could repeat lines of the key.
        let identity = reqwest::Identity::from_pem(pem.expose_secret()).map_err(|_| {
            broken("the client certificate and its key are no PEM that can be used together".to_owned())
        })?;
        builder = builder.identity(identity);
    }
    if let Some(pem) = &tls.ca_pem {
        let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| broken(words_of(&error)))?;
        builder = builder.tls_certs_merge(authorities);
    } else if !needs_tls(config) {
        // Without TLS the system's authorities are not needed, and a bare container has none.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| broken(words_of(&error)))
}

fn user_agent(config: &ClientConfig) -> Result<HeaderValue, ConfigError> {
    let own = config.profile.user_agent.trim();
    HeaderValue::from_str(if own.is_empty() { USER_AGENT } else { own })
        .map_err(|_| ConfigError::Header { provider: config.provider.clone(), name: "user_agent".to_owned() })
}

/// Headers that the operator adds to every request; none may take the place of one that a request needs.
pub(crate) fn extra_headers(config: &ClientConfig) -> Result<HeaderMap, ConfigError> {
    const OURS: [&str; 9] = [
        "authorization",
        "accept",
        "content-type",
        "content-length",
        "host",
        "connection",
        "transfer-encoding",
        "if-match",
        "traceparent",
    ];
    let mut headers = HeaderMap::with_capacity(config.headers.len() + 8);
    for (name, value) in &config.headers {
        let wrong = || ConfigError::Header { provider: config.provider.clone(), name: name.clone() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        if OURS.contains(&key.as_str()) {
            return Err(wrong());
        }
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn needs_tls(config: &ClientConfig) -> bool {
    let token_url = match &config.authorization {
        Authorization::OAuth2 { token_url, .. } => Some(token_url),
        Authorization::Bearer(_) | Authorization::Basic { .. } => None,
    };
    [Some(&config.base_url), token_url, config.egress.proxy.as_ref()]
        .into_iter()
        .flatten()
        .any(|url| url.scheme() != "http")
}

pub(crate) fn header(response: &Response, name: &HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Seconds or an HTTP date (RFC 9110 §10.2.3). A date that is past means now.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        // What does not fit is still an answer: wait as long as the caller's clamp allows.
        let wait = Duration::try_from_secs_f64(seconds);
        return (seconds >= 0.0).then(|| wait.unwrap_or(Duration::MAX));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
}

/// The body, or `None` when it is longer than `limit` or breaks off.
pub(crate) async fn read_up_to(mut response: Response, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if bytes.len() + chunk.len() > limit {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}

/// An error of the library. Only a failure to connect is certain to have changed nothing: whatever breaks
/// later may break after the provider acted.
pub(crate) fn failure(asked: &Asked, error: reqwest::Error) -> ScimError {
    let error = error.without_url();
    let (asked, applied) = (asked.boxed(), asked.applied());
    if let Some(refusal) = refusal_in(&error) {
        return ScimError::Egress { refusal: refusal.clone(), asked };
    }
    let reason = words_of(&error);
    if error.is_builder() {
        return ScimError::Unsendable { asked, reason };
    }
    let applied = if error.is_connect() { Applied::No } else { applied };
    ScimError::Unreachable { asked, applied, reason, source: Some(Box::new(error)) }
}

/// The words of an error and of what caused it, innermost last, without repetitions.
fn words_of(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if words.last().is_none_or(|last| !last.contains(&text)) {
            words.push(text);
        }
        cause = error.source();
    }
    presentable(&words.join(": "), &[], 300)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn wait(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait(" 1.5 "), Some(Duration::from_millis(1500)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(wait("Fri, 31 Dec 9999 23:59:59 GMT").unwrap() > Duration::from_secs(1_000_000));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::MAX));
        for absurd in ["", "soon", "-5", "NaN"] {
            assert_eq!(wait(absurd), None, "{absurd}");
        }
    }
}
