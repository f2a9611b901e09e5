//! What this service provider says of itself (RFC 7644 §4), from the data of the core.

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::{
    AuthenticationScheme, BulkFeature, Feature, FilterFeature, ListResponse, PaginationFeature, ResourceType,
    SCHEMA_URN, SchemaExtension, ServiceProviderConfig,
};
use scimfleet_core::scim::resource::ENTERPRISE_URN;
use scimfleet_core::scim::schema::{Mutability, Returned, Schema, SchemaSet};
use serde::Serialize;
use serde_json::{Value, json};

use super::Limits;
use super::answer::{Answer, ScimError};

/// `/ServiceProviderConfig`.
pub(super) fn config(base_url: &str, limits: &Limits) -> Answer {
    let wide = |number: i64| Some(number.unsigned_abs());
    let config = ServiceProviderConfig {
        documentation_uri: None,
        patch: Some(Feature { supported: true }),
        bulk: Some(BulkFeature {
            supported: true,
            max_operations: Some(limits.bulk_operations_max as u64),
            max_payload_size: Some(limits.body_bytes_max as u64),
        }),
        filter: Some(FilterFeature { supported: true, max_results: wide(limits.page_max) }),
        change_password: Some(Feature { supported: true }),
        sort: Some(Feature { supported: true }),
        etag: Some(Feature { supported: true }),
        pagination: Some(PaginationFeature {
            cursor: true,
            index: true,
            default_pagination_method: Some("index".to_owned()),
            default_page_size: wide(limits.page_default),
            max_page_size: wide(limits.page_max),
            cursor_timeout: None,
        }),
        authentication_schemes: vec![AuthenticationScheme {
            kind: "oauthbearertoken".to_owned(),
            name: "Bearer token".to_owned(),
            description: "A token of scope `directory`, made by `scimfleet token create`".to_owned(),
        }],
    };
    Answer::new(200, object(&config, "ServiceProviderConfig", &format!("{base_url}/ServiceProviderConfig")))
}

/// `/ResourceTypes`, or one of them.
pub(super) fn resource_types(base_url: &str, id: Option<&str>) -> Result<Answer, ScimError> {
    let all = ResourceKind::ALL.iter().map(|kind| {
        let name = kind.resource_type();
        let enterprise = SchemaExtension { schema: ENTERPRISE_URN.to_owned(), required: false };
        let resource_type = ResourceType {
            id: Some(name.to_owned()),
            name: Some(name.to_owned()),
            description: Some(format!("{name} account of the directory").replace("Group account", "Group")),
            endpoint: Some(kind.endpoint().to_owned()),
            schema: Some(kind.schema_urn().to_owned()),
            schema_extensions: if *kind == ResourceKind::User { vec![enterprise] } else { Vec::new() },
        };
        (name.to_owned(), object(&resource_type, "ResourceType", &format!("{base_url}/ResourceTypes/{name}")))
    });
    one_or_all(all.collect(), id, "the resource type")
}

/// `/Schemas`, or one of them.
pub(super) fn schemas(base_url: &str, id: Option<&str>) -> Result<Answer, ScimError> {
    let all = SchemaSet::builtin().iter().map(|schema| {
        let schema = as_kept(schema);
        let mut shown = object(&schema, "Schema", &format!("{base_url}/Schemas/{}", schema.id));
        if let Some(shown) = shown.as_object_mut() {
            shown.shift_insert(0, "schemas".to_owned(), json!([SCHEMA_URN]));
        }
        (schema.id.clone(), shown)
    });
    one_or_all(all.collect(), id, "the schema")
}

/// The schema with what this service provider decides itself: a member is called as the resource is, whatever
/// a client writes there, and only for who asks for it: it is no part of the group.
fn as_kept(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    let members = schema.attributes.iter_mut().filter(|attribute| attribute.name == "members");
    let displays = members.flat_map(|members| &mut members.sub_attributes).filter(|sub| sub.name == "display");
    for display in displays {
        (display.mutability, display.returned) = (Mutability::ReadOnly, Returned::Request);
    }
    schema
}

fn object(what: &impl Serialize, kind: &str, location: &str) -> Value {
    let mut value = serde_json::to_value(what).unwrap_or(Value::Null);
    if let Some(object) = value.as_object_mut() {
        object.insert("meta".to_owned(), json!({"resourceType": kind, "location": location}));
    }
    value
}

fn one_or_all(all: Vec<(String, Value)>, id: Option<&str>, what: &str) -> Result<Answer, ScimError> {
    if let Some(id) = id {
        let found = all.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(id));
        return found.map(|(_, one)| Answer::new(200, one)).ok_or_else(|| ScimError::not_found(what));
    }
    let resources: Vec<Document> = all
        .into_iter()
        .filter_map(|(_, one)| match one {
            Value::Object(one) => Some(one),
            _ => None,
        })
        .collect();
    let count = Some(resources.len() as u64);
    let response = ListResponse {
        resources,
        total_results: count,
        items_per_page: count,
        start_index: Some(1),
        ..ListResponse::default()
    };
    Ok(Answer::new(200, serde_json::to_value(response).unwrap_or(Value::Null)))
}
