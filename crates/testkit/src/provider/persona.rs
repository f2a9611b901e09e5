//! Service providers that behave as known applications do, and refuse what those refuse: one for each curated
//! profile, made of nothing but switches.

use serde_json::{Value, json};

use super::behaviour::Behaviour;

/// The behaviour of an application; `None` for a name that stands for none.
pub fn persona(name: &str) -> Option<Behaviour> {
    serde_json::from_value(habits(name)?).ok()
}

/// What differs from a provider that does everything RFC 7643 and RFC 7644 ask for.
fn habits(name: &str) -> Option<Value> {
    let no_bulk = json!({"bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0}});
    let interop = json!({"op_case": "lower", "patch_paths": "required", "user_agent_required": true,
        "filter_eq_and_only": true, "members_per_patch_max": 50});
    let dialects = dialect(name);
    if dialects.is_some() {
        return dialects;
    }
    Some(match name {
        "interop" => interop,
        "rfc-strict" => json!({"op_case": "lower"}),
        "aws" => {
            json!({"bulk": false, "config": no_bulk, "etag": false, "user_agent_required": true, "members_replace": false,
            "members_per_patch_max": 100, "members_per_create_max": 100, "members_returned": "absent",
            "group_patch_attributes": ["displayName", "members", "externalId"], "filter_eq_and_only": true,
            "filter_attributes": ["userName", "externalId", "displayName", "id", "members.value"],
            "single_valued": ["emails", "phoneNumbers", "addresses"], "paging": "cursor", "page_size_max": 100,
            "attributes_required": ["displayName", "name.givenName", "name.familyName"],
            "characters_refused": "\t\n\r<>;:%", "nested_groups": false})
        }
        "slack" => json!({"user_name_length_max": 20, "delete_users": "deactivate", "nested_groups": false,
            "filter_attributes": ["userName", "email", "displayName"],
            "rates": {"POST /Users": {"per_second": 3.0, "burst": 20}, "PATCH /Users": {"per_second": 3.0, "burst": 20},
                "DELETE /Users": {"per_second": 3.0, "burst": 20}, "GET": {"per_second": 16.0, "burst": 100}}}),
        "github" => json!({"user_agent_required": true, "nested_groups": false, "members_per_patch_max": 1000,
            "rates": {"POST /Users": {"per_second": 0.28, "burst": 110}}}),
        "gitlab" => json!({"put": false, "id": "external-id", "filter_attributes": ["externalId", "userName", "id"]}),
        "salesforce" => {
            json!({"config_path": "/ServiceProviderConfigs", "delete_users": "refused", "nested_groups": false})
        }
        "zoom" => json!({"content_type_required": "application/scim+json", "nested_groups": false}),
        "atlassian" => json!({"group_renames_ignored": true, "nested_groups": false}),
        "databricks" => json!({"config": {"filter": {"supported": false}}, "paging": "index"}),
        "snowflake" => json!({"listing_is_made_up": true, "filter_attributes": ["userName", "displayName"],
            "foreign_filter_is_empty": true, "nested_groups": false}),
        "dropbox" => json!({"nested_groups": false, "deactivating_deletes": true}),
        "webex" => json!({"member_type_required": "user", "filter_attributes": ["userName"]}),
        "google" => json!({"put": false, "put_refused_status": 404, "bulk": false, "etag": false, "config": no_bulk}),
        "entra" => json!({"put": false, "paging": "cursor", "filter_eq_and_only": true, "delete_refuses_json": true,
            "members_returned": "absent", "members_in_create": "refused", "members_per_patch_max": 20,
            "members_removed_per_patch_max": 1, "removing_non_member_is_404": true}),
        "miro" => json!({"members_per_patch_max": 8000, "nested_groups": false,
            "rates": {"PATCH /Groups": {"per_second": 3.33, "burst": 100}, "DELETE": {"per_second": 0.67, "burst": 20},
                "PATCH /Groups>500": {"per_second": 0.17, "burst": 5}}}),
        "jfrog" => json!({"group_patch_attributes": ["members"], "id": "name", "nested_groups": false}),
        "bitwarden" => json!({"list_key": "resources", "nested_groups": false}),
        "vcenter" => {
            json!({"put_needs_id": true, "patch": false, "config": {"patch": {"supported": false}}, "nested_groups": false})
        }
        "passbolt" => json!({"groups": false}),
        "hashicorp" => json!({"unique_group_names": true, "nested_groups": false}),
        "peakon" => json!({"nested_groups": false, "rate": {"per_second": 7.0, "burst": 600}}),
        "zscaler" => json!({"nested_groups": false, "rate": {"per_second": 5.0, "burst": 40}}),
        "deel" => json!({"rate": {"per_second": 5.0, "burst": 40}}),
        _ => return None,
    })
}

/// Targets that were built against what one client sends.
fn dialect(name: &str) -> Option<Value> {
    Some(match name {
        "entra-legacy" => json!({"op_case": "capitalised", "booleans_as_text": true, "member_removal": "value-list"}),
        "okta" => json!({"patch_paths": "pathless-attributes", "config": {"patch": {"supported": true}}}),
        "django-scim2" => {
            json!({"member_removal": "value-list", "members_in_create": "ignored", "put_ignores_members": true,
            "group_patch_attributes": ["members"], "nested_groups": false, "filter": "empty",
            "config": {"filter": {"supported": false}}})
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use scimfleet_core::profile::curated;

    use super::*;

    #[test]
    fn every_curated_profile_has_somebody_to_be_tried_on() {
        for profile in curated::all() {
            assert!(habits(profile.name).is_some(), "no persona for `{}`", profile.name);
            let read = serde_json::from_value::<Behaviour>(habits(profile.name).unwrap());
            assert!(read.is_ok(), "{}: {}", profile.name, read.unwrap_err());
        }
        assert!(persona("nobody").is_none());
    }
}
