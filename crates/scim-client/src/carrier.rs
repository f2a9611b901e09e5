//! What takes a request to its provider and brings the answer: the HTTP library, or whoever stands in for the
//! network where there is none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use reqwest::{Client, Request, Response};

use crate::config::{ClientConfig, ConfigError};
use crate::connection::{failure, http_client};
use crate::error::{Applied, Asked, ScimError};

/// Takes requests to providers in place of the network, for simulations. It follows nothing, repeats nothing and
/// keeps to no time: the client gives up by itself.
pub trait Carrier: Send + Sync {
    /// Takes one request to the provider that its URL names, and brings the answer.
    ///
    /// # Errors
    /// When there is none.
    fn carry(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<http::Response<Bytes>, Lost>>;
}

/// There is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Lost {
    /// The request left: nobody knows whether it was applied.
    pub sent: bool,
    /// What happened, in words.
    pub reason: String,
}

/// What a transport sends its requests with.
pub(crate) enum Line {
    Network(Client),
    Carried(Arc<dyn Carrier>),
}

impl Line {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, ConfigError> {
        match &config.egress.carrier {
            Some(carrier) => Ok(Self::Carried(carrier.0.clone())),
            None => http_client(config).map(Self::Network),
        }
    }

    /// The HTTP client, where there is a network.
    pub(crate) fn client(&self) -> Option<&Client> {
        match self {
            Self::Network(client) => Some(client),
            Self::Carried(_) => None,
        }
    }

    /// Sends one request; `timeout` bounds the whole exchange.
    pub(crate) async fn send(
        &self,
        asked: &Asked,
        mut request: Request,
        timeout: Duration,
    ) -> Result<Response, ScimError> {
        match self {
            Self::Network(client) => {
                *request.timeout_mut() = Some(timeout);
                client.execute(request).await.map_err(|error| failure(asked, error))
            }
            Self::Carried(carrier) => {
                let carried = carrier.carry(plain(request));
                match tokio::time::timeout(timeout, carried).await {
                    Ok(Ok(response)) => Ok(response.into()),
                    Ok(Err(lost)) if lost.sent => Err(unanswered(asked, asked.applied(), lost.reason)),
                    Ok(Err(lost)) => Err(unanswered(asked, Applied::No, lost.reason)),
                    Err(_) => Err(unanswered(asked, asked.applied(), "operation timed out".to_owned())),
                }
            }
        }
    }
}

fn unanswered(asked: &Asked, applied: Applied, reason: String) -> ScimError {
    ScimError::Unreachable { asked: asked.boxed(), applied, reason, source: None }
}

fn plain(mut request: Request) -> http::Request<Bytes> {
    let body = request.body().and_then(|body| body.as_bytes()).map(Bytes::copy_from_slice).unwrap_or_default();
    let mut plain = http::Request::new(body);
    *plain.method_mut() = request.method().clone();
    *plain.headers_mut() = std::mem::take(request.headers_mut());
    // A URL is a URI.
    *plain.uri_mut() = request.url().as_str().parse().unwrap_or_default();
    plain
}

/// A carrier as part of a configuration; `Debug` shows that there is one.
#[derive(Clone)]
pub struct Carried(Arc<dyn Carrier>);

impl Carried {
    /// Every request by this carrier.
    pub fn by(carrier: Arc<dyn Carrier>) -> Self {
        Self(carrier)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Carried")
    }
}
