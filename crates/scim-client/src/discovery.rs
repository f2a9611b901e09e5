//! What a provider announces of itself (RFC 7644 §4), read part by part: a partly broken announcement
//! is used for the parts that parse and never thrown away whole.

use reqwest::Method;
use scimfleet_core::profile::Profile;
use scimfleet_core::retry::Class;
use scimfleet_core::scim::ResourceKind;
use scimfleet_core::scim::message::{ListResponse, ResourceType, ServiceProviderConfig};
use scimfleet_core::scim::schema::Schema;
use serde_json::{Map, Value, json};

use crate::client::{RequestContext, ScimClient};
use crate::error::ScimError;
use crate::transport::{Reply, Request};

/// What one bulk request may hold when the provider says that it has bulk but not how much: the size
/// that RFC 7643 §8.5 uses as its example.
const BULK_BYTES_FALLBACK: u64 = 1_048_576;

/// What was found out about a provider.
#[derive(Debug, Default)]
pub struct Discovery {
    /// `/ServiceProviderConfig`, as far as it was readable.
    pub config: Option<ServiceProviderConfig>,
    /// `/ResourceTypes`.
    pub resource_types: Vec<ResourceType>,
    /// `/Schemas`.
    pub schemas: Vec<Schema>,
    /// Whether `/Schemas` was read whole: then a URN that is not there is unknown to the provider.
    pub schemas_complete: bool,
    /// What was missing or broken, for people.
    pub notes: Vec<String>,
    /// The `announced` layer for [`Profile::resolve`].
    pub layer: Map<String, Value>,
    /// Set when the provider could not even be asked. The rest is then empty, which says nothing about it.
    pub unreachable: Option<ScimError>,
}

impl ScimClient {
    /// Asks the provider what it can do: three requests, or up to five where something is missing.
    pub async fn discover(&self, context: &RequestContext) -> Discovery {
        let mut found = Discovery::default();
        match self.read_config(&mut found, context).await {
            Ok(Some(config)) => announce(&config, &mut found),
            Ok(None) => {}
            Err(error) => {
                found.unreachable = Some(error);
                return found;
            }
        }
        let (types, schemas) =
            tokio::join!(self.metadata("/ResourceTypes", context), self.metadata("/Schemas", context));
        let has_groups = self.read_resource_types(types, &mut found);
        read_schemas(schemas, &mut found);
        let has_groups = match has_groups {
            Some(known) => Some(known),
            None => self.probe_groups(&mut found, context).await,
        };
        if let Some(has_groups) = has_groups {
            found.layer.insert("groups".to_owned(), json!(has_groups));
        }
        found
    }

    async fn metadata(&self, path: &str, context: &RequestContext) -> Result<Reply, ScimError> {
        self.transport.send(Request::new(Method::GET, path.to_owned(), context.traceparent.as_deref())).await
    }

    /// The configuration, `None` where there is none that can be read, or why nothing can be asked.
    async fn read_config(
        &self,
        found: &mut Discovery,
        context: &RequestContext,
    ) -> Result<Option<ServiceProviderConfig>, ScimError> {
        let own = self.profile().config_path.as_str();
        // Salesforce has it in the plural.
        let usual = ["/ServiceProviderConfig", "/ServiceProviderConfigs"];
        let paths = if own.is_empty() { usual.to_vec() } else { vec![own] };
        for path in paths {
            match self.metadata(path, context).await {
                Ok(reply) => match reply.value.map(only_one).map(ServiceProviderConfig::try_from) {
                    Some(Ok(config)) => return Ok(Some(config)),
                    Some(Err(error)) => found.notes.push(format!("{path}: {error}")),
                    None => found.notes.push(format!("{path}: the answer is empty")),
                },
                Err(error) if says_nothing_there(&error) => found.notes.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether there are groups, if the announcement tells.
    fn read_resource_types(&self, reply: Result<Reply, ScimError>, found: &mut Discovery) -> Option<bool> {
        let (items, whole) = items_of("/ResourceTypes", reply, found)?;
        let announced = items.len();
        found.resource_types = items.into_iter().filter_map(|item| ResourceType::try_from(item).ok()).collect();
        for kind in [ResourceKind::User, ResourceKind::Group] {
            let own = found.resource_types.iter().find(|known| is_of(known, kind));
            let endpoint = own.and_then(|known| known.endpoint.as_deref()).map(|path| path.trim_end_matches('/'));
            if let Some(endpoint) = endpoint.filter(|path| !path.ends_with(kind.endpoint())) {
                let expected = kind.endpoint();
                found
                    .notes
                    .push(format!("/ResourceTypes: {kind} is at `{endpoint}`; `{expected}` is used all the same"));
            }
        }
        let has_groups = found.resource_types.iter().any(|known| is_of(known, ResourceKind::Group));
        let has_users = found.resource_types.iter().any(|known| is_of(known, ResourceKind::User));
        // A list that is cut, or lacks even users, is not believed to be all.
        let is_telling = has_groups || (whole && has_users && found.resource_types.len() == announced);
        is_telling.then_some(has_groups)
    }

    /// Asks for a group, where nothing else tells whether there are any.
    async fn probe_groups(&self, found: &mut Discovery, context: &RequestContext) -> Option<bool> {
        let path = ResourceKind::Group.endpoint().to_owned();
        let mut request = Request::new(Method::GET, path, context.traceparent.as_deref());
        request.query = vec![("count", "1".to_owned())];
        match self.transport.send(request).await {
            Ok(reply) => reply.value.is_some_and(|value| ListResponse::try_from(value).is_ok()).then_some(true),
            Err(error) if error.is_believable_not_found() => Some(false),
            Err(error) => {
                found.notes.push(error.to_string());
                None
            }
        }
    }
}

/// The provider was reached and has no such page, or not a sane one. 403 counts: some tokens may write
/// users but not read the configuration.
fn says_nothing_there(error: &ScimError) -> bool {
    match error {
        ScimError::Refused { .. } => {
            matches!(error.class(), Class::Gone | Class::Permanent | Class::Unsupported | Class::Refused)
        }
        ScimError::Malformed { .. } | ScimError::TooLarge { .. } => true,
        _ => false,
    }
}

/// The object itself, also where it comes as a list of one.
fn only_one(value: Value) -> Value {
    let first = match &value {
        Value::Array(items) => items.first(),
        Value::Object(object) => object.get("Resources").and_then(|items| items.get(0)),
        _ => None,
    };
    first.cloned().unwrap_or(value)
}

/// The elements of a list response or a bare array, and whether they are all.
fn items_of(path: &str, reply: Result<Reply, ScimError>, found: &mut Discovery) -> Option<(Vec<Value>, bool)> {
    let value = match reply {
        Ok(reply) => reply.value.unwrap_or(Value::Null),
        Err(error) => {
            found.notes.push(error.to_string());
            return None;
        }
    };
    if let Value::Array(items) = value {
        found.notes.push(format!("{path}: a bare array instead of a list response"));
        return Some((items, true));
    }
    match ListResponse::try_from(value) {
        Ok(list) => {
            let count = list.resources.len() as u64;
            let whole = list.unreadable == 0 && list.total_results.is_none_or(|total| total <= count);
            if !whole {
                let total = list.total_results.unwrap_or(count);
                found.notes.push(format!("{path}: {count} of {total} elements are readable"));
            }
            Some((list.resources.into_iter().map(Value::Object).collect(), whole))
        }
        Err(error) => {
            found.notes.push(format!("{path}: {error}"));
            None
        }
    }
}

fn is_of(known: &ResourceType, kind: ResourceKind) -> bool {
    let is = |field: &Option<String>, word: &str| field.as_ref().is_some_and(|text| text.eq_ignore_ascii_case(word));
    is(&known.schema, kind.schema_urn()) || is(&known.name, kind.resource_type()) || is(&known.id, kind.resource_type())
}

fn read_schemas(reply: Result<Reply, ScimError>, found: &mut Discovery) {
    let Some((items, whole)) = items_of("/Schemas", reply, found) else { return };
    let mut unreadable = 0;
    for item in items {
        match Schema::try_from(item) {
            Ok(schema) => found.schemas.push(schema),
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        found.notes.push(format!("/Schemas: {unreadable} schemas have no readable `id`"));
    }
    found.schemas_complete = whole && unreadable == 0 && !found.schemas.is_empty();
}

/// Turns a configuration into the announced layer. What it does not say stays out, so that the default
/// holds.
fn announce(config: &ServiceProviderConfig, found: &mut Discovery) {
    let mut set = |key: &str, value: Value| found.layer.insert(key.to_owned(), value);
    if let Some(patch) = config.patch {
        set("update", json!(if patch.supported { "patch" } else { "put" }));
    }
    if let Some(filter) = config.filter {
        set("filter", json!(filter.supported));
    }
    if let Some(etag) = config.etag {
        set("etag", json!(etag.supported));
    }
    if let Some(change_password) = config.change_password {
        set("change_password", json!(change_password.supported));
    }
    let filter_max = config.filter.and_then(|filter| filter.max_results);
    if let Some(pagination) = config.pagination.as_ref().filter(|known| known.cursor) {
        set("paging", json!(if pagination.index { "index" } else { "cursor" }));
    }
    let page_max = config.pagination.as_ref().and_then(|pagination| pagination.max_page_size);
    // 0 is what frameworks write when nobody filled it in; a page of nothing helps nobody.
    if let Some(limit) = [filter_max, page_max].into_iter().flatten().filter(|limit| *limit > 0).min() {
        set("page_size", json!(limit.min(u64::from(Profile::default().page_size))));
    }
    announce_bulk(config, found);
    note_missing(config, found);
    found.config = Some(config.clone());
}

fn announce_bulk(config: &ServiceProviderConfig, found: &mut Discovery) {
    let Some(bulk) = config.bulk else { return };
    let operations = match bulk.max_operations {
        _ if !bulk.supported => 0,
        Some(operations) => u32::try_from(operations).unwrap_or(u32::MAX),
        None => {
            found.notes.push("/ServiceProviderConfig: `bulk` has no `maxOperations`, so bulk is not used".to_owned());
            0
        }
    };
    let bytes = match bulk.max_payload_size {
        _ if operations == 0 => 0,
        Some(bytes) if bytes > 0 => bytes,
        _ => BULK_BYTES_FALLBACK,
    };
    found.layer.insert("bulk_operations".to_owned(), json!(operations));
    found.layer.insert("bulk_payload_bytes".to_owned(), json!(bytes));
}

fn note_missing(config: &ServiceProviderConfig, found: &mut Discovery) {
    let parts = [
        ("patch", config.patch.is_none()),
        ("bulk", config.bulk.is_none()),
        ("filter", config.filter.is_none()),
        ("changePassword", config.change_password.is_none()),
        ("etag", config.etag.is_none()),
    ];
    for (name, _) in parts.iter().filter(|(_, is_missing)| *is_missing) {
        found.notes.push(format!("/ServiceProviderConfig: `{name}` is missing or unreadable, the default holds"));
    }
}
