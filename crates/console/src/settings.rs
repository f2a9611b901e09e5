//! A provider's settings and profile as a person reads them: each value with where it comes from, and never a
//! secret.

use scimfleet_core::profile::{Origin, Profile};
use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::scim::Document;
use scimfleet_runtime::ServiceUrl;
use scimfleet_store::ProviderRow;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Setting {
    /// Its key.
    pub(crate) key: String,
    /// As JSON.
    pub(crate) value: Value,
    /// `default`, `announced`, `curated` or `override`; of a setting `default` or `fleet`.
    pub(crate) origin: String,
}

/// An address without the password that somebody may have written into it.
pub(crate) fn without_credentials(url: &str) -> String {
    ServiceUrl::new(url).to_string()
}

/// What the operator decided, as JSON. Secrets are not part of settings; a password in an address is hidden.
pub(crate) fn settings_json(settings: &ProviderSettings) -> Map<String, Value> {
    let mut shown = match serde_json::to_value(settings) {
        Ok(Value::Object(shown)) => shown,
        _ => Map::new(),
    };
    hide_passwords(shown.get_mut("base_url"));
    hide_passwords(shown.get_mut("auth").and_then(|auth| auth.get_mut("token_url")));
    shown
}

fn hide_passwords(value: Option<&mut Value>) {
    if let Some(Value::String(url)) = value {
        *url = without_credentials(url);
    }
}

/// The settings one by one; those that differ from the default come from the fleet file.
pub(crate) fn settings(settings: &ProviderSettings) -> Vec<Setting> {
    let defaults = settings_json(&ProviderSettings::new(settings.name.clone(), String::new()));
    settings_json(settings)
        .into_iter()
        .filter(|(key, _)| key != "name")
        .map(|(key, value)| {
            let origin = if defaults.get(&key) == Some(&value) { "default" } else { "fleet" };
            Setting { key, value, origin: origin.to_owned() }
        })
        .collect()
}

/// A resource's attributes as people may see them: a password that stands there by mistake is covered.
pub(crate) fn document(attributes: &Document) -> String {
    let shown = cover(&Value::Object(attributes.clone()));
    let mut text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    if text.len() > DOCUMENT_BYTES_MAX {
        let end = text.floor_char_boundary(DOCUMENT_BYTES_MAX);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A document shown on a page; a longer one is cut.
const DOCUMENT_BYTES_MAX: usize = 20_000;

/// Words in the name of an attribute that may hold a secret.
const SECRET_WORDS: [&str; 4] = ["password", "secret", "token", "credential"];

/// The same value with `•••` for what may be a secret.
pub(crate) fn cover(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, value)| (key.clone(), covered(key, value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(cover).collect()),
        other => other.clone(),
    }
}

fn covered(key: &str, value: &Value) -> Value {
    if is_secret(key) { Value::from("•••") } else { cover(value) }
}

/// Whether an attribute of this name may hold a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// The profile in force, each value with the layer that won; empty when the layers do not fit together.
pub(crate) fn profile(row: &ProviderRow) -> Vec<Setting> {
    let empty = Map::new();
    let announced = row.announced.as_ref().and_then(|stored| stored.get("layer")).and_then(Value::as_object);
    let layers = [
        (Origin::Announced, announced.unwrap_or(&empty)),
        (Origin::Announced, &row.remembered),
        (Origin::Override, &row.settings.profile_override),
    ];
    let Ok(resolved) = Profile::resolve(&layers) else { return Vec::new() };
    let Ok(Value::Object(values)) = serde_json::to_value(&resolved.profile) else { return Vec::new() };
    values
        .into_iter()
        .map(|(key, value)| {
            let origin = resolved.origins.get(&key).copied().unwrap_or(Origin::Default);
            Setting { key, value, origin: origin.to_string() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use scimfleet_core::ProviderName;

    #[test]
    fn a_password_in_an_address_is_hidden_and_origins_are_told() {
        let mut own = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://me:canary@acme.example/v2");
        own.in_flight = 3;
        let shown = settings(&own);
        let of = |key: &str| shown.iter().find(|setting| setting.key == key).unwrap();
        assert!(!serde_json::to_string(&shown).unwrap().contains("canary"));
        assert_eq!((of("in_flight").origin.as_str(), of("bulk").origin.as_str()), ("fleet", "default"));
    }
}
