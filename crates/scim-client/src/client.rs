//! The requests of RFC 7644 §3, one method each.

use std::fmt;
use std::sync::Arc;

use reqwest::Method;
use scimfleet_core::plan::spoken;
use scimfleet_core::profile::Profile;
use scimfleet_core::scim::message::{ListResponse, PATCH_OP_URN, PatchOperation};
use scimfleet_core::scim::path::member;
use scimfleet_core::scim::{Document, ResourceKind};
use scimfleet_core::{ProviderName, RemoteId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Found, tidy};
use crate::config::{ClientConfig, ConfigError, Limits};
use crate::error::{Asked, ScimError};
use crate::filter;
use crate::listing::{ListPosition, Page};
use crate::transport::{Reply, Request, Transport, malformed, percent_encode, unsendable};

/// Candidates asked for by a look-up. One is expected; a provider that ignores the filter shall not
/// answer with its whole directory.
const CANDIDATES_MAX: u32 = 100;

/// What travels with a request besides its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestContext {
    /// The W3C trace context, from the directory write to the provider's log.
    pub traceparent: Option<String>,
}

/// Which attributes a listing shall show (RFC 7644 §3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Projection<'a> {
    /// What the provider returns by default.
    #[default]
    Default,
    /// These only, separated by commas; `id` comes always.
    Only(&'a str),
    /// All but these, separated by commas.
    Except(&'a str),
}

/// Speaks SCIM 2.0 to one service provider. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct ScimClient {
    pub(crate) transport: Arc<Transport>,
    profile: Arc<Profile>,
}

impl fmt::Debug for ScimClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ScimClient").field("provider", self.transport.provider()).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct PatchRequest<'a> {
    schemas: [&'static str; 1],
    #[serde(rename = "Operations")]
    operations: &'a [Value],
}

impl ScimClient {
    /// Checks the configuration; connects to nothing.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let transport = Arc::new(Transport::new(&config)?);
        Ok(Self { transport, profile: Arc::new(config.profile) })
    }

    /// The operator's name for the provider.
    pub fn provider(&self) -> &ProviderName {
        self.transport.provider()
    }

    /// What the provider can do, as this client was told.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.transport.limits()
    }

    /// POST (RFC 7644 §3.3). The id may be missing in the answer; then the resource must be looked up.
    pub async fn create(
        &self,
        kind: ResourceKind,
        document: &Document,
        context: &RequestContext,
    ) -> Result<Answer, ScimError> {
        let mut request = Request::new(Method::POST, kind.endpoint().to_owned(), context.traceparent.as_deref());
        self.attach(&mut request, document)?;
        request.secrets = secrets_in(document);
        self.write(kind, request).await
    }

    /// PUT (RFC 7644 §3.5.1).
    pub async fn replace(
        &self,
        kind: ResourceKind,
        id: &RemoteId,
        document: &Document,
        if_match: Option<&str>,
        context: &RequestContext,
    ) -> Result<Answer, ScimError> {
        let mut request = self.about(Method::PUT, kind, id, context)?;
        if self.profile.put_with_id {
            let mut document = document.clone();
            document.insert("id".to_owned(), Value::from(id.as_str()));
            self.attach(&mut request, &document)?;
        } else {
            self.attach(&mut request, document)?;
        }
        request.if_match = if_match;
        request.secrets = secrets_in(document);
        self.write(kind, request).await
    }

    /// PATCH (RFC 7644 §3.5.2).
    pub async fn patch(
        &self,
        kind: ResourceKind,
        id: &RemoteId,
        operations: &[PatchOperation],
        if_match: Option<&str>,
        context: &RequestContext,
    ) -> Result<Answer, ScimError> {
        let mut request = self.about(Method::PATCH, kind, id, context)?;
        let operations_spoken = spoken(operations, &self.profile);
        self.attach(&mut request, &PatchRequest { schemas: [PATCH_OP_URN], operations: &operations_spoken })?;
        request.if_match = if_match;
        request.secrets = secrets_in_operations(operations);
        self.write(kind, request).await
    }

    /// DELETE (RFC 7644 §3.6). A 404 is an error here; whether it is believed is the caller's (R30).
    pub async fn delete(
        &self,
        kind: ResourceKind,
        id: &RemoteId,
        if_match: Option<&str>,
        context: &RequestContext,
    ) -> Result<Answer, ScimError> {
        let mut request = self.about(Method::DELETE, kind, id, context)?;
        request.if_match = if_match;
        self.transport.send(request).await.map(|reply| Answer::of(kind, reply))
    }

    /// GET of one resource (RFC 7644 §3.4.1). Success means that the provider showed a resource with an id.
    pub async fn get(&self, kind: ResourceKind, id: &RemoteId, context: &RequestContext) -> Result<Answer, ScimError> {
        let request = self.about(Method::GET, kind, id, context)?;
        let asked = self.transport.asked(&request.method, &request.path);
        let answer = Answer::of(kind, self.transport.send(request).await?);
        // A health page in JSON is no proof that the account exists.
        let shown = answer.document.as_ref().and_then(|document| member(document, "id"));
        if shown.is_none() { Err(malformed(&asked, answer.status, "no resource in it")) } else { Ok(answer) }
    }

    /// Looks resources up by `attribute eq "value"` (RFC 7644 §3.4.2.2). Candidates are checked against
    /// what was asked. Members of groups are not asked for: a group is recognised by its name.
    pub async fn find(
        &self,
        kind: ResourceKind,
        attribute: &str,
        value: &str,
        context: &RequestContext,
    ) -> Result<Found, ScimError> {
        let mut request = Request::new(Method::GET, kind.endpoint().to_owned(), context.traceparent.as_deref());
        let asked = self.transport.asked(&request.method, &request.path);
        let filter = filter::equals(attribute, value)
            .ok_or_else(|| unsendable(&asked, format!("`{attribute}` is no attribute path")))?;
        request.query.push(("filter", filter));
        request.query.push(("count", self.profile.page_size.clamp(1, CANDIDATES_MAX).to_string()));
        if kind == ResourceKind::Group {
            request.query.push(("excludedAttributes", "members".to_owned()));
        }
        let list = read_list(&asked, self.transport.send(request).await?)?;
        let delivered = list.resources.len() + list.unreadable;
        let more = list.next_cursor.is_some() || list.total_results.is_some_and(|total| total > delivered as u64);
        let resources: Vec<Document> =
            list.resources.into_iter().filter(|found| filter::holds(found, attribute, value)).map(tidy).collect();
        Ok(Found { refused: delivered - resources.len(), more, resources })
    }

    /// One page of a listing (RFC 7644 §3.4.2.4; RFC 9865 where the provider hands out cursors). Whether
    /// the listing as a whole is complete is told by [`crate::Lister`].
    pub async fn list(
        &self,
        kind: ResourceKind,
        position: &ListPosition,
        projection: Projection<'_>,
        context: &RequestContext,
    ) -> Result<Page, ScimError> {
        let list = self.ask_list(kind, position, projection, context).await?;
        Ok(Page::new(position, list, u64::from(self.page_size()), self.limits(), None))
    }

    /// Resources asked for per page.
    pub(crate) fn page_size(&self) -> u32 {
        self.profile.page_size.max(1)
    }

    pub(crate) async fn ask_list(
        &self,
        kind: ResourceKind,
        position: &ListPosition,
        projection: Projection<'_>,
        context: &RequestContext,
    ) -> Result<ListResponse, ScimError> {
        let mut request = Request::new(Method::GET, kind.endpoint().to_owned(), context.traceparent.as_deref());
        let asked = self.transport.asked(&request.method, &request.path);
        request.query = position.query(self.page_size());
        match projection {
            Projection::Default => {}
            Projection::Only(names) => request.query.push(("attributes", names.to_owned())),
            Projection::Except(names) => request.query.push(("excludedAttributes", names.to_owned())),
        }
        read_list(&asked, self.transport.send(request).await?)
    }

    /// A request about one resource.
    fn about<'a>(
        &self,
        method: Method,
        kind: ResourceKind,
        id: &RemoteId,
        context: &'a RequestContext,
    ) -> Result<Request<'a>, ScimError> {
        match resource_path(kind, id) {
            Some(path) => Ok(Request::new(method, path, context.traceparent.as_deref())),
            None => {
                let asked = self.transport.asked(&method, kind.endpoint());
                Err(unsendable(&asked, "an id of dots cannot stand in a URL".to_owned()))
            }
        }
    }

    async fn write(&self, kind: ResourceKind, request: Request<'_>) -> Result<Answer, ScimError> {
        let asked = self.transport.asked(&request.method, &request.path);
        Answer::to_write(kind, &asked, self.transport.send(request).await?)
    }

    /// Gives `request` its body.
    pub(crate) fn attach(&self, request: &mut Request<'_>, body: &impl Serialize) -> Result<(), ScimError> {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            let asked = self.transport.asked(&request.method, &request.path);
            unsendable(&asked, format!("the body is no JSON ({error})"))
        })?;
        request.body = Some(bytes.into());
        Ok(())
    }
}

/// Where a resource is found below the base URL. `None` for an id of dots: URLs have no way to write those
/// as a segment, they would climb to the collection, or above.
pub fn resource_path(kind: ResourceKind, id: &RemoteId) -> Option<String> {
    if matches!(id.as_str(), "." | "..") {
        return None;
    }
    let mut path = format!("{}/", kind.endpoint());
    percent_encode(&mut path, id.as_str());
    Some(path)
}

/// The list in an answer. A bare array is read as a list that says nothing of its size.
pub(crate) fn read_list(asked: &Asked, reply: Reply) -> Result<ListResponse, ScimError> {
    let list = match reply.value {
        Some(Value::Array(items)) => ListResponse::try_from(json!({ "Resources": items })),
        Some(value) => ListResponse::try_from(value),
        None => return Err(malformed(asked, reply.status, "no body")),
    };
    list.map_err(|error| malformed(asked, reply.status, format!("no list of resources ({})", error.reason)))
}

/// The password that a document delivers, if any.
pub(crate) fn secrets_in(document: &Document) -> Vec<&str> {
    member(document, "password").and_then(Value::as_str).into_iter().collect()
}

/// The passwords that PATCH operations deliver, by path or inside an object of attributes.
fn secrets_in_operations(operations: &[PatchOperation]) -> Vec<&str> {
    let names_password = |path: &str| path.rsplit(':').next().is_some_and(|name| name.eq_ignore_ascii_case("password"));
    operations
        .iter()
        .flat_map(|operation| match (&operation.path, &operation.value) {
            (Some(path), Some(Value::String(text))) if names_password(path) => vec![text.as_str()],
            (None, Some(Value::Object(attributes))) => secrets_in(attributes),
            _ => Vec::new(),
        })
        .collect()
}
