//! `[[source]]`: directories that are read where they live, again and again. A secret is read when it is
//! needed and not before: a worker that never reads a directory needs no token of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scimfleet_core::ProviderName;
use scimfleet_core::provider::{Guard, Tls};
use secrecy::SecretString;
use url::Url;

use crate::fleet::policy::guard;
use crate::mistake::suggest;
use crate::reading::Table;
use crate::schedule::Schedule;

/// A token of a few kilobytes exists; a larger file is a wrong path.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
const KINDS: [&str; 2] = ["authentik", "ldap"];
const SECRET_HINT: &str = "write `{ env = \"NAME\" }` or `{ file = \"path\" }`";
const EVERY_HINT: &str = "a duration such as `1h`, `30s`, or `off`";

/// One `[[source]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceConfig {
    /// Its name; what it brings belongs to `<kind>:<name>` (R2).
    pub name: ProviderName,
    /// How often everything is read; only that removes. `None`: never by itself.
    pub full_every: Option<Duration>,
    /// How often changes are read in between.
    pub changes_every: Option<Duration>,
    /// How much a complete read may remove (R28).
    pub guard: Guard,
    /// Certificates.
    pub tls: Tls,
    /// What is read.
    pub kind: SourceKind,
}

/// What is read.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceKind {
    /// authentik, by its API.
    Authentik(AuthentikConfig),
    /// A directory that speaks LDAP version 3 (RFC 4511).
    Ldap(Box<LdapConfig>),
}

/// `kind = "authentik"`
#[derive(Debug, Clone, PartialEq)]
pub struct AuthentikConfig {
    /// authentik's own address.
    pub url: Url,
    /// A token of its API.
    pub token: SecretPlace,
}

/// `kind = "ldap"`
#[derive(Debug, Clone, PartialEq)]
pub struct LdapConfig {
    /// `ldap://` or `ldaps://`.
    pub url: Url,
    /// RFC 4511 §4.14: a plain connection is secured before anything else is sent.
    pub start_tls: bool,
    /// Who asks; `None`: anonymous.
    pub bind_dn: Option<String>,
    /// The password of a simple bind.
    pub password: Option<SecretPlace>,
    /// Entries per page (RFC 2696).
    pub page_size: u32,
    /// Where people are.
    pub users: LdapUsers,
    /// Where groups are; `None`: they are not read.
    pub groups: Option<LdapGroups>,
}

/// `[source.users]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapUsers {
    /// The subtree.
    pub base: String,
    /// Which entries (RFC 4515).
    pub filter: String,
    /// The attribute that never changes: the externalId.
    pub key: String,
    /// Which of them are inactive.
    pub disabled: Option<String>,
    /// The attribute that lists a person's groups, where groups do not list their members.
    pub member_of: Option<String>,
    /// The attribute for each SCIM path.
    pub attributes: BTreeMap<String, String>,
}

/// `[source.groups]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LdapGroups {
    /// The subtree.
    pub base: String,
    /// Which entries.
    pub filter: String,
    /// The attribute that never changes: the externalId.
    pub key: String,
    /// The attribute with the name.
    pub name: String,
    /// The attribute that lists the members by name of entry or of account.
    pub members: String,
}

/// Where a secret is; showing it reveals no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A variable of the environment.
    Environment(String),
    /// A file.
    File(PathBuf),
}

impl SecretPlace {
    /// Reads the secret.
    ///
    /// # Errors
    /// Why there is none, with the remedy.
    pub fn read(&self) -> Result<SecretString, String> {
        let text = match self {
            Self::Environment(name) => std::env::var(name)
                .map_err(|_| format!("the environment variable `{name}` is not set; export {name}=… and run again"))?,
            Self::File(path) => read_file(path)?,
        };
        match text.trim() {
            "" => Err(format!("{self} is empty")),
            text if text.chars().any(char::is_control) => Err(format!("{self} is no single line")),
            text => Ok(SecretString::from(text)),
        }
    }
}

impl std::fmt::Display for SecretPlace {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment(name) => write!(out, "the environment variable `{name}`"),
            Self::File(path) => write!(out, "`{}`", path.display()),
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let wrong = |what: String| format!("`{}`: {what}", path.display());
    let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > SECRET_BYTES_MAX {
        return Err(wrong("is larger than 64 KiB; is it the right file?".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

/// Reads every `[[source]]` of the configuration.
pub(super) fn read(root: &Table<'_, '_>) -> Vec<SourceConfig> {
    let mut sources: Vec<SourceConfig> = Vec::new();
    for table in root.tables("source") {
        if let Some(found) = source(table, &sources) {
            sources.push(found);
        }
    }
    sources
}

fn source(mut table: Table<'_, '_>, earlier: &[SourceConfig]) -> Option<SourceConfig> {
    table.rename("a source");
    let found = table.needed_text("name", "lower case letters, digits and `-`, at most 63");
    let name = found.and_then(|found| {
        table.rename(format!("source `{}`", found.value));
        match ProviderName::parse(found.value.clone()) {
            Ok(name) if earlier.iter().any(|other| other.name == name) => {
                table.note_value("name", found.span, "was used before", Some("rename one of the two".to_owned()));
                None
            }
            Ok(name) => Some(name),
            Err(error) => {
                let what = format!("`{}` is no name of a source", found.value);
                table.note_value("name", found.span, what, Some(error.rule.to_owned()));
                None
            }
        }
    });
    let mut limits = Guard::default();
    guard(&table, &mut limits);
    let kind = kind(&table);
    let source = SourceConfig {
        full_every: every(&table, "full_every", Duration::from_secs(3600)),
        changes_every: every(&table, "changes_every", Duration::from_secs(30)),
        guard: limits,
        tls: tls(&table),
        name: name.or(ProviderName::parse("nameless").ok())?,
        kind: kind?,
    };
    table.finish();
    Some(source)
}

fn every(table: &Table<'_, '_>, key: &'static str, default: Duration) -> Option<Duration> {
    let Some(found) = table.text(key) else { return Some(default) };
    match found.value.parse::<Schedule>() {
        Ok(Schedule::Every(period)) => Some(period),
        Ok(Schedule::Off) => None,
        _ => {
            let what = format!("`{}` is no duration", found.value);
            table.note_value(key, found.span, what, Some(EVERY_HINT.to_owned()));
            None
        }
    }
}

fn tls(table: &Table<'_, '_>) -> Tls {
    let mut tls = Tls::default();
    if let Some(inner) = table.table("tls") {
        tls.verify = inner.flag("verify").unwrap_or(true);
        tls.ca_file = inner.text("ca_file").map(|found| found.value);
        inner.finish();
    }
    tls
}

fn kind(table: &Table<'_, '_>) -> Option<SourceKind> {
    let found = table.needed_text("kind", "`authentik` or `ldap`")?;
    match found.value.as_str() {
        "authentik" => {
            let url = url(table, &["http", "https"], "such as `https://authentik.example`");
            let token = secret(table, "token");
            if token.is_none() && table.entry("token").is_none() {
                table.note_lack("token", SECRET_HINT);
            }
            Some(SourceKind::Authentik(AuthentikConfig { url: url?, token: token? }))
        }
        "ldap" => ldap(table).map(Box::new).map(SourceKind::Ldap),
        _ => {
            let what = format!("unknown word `{}`", found.value);
            table.note_value("kind", found.span, what, Some(suggest(&found.value, &KINDS)));
            None
        }
    }
}

fn url(table: &Table<'_, '_>, schemes: &[&str], hint: &str) -> Option<Url> {
    let found = table.needed_text("url", hint)?;
    let refuse = |what: String| {
        table.note_value("url", found.span.clone(), what, Some(hint.to_owned()));
        None
    };
    // The address itself is not repeated: it may hold a password.
    match Url::parse(found.value.trim()) {
        Err(error) => refuse(format!("is no address: {error}")),
        Ok(url) if !schemes.contains(&url.scheme()) => refuse(format!("scheme `{}` is not supported", url.scheme())),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => refuse("holds credentials".to_owned()),
        Ok(url) => Some(url),
    }
}

fn secret(table: &Table<'_, '_>, key: &'static str) -> Option<SecretPlace> {
    let entry = table.entry(key)?;
    let inner = if entry.get_ref().is_table() {
        table.table(key)?
    } else {
        table.note_value(key, entry.span(), "a secret does not stand here by itself", Some(SECRET_HINT.to_owned()));
        return None;
    };
    let place = match (inner.text("env"), inner.text("file")) {
        (Some(name), None) => Some(SecretPlace::Environment(name.value)),
        (None, Some(path)) => Some(SecretPlace::File(path.value.into())),
        _ => {
            table.note_value(key, entry.span(), "names none or several places", Some(SECRET_HINT.to_owned()));
            None
        }
    };
    inner.finish();
    place
}

fn ldap(table: &Table<'_, '_>) -> Option<LdapConfig> {
    let url = url(table, &["ldap", "ldaps"], "such as `ldaps://directory.example`");
    let users = match table.table("users") {
        Some(inner) => users(inner),
        None => {
            table.note_lack("users", "write a table `[source.users]` with `base` and `attributes`");
            None
        }
    };
    let groups = table.table("groups").and_then(groups);
    let start_tls = table.flag("start_tls").unwrap_or(false);
    if start_tls && url.as_ref().is_some_and(|url| url.scheme() == "ldaps") {
        table.note_lack("an `ldap://` address", "`ldaps://` is secured from its beginning; leave `start_tls` out");
    }
    Some(LdapConfig {
        start_tls,
        bind_dn: table.text("bind_dn").map(|found| found.value),
        password: secret(table, "password"),
        page_size: table.count("page_size", 1..=10_000).and_then(|size| u32::try_from(size).ok()).unwrap_or(500),
        url: url?,
        users: users?,
        groups,
    })
}

fn users(table: Table<'_, '_>) -> Option<LdapUsers> {
    let base = table.needed_text("base", "such as `ou=people,dc=example,dc=org`");
    let mut attributes: BTreeMap<String, String> = [
        ("userName", "uid"),
        ("displayName", "cn"),
        ("name.givenName", "givenName"),
        ("name.familyName", "sn"),
        ("emails", "mail"),
        ("title", "title"),
    ]
    .map(|(path, attribute)| (path.to_owned(), attribute.to_owned()))
    .into();
    if let Some(inner) = table.table("attributes") {
        for (path, span, value) in inner.entries() {
            match value.get_ref().as_str() {
                Some("") => drop(attributes.remove(path)),
                Some(attribute) => drop(attributes.insert(path.to_owned(), attribute.to_owned())),
                None => inner.note_value(path, span, "expected the name of an LDAP attribute", None),
            }
        }
    }
    let text = |key, default: &str| table.text(key).map_or_else(|| default.to_owned(), |found| found.value);
    let users = LdapUsers {
        filter: text("filter", "(objectClass=inetOrgPerson)"),
        key: text("key", "entryUUID"),
        disabled: table.text("disabled").map(|found| found.value),
        member_of: table.text("member_of").map(|found| found.value),
        base: base.map(|found| found.value).unwrap_or_default(),
        attributes,
    };
    table.finish();
    Some(users)
}

fn groups(table: Table<'_, '_>) -> Option<LdapGroups> {
    let base = table.needed_text("base", "such as `ou=groups,dc=example,dc=org`");
    let text = |key, default: &str| table.text(key).map_or_else(|| default.to_owned(), |found| found.value);
    let groups = LdapGroups {
        filter: text("filter", "(objectClass=groupOfNames)"),
        key: text("key", "entryUUID"),
        name: text("name", "cn"),
        members: text("members", "member"),
        base: base?.value,
    };
    table.finish();
    Some(groups)
}
