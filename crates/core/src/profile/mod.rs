//! What a provider can and cannot do, as data. Five layers, each a JSON object, the later one winning
//! key by key: conservative default, what the provider announces, a curated profile, what was learned from
//! its answers, the operator's `override`. Nothing in the code of a sync asks who the provider is.

pub mod curated;
mod shape;
mod switches;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::provider::ProviderSettings;
use crate::state::words;

pub use curated::Curated;
pub use shape::shape;
pub use switches::{
    ExtensionAttributes, Lookups, MemberRemoval, MemberType, MultiValued, NestedGroups, OpCase, Paging, PatchBooleans,
    PatchPaths, Profile, Update, Way,
};

words!(
    /// Where a value of a profile comes from.
    Origin, "origin" {
        /// Conservative, for a provider that says nothing.
        Default = "default",
        /// `/ServiceProviderConfig`, `/ResourceTypes`, `/Schemas`.
        Announced = "announced",
        /// A profile of ours for a known application.
        Curated = "curated",
        /// Learned from what the provider answered.
        Remembered = "remembered",
        /// `[provider.override]`.
        Override = "override",
    }
);

/// A profile together with where each of its values comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The values in force.
    pub profile: Profile,
    /// For each key that a layer set, the layer that won. Keys not listed are defaults.
    pub origins: BTreeMap<String, Origin>,
}

/// A layer that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("profile from {origin}: {reason}")]
pub struct ProfileError {
    /// The layer.
    pub origin: Origin,
    /// The key and what is wrong with it.
    pub reason: String,
}

impl Profile {
    /// Lays `layers` over the defaults in the order given.
    pub fn resolve(layers: &[(Origin, &Map<String, Value>)]) -> Result<Resolved, ProfileError> {
        let mut merged = Map::new();
        let mut origins = BTreeMap::new();
        for (origin, layer) in layers {
            for (key, value) in *layer {
                check(key, value).map_err(|reason| ProfileError { origin: *origin, reason })?;
                merged.insert(key.clone(), value.clone());
                origins.insert(key.clone(), *origin);
            }
        }
        let profile = Self::read(merged).map_err(|reason| ProfileError { origin: Origin::Override, reason })?;
        Ok(Resolved { profile, origins })
    }

    fn read(layer: Map<String, Value>) -> Result<Self, String> {
        serde_json::from_value(Value::Object(layer)).map_err(|error| error.to_string())
    }
}

/// The profile of a provider, from what is stored of it: `announced` as its `layer` and
/// `documentation_uri`, and what was learned from its answers.
pub fn of(
    settings: &ProviderSettings,
    announced: Option<&Value>,
    remembered: &Map<String, Value>,
) -> Result<Resolved, ProfileError> {
    let empty = Map::new();
    let layer = announced.and_then(|announced| announced.get("layer")).and_then(Value::as_object).unwrap_or(&empty);
    Profile::resolve(&[
        (Origin::Announced, layer),
        (Origin::Curated, curated_of(settings, announced)?.map_or(&empty, |known| &known.switches)),
        (Origin::Remembered, remembered),
        (Origin::Override, &settings.profile_override),
    ])
}

/// The curated profile of a provider: the one that its settings name, or with `auto` the one that its base
/// URL or its announcement speaks for, if any.
pub fn curated_of(
    settings: &ProviderSettings,
    announced: Option<&Value>,
) -> Result<Option<&'static Curated>, ProfileError> {
    if settings.profile == curated::AUTO {
        let documentation = announced.and_then(|announced| announced.get("documentation_uri"));
        return Ok(curated::recognise(&settings.base_url, documentation.and_then(Value::as_str)));
    }
    curated::named(&settings.profile).map(Some).ok_or_else(|| ProfileError {
        origin: Origin::Curated,
        reason: format!("there is no profile `{}`; `auto` recognises what it can", settings.profile),
    })
}

/// Each key is tried alone, so that the mistake names it.
fn check(key: &str, value: &Value) -> Result<(), String> {
    let alone = Map::from_iter([(key.to_owned(), value.clone())]);
    let profile = Profile::read(alone).map_err(|reason| match reason.split_once(", expected one of") {
        Some((what, _)) if what.starts_with("unknown field") => format!("unknown switch `{key}`"),
        _ => format!("`{key}`: {reason}"),
    })?;
    profile.flaw().map_or(Ok(()), |(key, reason)| Err(format!("`{key}`: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn later_layers_win_and_are_named() {
        let announced = layer(r#"{"update":"patch","filter":true}"#);
        let curated = layer(r#"{"members_per_patch":20}"#);
        let own = layer(r#"{"update":"put"}"#);
        let resolved =
            Profile::resolve(&[(Origin::Announced, &announced), (Origin::Curated, &curated), (Origin::Override, &own)])
                .unwrap();
        assert_eq!(resolved.profile.update, Update::Put);
        assert_eq!(resolved.profile.members_per_patch, 20);
        assert!(resolved.profile.can_filter_by("userName"));
        assert_eq!(resolved.origins["update"], Origin::Override);
        assert_eq!(resolved.origins["filter"], Origin::Announced);
        assert!(!resolved.origins.contains_key("page_size"));
    }

    #[test]
    fn a_typing_error_names_its_layer() {
        let own = layer(r#"{"updat":"put"}"#);
        let error = Profile::resolve(&[(Origin::Override, &own)]).unwrap_err();
        assert!(error.to_string().starts_with("profile from override: unknown switch `updat`"), "{error}");
    }

    #[test]
    fn a_wrong_value_names_its_key() {
        for (key, value, words) in [
            ("update", r#""post""#, "unknown variant `post`"),
            ("members_per_patch", "-1", "expected u32"),
            ("rates", r#"{"sometimes":"5/s"}"#, "unknown class `sometimes`"),
            ("rates", r#"{"user-create":"five"}"#, "is no rate"),
            ("accept_by_method", r#"{"delete":"x"}"#, "unknown method `delete`"),
        ] {
            let own = layer(&format!(r#"{{"{key}":{value}}}"#));
            let error = Profile::resolve(&[(Origin::Curated, &own)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("profile from curated: `{key}`: ")), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_request_counts_to_every_class_that_it_belongs_to() {
        use crate::scim::ResourceKind::{Group, User};
        let own =
            layer(r#"{"rates":{"any":"9/s","read":"8/s","write":"7/s","user-create":"6/s","group-write":"5/s"}}"#);
        let profile = Profile::resolve(&[(Origin::Override, &own)]).unwrap().profile;
        let classes = |kind, action| profile.rates_of(kind, action, 500).iter().map(|one| one.0).collect::<Vec<_>>();
        assert_eq!(classes(User, "read"), ["any", "read"]);
        assert_eq!(classes(User, "create"), ["any", "user-create", "write"]);
        assert_eq!(classes(Group, "create"), ["any", "group-write", "write"]);
        assert_eq!(classes(User, "delete"), ["any", "write"]);
    }

    #[test]
    fn a_large_request_counts_to_a_class_of_its_own() {
        use crate::scim::ResourceKind::{Group, User};
        let own = layer(r#"{"rates":{"group-update":"90/m","group-update>500":"5/m"}}"#);
        let profile = Profile::resolve(&[(Origin::Override, &own)]).unwrap().profile;
        let classes = |kind, bytes| profile.rates_of(kind, "update", bytes).iter().map(|one| one.0).collect::<Vec<_>>();
        assert_eq!(classes(Group, 500), ["group-update"]);
        assert_eq!(classes(Group, 501), ["group-update", "group-update>500"]);
        assert!(classes(User, 501).is_empty() && profile.counts_bytes());
        let wrong = layer(r#"{"rates":{"group-update>many":"5/m"}}"#);
        let error = Profile::resolve(&[(Origin::Override, &wrong)]).unwrap_err().to_string();
        assert!(error.contains("unknown class `group-update>many`"), "{error}");
    }
}
