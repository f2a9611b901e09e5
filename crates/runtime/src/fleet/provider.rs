//! One `[[provider]]` table.

use std::collections::BTreeSet;

use scimfleet_core::ProviderName;
use scimfleet_core::profile::{Origin, Profile};
use scimfleet_core::provider::{MatchAttribute, ProviderSettings};
use serde_json::{Map, Value};
use url::{Host, Url};

use super::{FleetProvider, Reading, note_twice};
use crate::mistake::{nearest, suggest};
use crate::reading::{Located, Span, Table, to_json};

const BASE_URL_HINT: &str = "such as `https://acme.example/scim/v2`";

/// Stands in for a name that was refused, so that the rest of the table is checked too.
const NAMELESS: &str = "nameless";

impl Reading<'_> {
    /// Reads one table; `None` when a mistake was noted without which there is nothing to return.
    pub(super) fn provider(&mut self, mut table: Table<'_, '_>) -> Option<FleetProvider> {
        let name = self.provider_name(&mut table);
        let base_url = self.base_url(&table);
        let placeholder = ProviderName::parse(NAMELESS).ok();
        let mut settings = ProviderSettings::new(name.or(placeholder)?, base_url.unwrap_or_default());
        let secret = self.auth(&table, &mut settings.auth);
        self.profile(&table, &mut settings);
        self.mappings(&table, &mut settings);
        match_order(&table, &mut settings);
        super::scope::read(&table, &mut settings.scope);
        super::policy::read(&table, &mut settings);
        self.tls(&table, &mut settings);
        self.headers(&table, &mut settings);
        table.finish();
        Some(FleetProvider { settings, secret })
    }

    fn provider_name(&mut self, table: &mut Table<'_, '_>) -> Option<ProviderName> {
        table.rename("a provider");
        let name = table.needed_text("name", "lower case letters, digits and `-`, at most 63")?;
        table.rename(format!("provider `{}`", name.value));
        match ProviderName::parse(name.value.clone()) {
            Ok(parsed) => {
                note_twice(table, &mut self.names.providers, &name.value, name.span);
                Some(parsed)
            }
            Err(error) => {
                table.note_value(
                    "name",
                    name.span,
                    format!("`{}` is no provider name", error.value),
                    Some(error.rule.to_owned()),
                );
                None
            }
        }
    }

    fn base_url(&mut self, table: &Table<'_, '_>) -> Option<String> {
        let found = table.needed_text("base_url", BASE_URL_HINT)?;
        let url = check_url(table, "base_url", &found, BASE_URL_HINT)?;
        if url.query().is_some() || url.fragment().is_some() {
            let hint = Some("write the address without what follows `?` or `#`".to_owned());
            table.note_value("base_url", found.span, "has a query or a fragment", hint);
            return None;
        }
        self.warn_if_open(table, "base_url", &url, &found.span);
        Some(found.value.trim().to_owned())
    }

    /// A token over plain HTTP is readable on its way; on loopback there is no way.
    pub(super) fn warn_if_open(&mut self, table: &Table<'_, '_>, key: &str, url: &Url, span: &Span) {
        if url.scheme() == "http" && !is_loopback(url) {
            let message = format!("`{key}` of {} is not https: secrets travel in the clear", table.place());
            self.warn(table.document(), span, &message);
        }
    }

    fn profile(&self, table: &Table<'_, '_>, settings: &mut ProviderSettings) {
        if let Some(found) = table.text("profile") {
            let known = &self.context.profiles;
            if found.value != "auto" && !known.is_empty() && !known.contains(&found.value) {
                let words: Vec<&str> = std::iter::once("auto").chain(known.iter().map(String::as_str)).collect();
                let what = format!("unknown profile `{}`", found.value);
                table.note_value("profile", found.span, what, Some(suggest(&found.value, &words)));
            } else {
                settings.profile = found.value;
            }
        }
        if let Some(inner) = table.table("override") {
            settings.profile_override = profile_override(&inner);
        }
    }

    fn mappings(&self, table: &Table<'_, '_>, settings: &mut ProviderSettings) {
        let Some(found) = table.list("mappings") else { return };
        if found.is_empty()
            && let Some(entry) = table.entry("mappings")
        {
            let hint = Some("leave the key out for the built-in ones".to_owned());
            table.note_value("mappings", entry.span(), "is empty: nothing would be sent", hint);
        }
        let mut seen = BTreeSet::new();
        for name in &found {
            if !self.knows_mapping(&name.value) {
                let known = self.names.mappings.keys().chain(&self.context.stored_mappings).map(String::as_str);
                let near = nearest(&name.value, known.chain(super::BUILT_IN_MAPPINGS));
                let hint = near.map_or_else(
                    || "declare it as a `[[mapping]]` in this file".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                table.note_value("mappings", name.span.clone(), format!("no mapping `{}`", name.value), Some(hint));
            } else if !seen.insert(&name.value) {
                table.note_value("mappings", name.span.clone(), format!("`{}` stands twice", name.value), None);
            }
        }
        settings.mappings = found.into_iter().map(|name| name.value).collect();
    }

    fn headers(&mut self, table: &Table<'_, '_>, settings: &mut ProviderSettings) {
        let Some(inner) = table.table("headers") else { return };
        for (name, span, value) in inner.entries() {
            let Value::String(text) = to_json(value.get_ref()) else {
                inner.document().note(value.span(), format!("header `{name}` of {} is no text", table.place()), None);
                continue;
            };
            let lower = name.to_ascii_lowercase();
            if ["authorization", "cookie", "proxy-authorization"].contains(&lower.as_str()) {
                let hint = Some("credentials belong into `auth`, where they are sealed".to_owned());
                inner.document().note(span, format!("header `{name}` of {} cannot be set", table.place()), hint);
                continue;
            }
            settings.headers.insert(name.to_owned(), text);
        }
    }

    fn tls(&mut self, table: &Table<'_, '_>, settings: &mut ProviderSettings) {
        let Some(inner) = table.table("tls") else { return };
        if let Some(verify) = inner.flag("verify") {
            settings.tls.verify = verify;
        }
        settings.tls.ca_file = inner.text("ca_file").map(|found| found.value);
        settings.tls.client_cert_file = inner.text("client_cert_file").map(|found| found.value);
        settings.tls.client_key_file = inner.text("client_key_file").map(|found| found.value);
        let lacks = match (&settings.tls.client_cert_file, &settings.tls.client_key_file) {
            (Some(_), None) => Some(("client_cert_file", "client_key_file")),
            (None, Some(_)) => Some(("client_key_file", "client_cert_file")),
            _ => None,
        };
        if let Some((there, lacking)) = lacks
            && let Some(entry) = inner.entry(there)
        {
            let hint = Some("a client certificate is a PEM file with the certificate and one with its key".to_owned());
            inner.note_value(there, entry.span(), format!("stands without `{lacking}`"), hint);
        }
        if !settings.tls.verify
            && let Some(entry) = inner.entry("verify")
        {
            let message = format!("{} accepts any certificate; prefer `ca_file`", table.place());
            self.warn(table.document(), &entry.span(), &message);
        }
        inner.finish();
    }
}

/// An http or https address with a host and without credentials.
pub(super) fn check_url(table: &Table<'_, '_>, key: &str, found: &Located<String>, hint: &str) -> Option<Url> {
    let refuse = |what: &str| {
        table.note_value(key, found.span.clone(), what, Some(hint.to_owned()));
        None
    };
    // The address itself is not repeated: it may hold a password.
    match Url::parse(found.value.trim()) {
        Err(error) => refuse(&format!("is no address: {error}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            refuse(&format!("scheme `{}` is not supported", url.scheme()))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            refuse("holds credentials; they belong into `auth`")
        }
        Ok(url) => Some(url),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Each key is tried alone, so that one mistake does not hide the next.
fn profile_override(table: &Table<'_, '_>) -> Map<String, Value> {
    let known = match serde_json::to_value(Profile::default()) {
        Ok(Value::Object(known)) => known,
        _ => Map::new(),
    };
    let words: Vec<&str> = known.keys().map(String::as_str).collect();
    let mut layer = Map::new();
    for (key, span, value) in table.entries() {
        if !known.contains_key(key) {
            let message = format!("unknown key `{key}` in {}", table.place());
            table.document().note(span, message, Some(suggest(key, &words)));
            continue;
        }
        let entry = Map::from_iter([(key.to_owned(), to_json(value.get_ref()))]);
        match Profile::resolve(&[(Origin::Override, &entry)]) {
            Ok(_) => layer.extend(entry),
            Err(error) => {
                let reason = error.reason.strip_prefix(&format!("`{key}`: ")).unwrap_or(&error.reason);
                table.note_value(key, value.span(), reason, None);
            }
        }
    }
    layer
}

fn match_order(table: &Table<'_, '_>, settings: &mut ProviderSettings) {
    let Some(found) = table.list("match") else { return };
    let mut order: Vec<MatchAttribute> = Vec::new();
    for word in &found {
        let Some(attribute) = table.as_word("match", word, &["externalId", "userName"]) else { continue };
        if order.contains(&attribute) {
            table.note_value("match", word.span.clone(), format!("`{}` stands twice", word.value), None);
        }
        order.push(attribute);
    }
    settings.match_order = order;
}
