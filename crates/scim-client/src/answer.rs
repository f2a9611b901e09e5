//! What comes of a request that succeeded.

use scimfleet_core::RemoteId;
use scimfleet_core::scim::path::member;
use scimfleet_core::scim::{Document, ResourceKind};
use serde_json::Value;
use url::Url;

use crate::error::{Asked, ScimError};
use crate::transport::{Reply, malformed};

/// The answer to a write or a read of one resource. A provider may say as little as `204`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status, 200 to 299. 202 means that the outcome is not known yet.
    pub status: u16,
    /// The id from the body, else from `Location`. `None`: look the resource up.
    pub remote_id: Option<RemoteId>,
    /// The `ETag` header, else `meta.version`.
    pub version: Option<String>,
    /// The resource as the provider shows it, without `password`; its `id` is always text.
    pub document: Option<Document>,
}

/// The answer to a look-up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The resources that hold what was asked for.
    pub resources: Vec<Document>,
    /// Resources in the answer that do not: the provider ignored the filter.
    pub refused: usize,
    /// There are more than were sent.
    pub more: bool,
}

impl Found {
    /// Whether nothing was found, by a provider that understood the question. A search index may still
    /// lag behind a create by seconds.
    pub fn proves_absence(&self) -> bool {
        self.resources.is_empty() && self.refused == 0 && !self.more
    }
}

impl Answer {
    /// The answer to a write that should show the resource or nothing. JSON that is neither may come from
    /// a gateway, and is no proof that the provider did anything.
    pub(crate) fn to_write(kind: ResourceKind, asked: &Asked, reply: Reply) -> Result<Self, ScimError> {
        let is_believable = match &reply.value {
            None | Some(Value::Null) => true,
            Some(Value::Object(document)) => document.is_empty() || shows_resource(document),
            Some(_) => false,
        };
        if is_believable { Ok(Self::of(kind, reply)) } else { Err(malformed(asked, reply.status, "no resource in it")) }
    }

    pub(crate) fn of(kind: ResourceKind, reply: Reply) -> Self {
        let document = match reply.value {
            Some(Value::Object(document)) => Some(tidy(document)),
            _ => None,
        };
        let remote_id = document
            .as_ref()
            .and_then(remote_id)
            .or_else(|| reply.location.as_deref().and_then(|location| id_in_location(kind, location)));
        let version = reply.etag.or_else(|| document.as_ref().and_then(version));
        Self { status: reply.status, remote_id, version, document }
    }
}

fn shows_resource(document: &Document) -> bool {
    ["id", "schemas", "meta", "externalId", "userName", "displayName"]
        .iter()
        .any(|name| member(document, name).is_some())
}

/// A resource as it may be kept: no `password` (RFC 7643 §4.1.1 says never returned; some do), and the
/// id as text, since some providers send numbers.
pub(crate) fn tidy(mut document: Document) -> Document {
    document.retain(|name, _| !name.eq_ignore_ascii_case("password"));
    for (name, value) in &mut document {
        if name.eq_ignore_ascii_case("id") && value.is_number() {
            *value = Value::String(value.to_string());
        }
    }
    document
}

/// The `id` of a resource that was tidied.
pub(crate) fn remote_id(document: &Document) -> Option<RemoteId> {
    RemoteId::parse(member(document, "id")?.as_str()?).ok()
}

fn version(document: &Document) -> Option<String> {
    let version = member(member(document, "meta")?.as_object()?, "version")?.as_str()?;
    (!version.is_empty()).then(|| version.to_owned())
}

/// The segment after the endpoint's name, as RFC 7644 §3.3 has `Location` point to the new resource.
fn id_in_location(kind: ResourceKind, location: &str) -> Option<RemoteId> {
    // Only the path counts, so any base will do for a relative reference.
    let url = Url::parse("http://relative.invalid/").ok()?.join(location).ok()?;
    let mut segments = url.path_segments()?;
    let endpoint = kind.endpoint().trim_start_matches('/');
    segments.find(|segment| segment.eq_ignore_ascii_case(endpoint))?;
    RemoteId::parse(percent_decoded(segments.next()?)?).ok()
}

fn percent_decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(high)? << 4 | digit(low)?);
                rest = after;
            }
            (byte, after) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(body: Value, location: Option<&str>, etag: Option<&str>) -> Answer {
        let reply = Reply {
            status: 201,
            value: Some(body),
            location: location.map(str::to_owned),
            etag: etag.map(str::to_owned),
        };
        Answer::of(ResourceKind::User, reply)
    }

    #[test]
    fn the_id_is_in_the_body_else_in_the_location() {
        let cases = [
            (json!({"id": "a"}), Some("https://x/Users/b"), Some("a")),
            (json!({"id": 17}), None, Some("17")),
            (json!({"ID": "q"}), None, Some("q")),
            (json!({"id": ""}), Some("https://x/scim/v2/Users/b"), Some("b")),
            (json!({}), Some("/scim/v2/users/a%2Fb%20c"), Some("a/b c")),
            (json!({}), Some("Users/b"), Some("b")),
            (json!({}), Some("https://x/scim/Users"), None),
            (json!({}), Some("https://x/scim/Users/"), None),
            (json!({}), Some("https://x/login"), None),
            (json!({}), Some("/Users/%zz"), None),
            (json!({"id": null}), None, None),
        ];
        for (body, location, expected) in cases {
            let id = answer(body.clone(), location, None).remote_id;
            assert_eq!(id.as_ref().map(RemoteId::as_str), expected, "{body} {location:?}");
        }
    }

    #[test]
    fn the_version_is_the_header_else_in_meta() {
        let body = json!({"meta": {"version": "W/\"1\""}});
        assert_eq!(answer(body.clone(), None, Some("W/\"2\"")).version.as_deref(), Some("W/\"2\""));
        assert_eq!(answer(body, None, None).version.as_deref(), Some("W/\"1\""));
    }

    #[test]
    fn a_password_in_an_answer_is_dropped() {
        let document = answer(json!({"id": 1, "Password": "x"}), None, None).document.unwrap();
        assert_eq!(Value::Object(document), json!({"id": "1"}));
    }
}
