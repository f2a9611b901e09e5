//! `/ServiceProviderConfig`, `/ResourceTypes` and `/Schemas` (RFC 7644 §4), true or not.

use scimfleet_core::scim::resource::{ENTERPRISE_URN, GROUP_URN, USER_URN};
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::attributes::schema_document;
use super::behaviour::Filtering;
use super::render::Scene;

/// Answers a discovery path, or `None` when the path is something else.
pub(crate) fn discover(scene: Scene<'_>, path: &str) -> Option<Result<Answer, Refusal>> {
    let (endpoint, id) = match path.trim_start_matches('/').split_once('/') {
        Some((endpoint, id)) => (endpoint, Some(super::uri::decode(id))),
        None => (path.trim_start_matches('/'), None),
    };
    let all = if path == scene.behaviour.config_path {
        return Some(known(scene).map(|()| Answer::scim(200, config(scene))));
    } else if endpoint == "ResourceTypes" {
        resource_types(scene)
    } else if endpoint == "Schemas" {
        schemas(scene)
    } else {
        return None;
    };
    Some(known(scene).and_then(|()| match id {
        None => Ok(Answer::scim(200, list(all))),
        Some(id) => {
            let found = all.into_iter().find(|one| one["id"].as_str() == Some(id.as_str()));
            found.map(|one| Answer::scim(200, one)).ok_or_else(|| Refusal::not_found(&format!("`{id}`")))
        }
    }))
}

fn known(scene: Scene<'_>) -> Result<(), Refusal> {
    if scene.behaviour.discovery { Ok(()) } else { Err(Refusal::not_found("endpoint")) }
}

fn list(all: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": all.len(), "startIndex": 1, "itemsPerPage": all.len(), "Resources": all,
    })
}

/// RFC 7643 §5.
fn config(scene: Scene<'_>) -> Value {
    let behaviour = scene.behaviour;
    let mut config = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": behaviour.patch },
        "bulk": {
            "supported": behaviour.bulk,
            "maxOperations": if behaviour.bulk { behaviour.bulk_operations_max } else { 0 },
            "maxPayloadSize": if behaviour.bulk { behaviour.bulk_payload_bytes_max } else { 0 },
        },
        "filter": { "supported": behaviour.filter == Filtering::Works, "maxResults": behaviour.page_size_max },
        "changePassword": { "supported": true },
        "sort": { "supported": false },
        "etag": { "supported": behaviour.etag },
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "Bearer token", "primary": true,
            "description": "A bearer token in the Authorization header (RFC 6750)",
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig", "location": format!("{}{}", scene.base, behaviour.config_path),
        },
    });
    for (name, value) in &behaviour.config {
        config[name.as_str()] = value.clone();
    }
    config
}

/// RFC 7643 §6.
fn resource_types(scene: Scene<'_>) -> Vec<Value> {
    let entry = |id: &str, endpoint: &str, urn: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": id, "name": id, "description": id, "endpoint": endpoint, "schema": urn,
            "schemaExtensions": extensions,
            "meta": { "resourceType": "ResourceType", "location": format!("{}/ResourceTypes/{id}", scene.base) },
        })
    };
    let extensions: Vec<Value> = std::iter::once(ENTERPRISE_URN)
        .chain(scene.behaviour.extra_schemas.iter().map(String::as_str))
        .map(|urn| json!({ "schema": urn, "required": false }))
        .collect();
    let mut types = vec![entry("User", "/Users", USER_URN, extensions.into())];
    if scene.behaviour.groups {
        types.push(entry("Group", "/Groups", GROUP_URN, json!([])));
    }
    types
}

fn schemas(scene: Scene<'_>) -> Vec<Value> {
    let mut all = vec![
        schema_document(scene.base, USER_URN, "User"),
        schema_document(scene.base, ENTERPRISE_URN, "EnterpriseUser"),
    ];
    if scene.behaviour.groups {
        all.push(schema_document(scene.base, GROUP_URN, "Group"));
    }
    all.extend(scene.behaviour.extra_schemas.iter().map(|urn| schema_document(scene.base, urn, "Extension")));
    all
}
