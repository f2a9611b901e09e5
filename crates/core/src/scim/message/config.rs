//! What a service provider says of itself: `/ServiceProviderConfig` (RFC 7643 §5, RFC 9865 §4) and
//! `/ResourceTypes` (RFC 7643 §6). A part that cannot be read is absent, and the others are used.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::lenient::{flag, number, objects, present, text};
use super::{Document, RESOURCE_TYPE_URN, SERVICE_PROVIDER_CONFIG_URN, UnreadableMessage, object_of};

/// A feature that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Whether it is there.
    pub supported: bool,
}

/// Bulk and its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkFeature {
    /// Whether it is there.
    pub supported: bool,
    /// Operations in one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_operations: Option<u64>,
    /// Bytes of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_payload_size: Option<u64>,
}

/// Filters and their limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterFeature {
    /// Whether they are there.
    pub supported: bool,
    /// Resources in one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_results: Option<u64>,
}

/// Ways of paging (RFC 9865 §4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaginationFeature {
    /// By cursor.
    pub cursor: bool,
    /// By index.
    pub index: bool,
    /// What is used when none is asked for: `cursor` or `index`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_pagination_method: Option<String>,
    /// Resources on a page when none is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_page_size: Option<u64>,
    /// Resources on a page at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_page_size: Option<u64>,
    /// Seconds that a cursor lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor_timeout: Option<u64>,
}

/// One way to authenticate (RFC 7643 §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthenticationScheme {
    /// `oauthbearertoken`, `httpbasic`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name for people.
    pub name: String,
    /// A text for people.
    pub description: String,
}

/// The service provider's configuration. `None`: it says nothing that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct ServiceProviderConfig {
    /// Where its handbook is.
    pub documentation_uri: Option<String>,
    /// PATCH.
    pub patch: Option<Feature>,
    /// Bulk.
    pub bulk: Option<BulkFeature>,
    /// Filters.
    pub filter: Option<FilterFeature>,
    /// Password changes.
    pub change_password: Option<Feature>,
    /// Sorting.
    pub sort: Option<Feature>,
    /// Versions.
    pub etag: Option<Feature>,
    /// Paging.
    pub pagination: Option<PaginationFeature>,
    /// Ways to authenticate.
    pub authentication_schemes: Vec<AuthenticationScheme>,
}

impl TryFrom<Value> for ServiceProviderConfig {
    type Error = UnreadableMessage;

    /// Reads any JSON object; one without a single known part is not a configuration.
    fn try_from(value: Value) -> Result<Self, UnreadableMessage> {
        let what = "service provider configuration";
        let object = object_of(value, what)?;
        let config = Self {
            documentation_uri: text(&object, "documentationUri"),
            patch: feature(&object, "patch"),
            bulk: part(&object, "bulk").and_then(read_bulk),
            filter: part(&object, "filter").and_then(read_filter),
            change_password: feature(&object, "changePassword"),
            sort: feature(&object, "sort"),
            etag: feature(&object, "etag"),
            pagination: part(&object, "pagination").map(read_pagination),
            authentication_schemes: objects(&object, "authenticationSchemes").into_iter().map(read_scheme).collect(),
        };
        let says_nothing = config == Self::default() && !super::declares(&object, SERVICE_PROVIDER_CONFIG_URN);
        if says_nothing { Err(UnreadableMessage { what, reason: "no part can be read" }) } else { Ok(config) }
    }
}

fn part<'d>(object: &'d Document, name: &str) -> Option<&'d Document> {
    present(object, name)?.as_object()
}

/// `{"supported":true}`; `true` alone is understood as well.
fn feature(object: &Document, name: &str) -> Option<Feature> {
    let supported = part(object, name).map_or_else(|| flag(object, name), |part| flag(part, "supported"));
    supported.map(|supported| Feature { supported })
}

fn read_bulk(part: &Document) -> Option<BulkFeature> {
    let (max_operations, max_payload_size) = (number(part, "maxOperations"), number(part, "maxPayloadSize"));
    flag(part, "supported").map(|supported| BulkFeature { supported, max_operations, max_payload_size })
}

fn read_filter(part: &Document) -> Option<FilterFeature> {
    flag(part, "supported").map(|supported| FilterFeature { supported, max_results: number(part, "maxResults") })
}

fn read_pagination(part: &Document) -> PaginationFeature {
    PaginationFeature {
        cursor: flag(part, "cursor").unwrap_or(false),
        index: flag(part, "index").unwrap_or(false),
        default_pagination_method: text(part, "defaultPaginationMethod"),
        default_page_size: number(part, "defaultPageSize"),
        max_page_size: number(part, "maxPageSize"),
        cursor_timeout: number(part, "cursorTimeout"),
    }
}

fn read_scheme(part: &Document) -> AuthenticationScheme {
    AuthenticationScheme {
        kind: text(part, "type").unwrap_or_default(),
        name: text(part, "name").unwrap_or_default(),
        description: text(part, "description").unwrap_or_default(),
    }
}

impl Serialize for ServiceProviderConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // "REQUIRED" each (RFC 7643 §5): what is not known here is not supported.
        let or_not = |feature: Option<Feature>| feature.unwrap_or(Feature { supported: false });
        let no_bulk = BulkFeature { supported: false, max_operations: Some(0), max_payload_size: Some(0) };
        let no_filter = FilterFeature { supported: false, max_results: Some(0) };
        let mut out = serializer.serialize_struct("ServiceProviderConfig", 10)?;
        out.serialize_field("schemas", &[SERVICE_PROVIDER_CONFIG_URN])?;
        if let Some(uri) = &self.documentation_uri {
            out.serialize_field("documentationUri", uri)?;
        }
        out.serialize_field("patch", &or_not(self.patch))?;
        out.serialize_field("bulk", &self.bulk.unwrap_or(no_bulk))?;
        out.serialize_field("filter", &self.filter.unwrap_or(no_filter))?;
        out.serialize_field("changePassword", &or_not(self.change_password))?;
        out.serialize_field("sort", &or_not(self.sort))?;
        out.serialize_field("etag", &or_not(self.etag))?;
        if let Some(pagination) = &self.pagination {
            out.serialize_field("pagination", pagination)?;
        }
        out.serialize_field("authenticationSchemes", &self.authentication_schemes)?;
        out.end()
    }
}

/// A kind of resource that the service provider has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct ResourceType {
    /// Its id, often the same as its name.
    pub id: Option<String>,
    /// `User`, `Group`, ….
    pub name: Option<String>,
    /// A text for people.
    pub description: Option<String>,
    /// Where its resources are, relative to the base URL: `/Users`.
    pub endpoint: Option<String>,
    /// The URN of its core schema.
    pub schema: Option<String>,
    /// Its extensions.
    pub schema_extensions: Vec<SchemaExtension>,
}

/// An extension of a resource type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaExtension {
    /// Its URN.
    pub schema: String,
    /// Whether every resource must have it.
    pub required: bool,
}

impl TryFrom<Value> for ResourceType {
    type Error = UnreadableMessage;

    /// Needs a name or a schema; without both there is no telling which type is meant.
    fn try_from(value: Value) -> Result<Self, UnreadableMessage> {
        let object = object_of(value, "resource type")?;
        let extension = |part: &Document| {
            let required = flag(part, "required").unwrap_or(false);
            text(part, "schema").map(|schema| SchemaExtension { schema, required })
        };
        let read = Self {
            id: text(&object, "id"),
            name: text(&object, "name"),
            description: text(&object, "description"),
            endpoint: text(&object, "endpoint"),
            schema: text(&object, "schema"),
            schema_extensions: objects(&object, "schemaExtensions").into_iter().filter_map(extension).collect(),
        };
        if read.name.is_none() && read.schema.is_none() {
            return Err(UnreadableMessage { what: "resource type", reason: "neither `name` nor `schema`" });
        }
        Ok(read)
    }
}

impl Serialize for ResourceType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ResourceType", 7)?;
        out.serialize_field("schemas", &[RESOURCE_TYPE_URN])?;
        let texts = [
            ("id", &self.id),
            ("name", &self.name),
            ("description", &self.description),
            ("endpoint", &self.endpoint),
            ("schema", &self.schema),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                out.serialize_field(name, value)?;
            }
        }
        if !self.schema_extensions.is_empty() {
            out.serialize_field("schemaExtensions", &self.schema_extensions)?;
        }
        out.end()
    }
}
