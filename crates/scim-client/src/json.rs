//! Reading JSON over HTTP from something that is no SCIM service provider: a directory's own API. The same
//! address filter, limits and silence about credentials as towards a provider; it can only ask, never write.

use std::fmt;
use std::sync::Arc;

use reqwest::Method;
use scimfleet_core::ProviderName;
use scimfleet_core::profile::Profile;
use serde_json::Value;
use url::Url;

use crate::authorization::Authorization;
use crate::config::{ClientConfig, ConfigError, Limits, TlsOptions};
use crate::egress::Egress;
use crate::error::ScimError;
use crate::transport::{Request, Transport};

/// Everything that a [`JsonClient`] needs to know.
#[derive(Debug, Clone)]
pub struct JsonConfig {
    /// The operator's name for what is read; the label of metrics and errors.
    pub name: ProviderName,
    /// Paths are appended to it.
    pub base_url: Url,
    /// Goes with every request.
    pub authorization: Authorization,
    /// Which addresses may be called.
    pub egress: Egress,
    /// Certificates.
    pub tls: TlsOptions,
    /// What one exchange may cost.
    pub limits: Limits,
}

/// Asks one HTTP API for JSON. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct JsonClient {
    transport: Arc<Transport>,
}

impl fmt::Debug for JsonClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("JsonClient").field("name", self.transport.provider()).finish_non_exhaustive()
    }
}

/// Why there was no JSON. Never carries a body, a query or a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("GET {path} at `{name}`: {reason}")]
pub struct JsonError {
    /// What was asked.
    pub name: ProviderName,
    /// The path below the base URL.
    pub path: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// In words.
    pub reason: String,
}

impl JsonClient {
    /// Checks the configuration; connects to nothing.
    pub fn new(config: JsonConfig) -> Result<Self, ConfigError> {
        let profile = Profile { accept: "application/json".to_owned(), ..Profile::default() };
        let label = format!("source:{}", config.name);
        let mut transport = Transport::new(&ClientConfig {
            provider: config.name,
            base_url: config.base_url,
            authorization: config.authorization,
            profile,
            egress: config.egress,
            headers: std::collections::BTreeMap::new(),
            tls: config.tls,
            limits: config.limits,
        })?;
        transport.label_as(&label);
        Ok(Self { transport: Arc::new(transport) })
    }

    /// GET of `path`, which begins with a slash.
    pub async fn get(&self, path: &str, query: &[(&'static str, String)]) -> Result<Value, JsonError> {
        let mut request = Request::new(Method::GET, path.to_owned(), None);
        request.query = query.to_vec();
        let error = |status, reason: String| JsonError {
            name: self.transport.provider().clone(),
            path: path.to_owned(),
            status,
            reason,
        };
        match self.transport.send(request).await {
            Ok(reply) => reply.value.ok_or_else(|| error(Some(reply.status), "an answer without a body".to_owned())),
            Err(failure) => Err(error(failure.status(), words(&failure))),
        }
    }
}

/// A failure in words that do not speak of SCIM.
fn words(error: &ScimError) -> String {
    match error {
        ScimError::Refused { status: 401 | 403, .. } => {
            "the token was refused; is it right, and may it read this?".to_owned()
        }
        ScimError::Refused { status, detail, .. } => match detail {
            Some(detail) => format!("answered {status}: {detail}"),
            None => format!("answered {status}"),
        },
        ScimError::Malformed { status, reason, .. } => {
            format!("answered {status} with {reason}; is the URL right?")
        }
        ScimError::Unreachable { reason, .. } => format!("no answer ({reason})"),
        ScimError::TooLarge { limit, unit, .. } => format!("answered with more than {limit} {unit}"),
        ScimError::Redirected { status, .. } => format!("answered {status}, a redirect; give the final address"),
        ScimError::Egress { refusal, .. } => refusal.to_string(),
        ScimError::Token { reason, .. } | ScimError::Unsendable { reason, .. } => reason.clone(),
    }
}
