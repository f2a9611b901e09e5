//! Providers and mappings that come by other ways than a file: they pass the same checks, and a mapping can be
//! written as the table that a fleet file holds.

use scimfleet_core::ProviderName;
use scimfleet_core::provider::{MappingText, ProviderSettings};
use serde_json::{Map, Value};
use url::Url;

use super::{Fleet, FleetContext, FleetErrors, FleetProvider};
use crate::mistake::{Mistake, Mistakes};

/// What messages call it.
const PLACE: &str = "request";

/// A provider from the keys of its `[[provider]]` table, as JSON. Secrets are never read from this machine's
/// environment or files here: whoever asks is not on this machine.
///
/// # Errors
/// Every mistake that a fleet file with this table would have.
pub fn provider_from_json(
    name: &ProviderName,
    mut table: Map<String, Value>,
    context: &FleetContext,
) -> Result<FleetProvider, FleetErrors> {
    if names_a_source(&Value::Object(table.clone())) {
        return Err(refuse("secrets are given as `{ \"value\": \"…\" }` here, or by `set-token`"));
    }
    if table.get("name").is_some_and(|given| given != name.as_str()) {
        return Err(refuse("`name` differs from the name in the address"));
    }
    table.insert("name".to_owned(), Value::from(name.as_str()));
    let text = toml_of(&Value::from(Map::from_iter([("provider".to_owned(), Value::from(vec![table]))])))?;
    let context = FleetContext { environment: Default::default(), ..context.clone() };
    let fleet = Fleet::parse(PLACE, &text, &context)?;
    fleet.providers.into_iter().next().ok_or_else(|| refuse("there is no provider in it"))
}

/// `{ env = … }` and `{ file = … }` below `auth`.
fn names_a_source(table: &Value) -> bool {
    let secrets = table.get("auth").and_then(Value::as_object).into_iter().flat_map(Map::values);
    secrets.filter_map(Value::as_object).any(|secret| secret.contains_key("env") || secret.contains_key("file"))
}

/// Checks a mapping's name and kind as a fleet file would.
///
/// # Errors
/// What the file would be refused for.
pub fn check_mapping(mapping: &MappingText) -> Result<(), FleetErrors> {
    Fleet::parse(PLACE, &mapping_toml(mapping), &FleetContext::default()).map(drop)
}

/// The `[[mapping]]` table of a fleet file.
pub fn mapping_toml(mapping: &MappingText) -> String {
    let value = |text: &str| toml::Value::from(text).to_string();
    // A literal text keeps backslashes as they are; one that holds its own end is written with escapes.
    let expression = match &mapping.expression {
        text if text.contains("'''") || text.contains('\r') => value(text),
        text => format!("'''\n{}{}'''", text, if text.ends_with('\n') { "" } else { "\n" }),
    };
    let (name, kind) = (value(&mapping.name), mapping.resource.as_str());
    format!("[[mapping]]\nname = {name}\nresource = \"{kind}\"\nexpression = {expression}\n")
}

/// Whether other settings lead to another host: accounts there are not the ones that links know (R35).
pub fn leads_elsewhere(before: &ProviderSettings, after: &ProviderSettings) -> bool {
    let host = |settings: &ProviderSettings| {
        let url = Url::parse(&settings.base_url).ok()?;
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    };
    host(before) != host(after)
}

fn toml_of(value: &Value) -> Result<String, FleetErrors> {
    let table = toml::Value::try_from(without_nulls(value)).map_err(|error| refuse(&error.to_string()))?;
    toml::to_string(&table).map_err(|error| refuse(&error.to_string()))
}

/// TOML has no null; an absent key means the same.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn refuse(what: &str) -> FleetErrors {
    Mistakes::from(Mistake::in_whole(PLACE.to_owned(), what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scimfleet_core::ResourceKind;
    use serde_json::json;

    fn read(table: Value) -> Result<FleetProvider, String> {
        let name = ProviderName::parse("acme").unwrap();
        let Value::Object(table) = table else { panic!("an object") };
        provider_from_json(&name, table, &FleetContext::default()).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn settings_come_back_as_they_went() {
        let mut settings = ProviderSettings::new(ProviderName::parse("acme").unwrap(), "https://acme.example/v2");
        settings.in_flight = 3;
        settings.scope.members_of = vec!["Staff".to_owned()];
        settings.profile_override.insert("groups".to_owned(), json!(false));
        let read = read(serde_json::to_value(&settings).unwrap()).unwrap();
        assert_eq!(read.settings, settings);
        assert!(read.secret.is_none());
    }

    #[test]
    fn nothing_of_this_machine_is_read() {
        for source in [json!({ "env": "HOME" }), json!({ "file": "/etc/hostname" })] {
            let table = json!({ "base_url": "https://a.example/v2", "auth": { "kind": "bearer", "token": source } });
            assert!(read(table).unwrap_err().contains("set-token"));
        }
        let table = json!({ "base_url": "https://a.example/v2",
            "auth": { "kind": "bearer", "token": { "value": "canary" } } });
        assert!(read(table).unwrap().secret.is_some());
    }

    #[test]
    fn mistakes_are_those_of_a_file() {
        let words = read(json!({ "base_url": "nowhere", "in_flihgt": 3, "on_invalid": null })).unwrap_err();
        assert!(words.contains("base_url") && words.contains("in_flight"), "{words}");
    }

    #[test]
    fn a_mapping_survives_the_way_through_a_file() {
        for expression in ["return {\"a\": \"\\\\d\"}", "return None\n", "return '''x'''", "\n\nif 1:\n\treturn {}\n"] {
            let resource = ResourceKind::User;
            let mapping = MappingText { name: "50-a \"b\"".to_owned(), resource, expression: expression.to_owned() };
            let read = Fleet::parse("f", &mapping_toml(&mapping), &FleetContext::default()).unwrap();
            assert_eq!(read.mappings[0].expression.trim_end(), expression.trim_end());
            assert_eq!(read.mappings[0].name, mapping.name);
        }
        let built_in = MappingText {
            name: "10-user-default".to_owned(),
            resource: ResourceKind::User,
            expression: "return {}".to_owned(),
        };
        assert!(check_mapping(&built_in).is_err());
    }
}
