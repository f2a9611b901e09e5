//! What a client must be told before it can speak to a provider, and the limits that it keeps.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use scimfleet_core::ProviderName;
use scimfleet_core::profile::Profile;
use scimfleet_core::provider::Tls;
use secrecy::SecretSlice;
use url::Url;

use crate::authorization::Authorization;
use crate::egress::{Egress, Refusal};

/// Certificates of the provider's endpoint.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// Whether the certificate is checked.
    pub verify: bool,
    /// Further certificate authorities, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Our certificate with its key, as PEM, for providers that ask for one.
    pub identity_pem: Option<SecretSlice<u8>>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { verify: true, ca_pem: None, identity_pem: None }
    }
}

impl TlsOptions {
    /// Reads the files that settings name.
    ///
    /// # Errors
    /// The setting, the file and why it cannot be read.
    pub fn read(tls: &Tls) -> Result<Self, String> {
        let file = |setting: &str, path: &String| {
            std::fs::read(path).map_err(|error| format!("tls.{setting} `{path}`: {error}"))
        };
        let ca_pem = tls.ca_file.as_ref().map(|path| file("ca_file", path)).transpose()?;
        let identity_pem = match (&tls.client_cert_file, &tls.client_key_file) {
            (Some(cert), Some(key)) => {
                let mut pem = file("client_cert_file", cert)?;
                pem.push(b'\n');
                pem.extend(file("client_key_file", key)?);
                Some(pem.into())
            }
            _ => None,
        };
        Ok(Self { verify: tls.verify, ca_pem, identity_pem })
    }
}

/// What one exchange may cost at the most. A provider may answer with anything; none of it may harm
/// the other providers that the same process serves.
#[derive(Debug, Clone)]
pub struct Limits {
    /// To connect, TLS included. A host that drops packets would hold a slot for minutes otherwise.
    pub connect_timeout: Duration,
    /// For the whole exchange: a token where one must be fetched, the body, and the second attempt after a
    /// renewed token. A lease on an object outlasts it, so it bounds how long a write of a dead worker can
    /// still land.
    pub request_timeout: Duration,
    /// Bytes of an answer after decompression: a group of 50,000 members fits, a gzip bomb does not.
    pub answer_bytes_max: usize,
    /// Bytes of an answer that is an error. Only its first words are shown, so an error page of
    /// megabytes is not worth its memory.
    pub error_bytes_max: usize,
    /// Levels of JSON. SCIM needs about six; a stack is finite.
    pub json_depth_max: usize,
    /// Values in one JSON answer. `[[],[],…` needs a hundred times its bytes once parsed.
    pub json_values_max: usize,
    /// Connections kept open to one host while idle: as many as requests are in flight, so that a burst
    /// does not shake hands again, and no more, since providers count connections.
    pub idle_connections_max: usize,
    /// How long a connection is kept open while idle: less than the least patient of the common servers
    /// (gunicorn 2 s, Node, uvicorn and Apache 5 s, load balancers 60 s). A server that is busy when its
    /// patience ends closes only later, without reading what we sent meanwhile: an ambiguous write. A new
    /// connection after a pause is the cheaper side.
    pub idle_connection_timeout: Duration,
    /// Characters of a provider's own words in an error.
    pub detail_chars_max: usize,
    /// Resources in one listing. An endless listing ends here and proves nothing.
    pub listing_resources_max: u64,
    /// Pages in one listing: a provider that hands out one resource a page is endless for our purposes.
    pub listing_pages_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            answer_bytes_max: 16 * 1024 * 1024,
            error_bytes_max: 64 * 1024,
            json_depth_max: 32,
            json_values_max: 500_000,
            idle_connections_max: 128,
            idle_connection_timeout: Duration::from_millis(1500),
            detail_chars_max: 500,
            listing_resources_max: 10_000_000,
            listing_pages_max: 1_000_000,
        }
    }
}

/// Everything about one provider that its client needs.
#[derive(Clone)]
pub struct ClientConfig {
    /// The operator's name for it; the label of metrics and errors.
    pub provider: ProviderName,
    /// The SCIM base URL, with or without a slash at its end. Paths are appended to it.
    pub base_url: Url,
    /// Goes with every request.
    pub authorization: Authorization,
    /// What the provider can do; see [`crate::Discovery::layer`].
    pub profile: Profile,
    /// Headers that go with every request, besides those that a request needs. Some hold keys: they are
    /// shown nowhere.
    pub headers: BTreeMap<String, String>,
    /// Which addresses may be called.
    pub egress: Egress,
    /// Certificates.
    pub tls: TlsOptions,
    /// What one exchange may cost.
    pub limits: Limits,
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.headers.keys().collect();
        out.debug_struct("ClientConfig")
            .field("provider", &self.provider)
            .field("base_url", &self.base_url.as_str())
            .field("authorization", &self.authorization)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// A configuration with which no request can be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither `http` nor `https`.
    #[error("{which} of `{provider}`: scheme `{scheme}` is not supported; use https (or http)")]
    Scheme {
        /// `base URL` or `token URL`.
        which: &'static str,
        /// The provider.
        provider: ProviderName,
        /// What was given.
        scheme: String,
    },
    /// `https://user:password@…`, a query or a fragment.
    #[error("{which} of `{provider}` holds {what}; {hint}")]
    Url {
        /// `base URL` or `token URL`.
        which: &'static str,
        /// The provider.
        provider: ProviderName,
        /// What does not belong there.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The address is not one that may be called.
    #[error("{which} of `{provider}`: {refusal}")]
    Egress {
        /// `base URL` or `token URL`.
        which: &'static str,
        /// The provider.
        provider: ProviderName,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// A credential that cannot stand in a header.
    #[error("the credential holds characters that cannot stand in an HTTP header; was a line break pasted with it?")]
    Credential,
    /// Nothing where a token or password should be.
    #[error("the credential is empty; is the variable or file that holds it set?")]
    EmptyCredential,
    /// RFC 7617 §2.
    #[error("the user name of basic authorisation holds a colon, which RFC 7617 forbids")]
    Username,
    /// A header value of the profile that cannot stand in a header.
    #[error("profile of `{provider}`: `{key}` is no media type")]
    MediaType {
        /// The provider.
        provider: ProviderName,
        /// `content_type` or `accept`.
        key: &'static str,
    },
    /// A header that cannot be sent, or that a request needs for itself.
    #[error("header `{name}` of `{provider}` cannot be set; leave it out, or mend its name and value")]
    Header {
        /// The provider.
        provider: ProviderName,
        /// Its name; never its value.
        name: String,
    },
    /// The certificate authorities, or TLS as a whole.
    #[error("TLS for `{provider}`: {reason}")]
    Tls {
        /// The provider.
        provider: ProviderName,
        /// What is wrong.
        reason: String,
    },
}
