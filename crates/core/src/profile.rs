//! What a provider can and cannot do, as data. Four layers, each a JSON object, the later one winning
//! key by key: conservative default, what the provider announces, a curated profile, the operator's
//! `override`. Nothing in the code of a sync asks who the provider is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::words;

words!(
    /// How an existing resource is changed.
    Update, "update method" {
        /// PATCH with what changed (RFC 7644 §3.5.2).
        Patch = "patch",
        /// PUT with the whole (RFC 7644 §3.5.1).
        Put = "put",
    }
);

words!(
    /// How a member is taken out of a group by PATCH.
    MemberRemoval, "member removal" {
        /// `members[value eq "x"]`, one operation a member (RFC 7644 §3.5.2.2).
        ValuePath = "value-path",
        /// `path: "members"` with the list of values (Entra's way).
        ValueList = "value-list",
    }
);

words!(
    /// How groups inside groups are sent.
    NestedGroups, "nested groups" {
        /// As members of type `Group`.
        Members = "members",
        /// The users inside become members; groups are never members.
        Flatten = "flatten",
    }
);

words!(
    /// Where a value of a profile comes from.
    Origin, "origin" {
        /// Conservative, for a provider that says nothing.
        Default = "default",
        /// `/ServiceProviderConfig`, `/ResourceTypes`, `/Schemas`.
        Announced = "announced",
        /// A profile of ours for a known application.
        Curated = "curated",
        /// `[provider.override]`.
        Override = "override",
    }
);

/// The switches. Unknown keys are refused, so that a typing error in an override is not silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// How resources are changed.
    pub update: Update,
    /// Whether a POST of a group may carry members.
    pub members_in_create: bool,
    /// Members added or removed by one PATCH at the most.
    pub members_per_patch: u32,
    /// How members are removed.
    pub member_removal: MemberRemoval,
    /// Whether deleting a user takes the user out of its groups there; learned when a removal finds nobody.
    pub delete_leaves_groups: bool,
    /// How groups inside groups are sent.
    pub nested_groups: NestedGroups,
    /// Whether the provider has groups at all; without them users are sent all the same.
    pub groups: bool,
    /// Resources asked for per page of a listing.
    pub page_size: u32,
    /// Whether filters are understood (`eq` at least).
    pub filter: bool,
    /// Attributes that may stand in a filter; empty means any.
    pub filter_attributes: Vec<String>,
    /// `Content-Type` of requests with a body.
    pub content_type: String,
    /// `Accept` of requests.
    pub accept: String,
    /// Whether If-Match is understood.
    pub etag: bool,
    /// Operations in one bulk request; 0 means no bulk.
    pub bulk_operations: u32,
    /// Bytes in one bulk request.
    pub bulk_payload_bytes: u64,
    /// Whether passwords may be sent.
    pub change_password: bool,
    /// Whether DELETE of a user really deletes; where it does not, users are deactivated.
    pub delete_users: bool,
    /// Attribute paths that are never sent.
    pub drop_attributes: Vec<String>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            update: Update::Put,
            members_in_create: true,
            members_per_patch: 100,
            member_removal: MemberRemoval::ValuePath,
            delete_leaves_groups: false,
            nested_groups: NestedGroups::Members,
            groups: true,
            page_size: 100,
            filter: false,
            filter_attributes: Vec::new(),
            content_type: "application/scim+json".to_owned(),
            accept: "application/scim+json, application/json;q=0.9".to_owned(),
            etag: false,
            bulk_operations: 0,
            bulk_payload_bytes: 0,
            change_password: false,
            delete_users: true,
            drop_attributes: Vec::new(),
        }
    }
}

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
        let mut profile = Self::default();
        for (origin, layer) in layers {
            for (key, value) in *layer {
                merged.insert(key.clone(), value.clone());
                origins.insert(key.clone(), *origin);
            }
            profile = serde_json::from_value(Value::Object(merged.clone()))
                .map_err(|error| ProfileError { origin: *origin, reason: error.to_string() })?;
        }
        Ok(Resolved { profile, origins })
    }

    /// Whether `attribute eq "…"` may be asked.
    pub fn can_filter_by(&self, attribute: &str) -> bool {
        self.filter
            && (self.filter_attributes.is_empty()
                || self.filter_attributes.iter().any(|known| known.eq_ignore_ascii_case(attribute)))
    }
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
        assert!(error.to_string().starts_with("profile from override: unknown field `updat`"), "{error}");
    }
}
