//! Credentials: what goes into the `Authorization` header, and where a short-lived token comes from.
//! A credential is shown by nothing here, and a token is kept in memory only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Client, RequestBuilder};
use scimfleet_core::scim::path::member;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::body::{self, presentable};
use crate::config::{ConfigError, Limits};
use crate::connection::{failure, read_up_to, retry_after};
use crate::error::{Asked, ScimError};

/// How long a token is used whose answer has no `expires_in`: short, since the provider may mean anything.
const LIFETIME_FALLBACK: Duration = Duration::from_secs(300);

/// A token is renewed this long before it ends, so that it does not end on its way to the provider.
const RENEW_BEFORE: Duration = Duration::from_secs(30);

/// How requests are authorised. `Debug` shows the kind only.
#[derive(Clone)]
pub enum Authorization {
    /// RFC 6750: the token goes with every request.
    Bearer(SecretString),
    /// RFC 7617.
    Basic {
        /// The user name; it may not hold a colon.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// RFC 6749 §4.4, client credentials. The token is fetched when it is needed and renewed before it
    /// ends, or at once when the provider answers 401 to it.
    OAuth2 {
        /// Where tokens are had; under the same address filter and certificates as the base URL.
        token_url: Url,
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: SecretString,
        /// The scope asked for, if any.
        scope: Option<String>,
    },
}

impl fmt::Debug for Authorization {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bearer(_) => "Bearer([redacted])",
            Self::Basic { .. } => "Basic([redacted])",
            Self::OAuth2 { .. } => "OAuth2([redacted])",
        })
    }
}

/// What one request is sent with.
#[derive(Clone)]
pub(crate) struct Grant {
    /// Marked sensitive, so that no library logs it.
    pub(crate) header: HeaderValue,
    /// The text that must not be repeated, not even when the provider repeats it to us.
    pub(crate) secret: Arc<SecretString>,
}

/// Gives grants. Only the token kind ever asks anybody.
pub(crate) enum Credential {
    Fixed(Grant),
    Token(Box<TokenSource>),
}

pub(crate) struct TokenSource {
    token_url: Url,
    client_id: String,
    client_secret: SecretString,
    scope: Option<String>,
    /// Held while a token is fetched, so that many requests fetch one.
    current: Mutex<Option<(Grant, Instant)>>,
}

fn grant(scheme: &str, text: &str, secret: SecretString) -> Result<Grant, ConfigError> {
    if secret.expose_secret().trim().is_empty() {
        return Err(ConfigError::EmptyCredential);
    }
    let mut header = HeaderValue::from_str(&format!("{scheme} {text}")).map_err(|_| ConfigError::Credential)?;
    header.set_sensitive(true);
    Ok(Grant { header, secret: Arc::new(secret) })
}

impl Credential {
    pub(crate) fn new(authorization: &Authorization) -> Result<Self, ConfigError> {
        match authorization {
            Authorization::Bearer(token) => {
                grant("Bearer", token.expose_secret().trim(), token.expose_secret().trim().into()).map(Self::Fixed)
            }
            Authorization::Basic { username, .. } if username.contains(':') => Err(ConfigError::Username),
            Authorization::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
                grant("Basic", &pair, password.clone()).map(Self::Fixed)
            }
            Authorization::OAuth2 { token_url, client_id, client_secret, scope } => {
                Ok(Self::Token(Box::new(TokenSource {
                    token_url: token_url.clone(),
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                    scope: scope.clone(),
                    current: Mutex::new(None),
                })))
            }
        }
    }

    /// What the next request is sent with.
    pub(crate) async fn grant(
        &self,
        http: Option<&Client>,
        limits: &Limits,
        asked: &Asked,
    ) -> Result<Grant, ScimError> {
        match (self, http) {
            (Self::Fixed(grant), _) => Ok(grant.clone()),
            (Self::Token(source), Some(http)) => source.grant(http, limits, asked).await,
            (Self::Token(_), None) => {
                let reason = "a simulation has no token endpoint".to_owned();
                Err(ScimError::Token { asked: asked.boxed(), status: None, retry_after: None, reason })
            }
        }
    }

    /// The provider answered 401 to `used`. Whether another grant may do better.
    pub(crate) async fn discard(&self, used: &Grant) -> bool {
        let Self::Token(source) = self else { return false };
        let mut current = source.current.lock().await;
        // Somebody else may have renewed it meanwhile; theirs is kept.
        if current.as_ref().is_some_and(|(grant, _)| grant.header == used.header) {
            *current = None;
        }
        true
    }
}

impl TokenSource {
    async fn grant(&self, http: &Client, limits: &Limits, asked: &Asked) -> Result<Grant, ScimError> {
        let mut current = self.current.lock().await;
        if let Some((grant, until)) = current.as_ref()
            && Instant::now() < *until
        {
            return Ok(grant.clone());
        }
        let (grant, lifetime) = self.fetch(http, limits, asked).await?;
        let usable = lifetime.saturating_sub(RENEW_BEFORE.min(lifetime / 2));
        // An absurd lifetime overflows the clock; a day is as good.
        let until = Instant::now() + usable.min(Duration::from_secs(86_400));
        *current = Some((grant.clone(), until));
        Ok(grant)
    }

    /// RFC 6749 §2.3.1: Basic "MUST" be supported; many token endpoints know only the form, though.
    async fn fetch(&self, http: &Client, limits: &Limits, asked: &Asked) -> Result<(Grant, Duration), ScimError> {
        match self.ask(self.by_basic(http), limits, asked).await {
            Err(ScimError::Token { status: Some(400 | 401), .. }) => self.ask(self.by_form(http), limits, asked).await,
            outcome => outcome,
        }
    }

    fn form(&self) -> Vec<(&'static str, &str)> {
        let scope = self.scope.as_deref().map(|scope| ("scope", scope));
        [("grant_type", "client_credentials")].into_iter().chain(scope).collect()
    }

    fn by_basic(&self, http: &Client) -> RequestBuilder {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.client_id), encoded(self.client_secret.expose_secret()));
        let request = http.post(self.token_url.clone()).form(&self.form());
        match HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))) {
            Ok(mut header) => {
                header.set_sensitive(true);
                request.header(AUTHORIZATION, header)
            }
            Err(_) => request,
        }
    }

    fn by_form(&self, http: &Client) -> RequestBuilder {
        let mut form = self.form();
        form.push(("client_id", &self.client_id));
        form.push(("client_secret", self.client_secret.expose_secret()));
        http.post(self.token_url.clone()).form(&form)
    }

    async fn ask(
        &self,
        request: RequestBuilder,
        limits: &Limits,
        asked: &Asked,
    ) -> Result<(Grant, Duration), ScimError> {
        let no_token = |status, wait, reason: String| ScimError::Token {
            asked: asked.boxed(),
            status,
            retry_after: wait,
            reason: presentable(&reason, &[self.client_secret.expose_secret()], limits.detail_chars_max),
        };
        let response = match request.header(ACCEPT, "application/json").send().await {
            Ok(response) => response,
            // Whatever became of the token request, the provider was not asked.
            Err(error) => {
                return Err(match failure(asked, error) {
                    ScimError::Unreachable { reason, .. } => no_token(None, None, reason),
                    other => other,
                });
            }
        };
        let (status, wait) = (response.status(), retry_after(response.headers()));
        let bytes = read_up_to(response, limits.error_bytes_max).await.unwrap_or_default();
        let value = body::parse(&bytes, limits).unwrap_or(Value::Null);
        let text = |name| value.as_object().and_then(|object| member(object, name)).and_then(Value::as_str);
        match text("access_token") {
            Some(token) if status.is_success() => {
                let grant = grant("Bearer", token, token.into())
                    .map_err(|_| no_token(None, None, "the token cannot stand in a header".to_owned()))?;
                Ok((grant, lifetime(&value)))
            }
            // Only the word of RFC 6749 §5.2: descriptions may repeat what was sent.
            _ => {
                let word = text("error").unwrap_or("no `access_token` in the answer");
                let reason = format!("the token endpoint answered {} ({word})", status.as_u16());
                Err(no_token(Some(status.as_u16()), wait, reason))
            }
        }
    }
}

fn lifetime(answer: &Value) -> Duration {
    let seconds = answer.get("expires_in").and_then(|value| {
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|seconds| *seconds > 0.0)
    });
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(LIFETIME_FALLBACK)
}
