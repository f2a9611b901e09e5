//! From configuration to a source that can be read.

use scimfleet_core::provider::Tls;
use scimfleet_runtime::config::{SourceConfig, SourceKind};
use scimfleet_scim_client::{Egress, TlsOptions};
use scimfleet_store::Store;

use super::authentik::{Authentik, Changed, Whole};
use super::ldap::{Ldap, Read};
use super::{Removals, SourceError, Spool, take_changed, take_whole};
use crate::import::ImportReport;

/// A source, ready to be read.
#[derive(Debug)]
pub struct Source {
    /// What it brings belongs to this name (R2).
    pub name: String,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Authentik(Authentik),
    Ldap(Box<Ldap>),
}

/// What one read did.
#[derive(Debug)]
pub struct Taken {
    /// In numbers.
    pub report: ImportReport,
    /// Where the changes after it begin; `None`: where they began before.
    pub latest: Option<String>,
}

impl Source {
    /// Reads the secret; connects to nothing.
    ///
    /// # Errors
    /// When a secret or a certificate cannot be read.
    pub fn open(config: &SourceConfig, egress: Egress) -> Result<Self, SourceError> {
        let unreadable = |reason| SourceError::Settings { name: config.name.to_string(), reason };
        match &config.kind {
            SourceKind::Authentik(authentik) => {
                let token = authentik.token.read().map_err(unreadable)?;
                let tls = tls_options(&config.tls).map_err(unreadable)?;
                let reader = Authentik::new(config.name.clone(), &authentik.url, token, egress, tls)?;
                Ok(Self { name: format!("authentik:{}", config.name), reader: Reader::Authentik(reader) })
            }
            SourceKind::Ldap(ldap) => {
                let reader = Ldap::new(config.name.clone(), ldap, &config.tls, egress)?;
                Ok(Self { name: format!("ldap:{}", config.name), reader: Reader::Ldap(Box::new(reader)) })
            }
        }
    }

    /// authentik's API, if the source is one.
    pub fn authentik(&self) -> Option<&Authentik> {
        match &self.reader {
            Reader::Authentik(authentik) => Some(authentik),
            Reader::Ldap(_) => None,
        }
    }

    /// Reads everything and takes it in; what is not there any more is removed, behind the guard.
    ///
    /// # Errors
    /// When the read is not whole, or the guard refuses its removals. Nothing is removed then.
    pub async fn take_whole(&self, store: &Store, removals: &Removals) -> Result<Taken, SourceError> {
        let (spool, latest) = match &self.reader {
            Reader::Authentik(authentik) => {
                let Whole { spool, latest, .. } = authentik.read_whole().await?;
                (spool, latest)
            }
            Reader::Ldap(ldap) => {
                let Read { spool, latest } = ldap.read_whole().await?;
                (spool, latest)
            }
        };
        Ok(Taken { report: take_whole(store, &self.name, spool, removals).await?, latest })
    }

    /// Reads what changed since; nobody is removed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn take_changed(&self, store: &Store, since: &str) -> Result<Taken, SourceError> {
        let (spool, latest): (Spool, _) = match &self.reader {
            Reader::Authentik(authentik) => {
                let Changed { spool, latest } = authentik.read_changed(since).await?;
                (spool, latest)
            }
            Reader::Ldap(ldap) => {
                let Read { spool, latest } = ldap.read_changed(since).await?;
                (spool, latest)
            }
        };
        if spool.count() == 0 {
            return Ok(Taken { report: ImportReport::default(), latest });
        }
        Ok(Taken { report: take_changed(store, &self.name, spool).await?, latest })
    }
}

/// Certificates of a source, read from its files.
pub(super) fn tls_options(tls: &Tls) -> Result<TlsOptions, String> {
    if tls.client_cert_file.is_some() || tls.client_key_file.is_some() {
        return Err("tls.client_cert_file: a source is read without a client certificate; remove it".to_owned());
    }
    TlsOptions::read(tls)
}
