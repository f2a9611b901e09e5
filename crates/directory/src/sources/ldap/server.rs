//! A connection: secured before anything else is sent, bound, and searched in pages.

use std::sync::Arc;
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{LdapConnAsync, LdapConnSettings, Scope, SearchEntry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use scimfleet_core::ProviderName;
use scimfleet_core::provider::Tls;
use scimfleet_runtime::config::LdapConfig;
use scimfleet_scim_client::Egress;
use secrecy::{ExposeSecret, SecretString};

use super::entry::{Entry, check_paths};
use crate::sources::SourceError;
use crate::sources::open::tls_options;

/// To connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one answer: a server that is silent for longer is not going on.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A directory server, not connected yet.
#[derive(Debug)]
pub struct Ldap {
    pub(super) name: ProviderName,
    pub(super) config: LdapConfig,
    password: Option<SecretString>,
    settings: Settings,
    egress: Egress,
}

#[derive(Clone)]
struct Settings(LdapConnSettings);

impl std::fmt::Debug for Settings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Settings")
    }
}

/// A bound connection; it closes when it is dropped.
pub(super) struct Connection {
    ldap: ldap3::Ldap,
    page_size: i32,
}

impl Ldap {
    /// Reads certificates and the password; connects to nothing.
    ///
    /// # Errors
    /// When one of them cannot be read, or an attribute is mapped to a path that there is not.
    pub fn new(name: ProviderName, config: &LdapConfig, tls: &Tls, egress: Egress) -> Result<Self, SourceError> {
        let wrong = |reason| SourceError::Settings { name: name.to_string(), reason };
        check_paths(&config.users.attributes).map_err(wrong)?;
        let password = config.password.as_ref().map(|place| place.read().map_err(wrong)).transpose()?;
        let mut settings = LdapConnSettings::new()
            .set_conn_timeout(CONNECT_TIMEOUT)
            .set_starttls(config.start_tls)
            .set_no_tls_verify(!tls.verify);
        let certificates = tls_options(tls).map_err(wrong)?;
        if let (Some(path), Some(pem)) = (&tls.ca_file, &certificates.ca_pem) {
            settings = settings.set_config(authorities(path, pem).map_err(wrong)?);
        }
        Ok(Self { name, config: config.clone(), password, settings: Settings(settings), egress })
    }

    pub(super) async fn connect(&self) -> Result<Connection, SourceError> {
        self.check_address().await?;
        let (connection, mut ldap) = LdapConnAsync::with_settings(self.settings.0.clone(), self.config.url.as_str())
            .await
            .map_err(|error| self.wrong(format!("no connection ({})", words(&error))))?;
        tokio::spawn(async move {
            // An error ends every search of the connection, which is where it is told.
            if let Err(error) = connection.drive().await {
                tracing::debug!(error = %error, "the connection to the directory ended");
            }
        });
        if let Some(dn) = &self.config.bind_dn {
            let password = self.password.as_ref().map_or("", |password| password.expose_secret());
            let bound = ldap.with_timeout(ANSWER_TIMEOUT).simple_bind(dn, password).await;
            bound
                .and_then(ldap3::LdapResult::success)
                .map_err(|error| self.wrong(format!("the bind as `{dn}` was refused ({})", words(&error))))?;
        }
        Ok(Connection { ldap, page_size: i32::try_from(self.config.page_size).unwrap_or(i32::MAX) })
    }

    async fn check_address(&self) -> Result<(), SourceError> {
        let url = &self.config.url;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port().unwrap_or(if url.scheme() == "ldaps" { 636 } else { 389 });
        let found = tokio::net::lookup_host((host, port)).await.map_err(|error| self.wrong(error.to_string()))?;
        for address in found {
            self.egress.check(address.ip()).map_err(|refusal| self.wrong(refusal.to_string()))?;
        }
        Ok(())
    }

    pub(super) fn wrong(&self, reason: String) -> SourceError {
        SourceError::Ldap { name: self.name.to_string(), reason }
    }
}

impl Connection {
    /// Every entry of a subtree that fits, page by page. An answer that ends early is an error: whoever got
    /// this through has seen all.
    pub(super) async fn search(
        &mut self,
        base: &str,
        filter: &str,
        attributes: Vec<String>,
        mut take: impl FnMut(Entry) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let broken = |reason: String| SourceError::Incomplete { what: base.to_owned(), reason };
        let adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(self.page_size))];
        let mut stream = self
            .ldap
            .with_timeout(ANSWER_TIMEOUT)
            .streaming_search_with(adapters, base, Scope::Subtree, filter, attributes)
            .await
            .map_err(|error| broken(words(&error)))?;
        loop {
            match stream.next().await {
                Ok(Some(entry)) => take(Entry::new(SearchEntry::construct(entry)))?,
                Ok(None) => break,
                Err(error) => return Err(broken(words(&error))),
            }
        }
        let result = stream.finish().await;
        for _ in &result.refs {
            tracing::warn!(base, "the directory refers to another server, which is not asked; add a source of its own");
        }
        result.success().map(drop).map_err(|error| broken(words(&error)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut ldap = self.ldap.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = ldap.unbind().await {
                    tracing::debug!(error = %error, "the connection to the directory was gone");
                }
            });
        }
    }
}

/// Without what it was asked with: a filter may name people.
fn words(error: &ldap3::LdapError) -> String {
    let text = match error {
        ldap3::LdapError::LdapResult { result } => {
            let text = result.text.trim();
            let meaning = match result.rc {
                3 => "time limit exceeded",
                4 => "size limit exceeded: the account that asks must be allowed to read everything, page by page",
                11 => "administrative limit exceeded",
                32 => "there is no such entry; is the base right?",
                49 => "invalid credentials",
                50 => "insufficient access rights",
                _ => "",
            };
            [format!("result {}", result.rc).as_str(), meaning, text]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(": ")
        }
        other => other.to_string(),
    };
    text.replace(char::is_control, " ").chars().take(300).collect()
}

/// TLS that trusts these authorities and no others.
fn authorities(path: &str, pem: &[u8]) -> Result<Arc<rustls::ClientConfig>, String> {
    let wrong = |reason: String| format!("tls.ca_file `{path}`: {reason}");
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate in PEM".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
