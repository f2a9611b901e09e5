//! Shows a stored resource as the provider shows it: with `id` and `meta`, with its habits, and only the
//! attributes that were asked for (RFC 7644 §3.9).

use std::time::{SystemTime, UNIX_EPOCH};

use scimfleet_core::ResourceKind;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::behaviour::{Behaviour, Returned};
use super::storage::{Storage, Stored};

/// What every handler needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) behaviour: &'a Behaviour,
    /// The base URL.
    pub(crate) base: &'a str,
}

/// Which attributes are asked for; names are in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Projection {
    include: Option<Vec<String>>,
    exclude: Vec<String>,
}

impl Projection {
    /// From the query's `attributes` and `excludedAttributes`.
    pub(crate) fn new(attributes: Option<&str>, excluded: Option<&str>) -> Self {
        let names = |list: &str| {
            list.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect::<Vec<_>>()
        };
        Self {
            include: attributes.map(names).filter(|list| !list.is_empty()),
            exclude: excluded.map(names).unwrap_or_default(),
        }
    }

    pub(crate) fn asks_for_some(&self) -> bool {
        self.include.is_some()
    }

    pub(crate) fn shows(&self, attribute: &str) -> bool {
        if self.include.is_none() && self.exclude.is_empty() {
            return true;
        }
        let attribute = attribute.to_lowercase();
        if attribute == "id" || attribute == "schemas" {
            return true;
        }
        match &self.include {
            // `name.givenName` and `urn:…:User:department` ask for a part; the whole is shown.
            Some(names) => names.iter().any(|name| {
                name == &attribute
                    || name.strip_prefix(&attribute).is_some_and(|rest| rest.starts_with(['.', ':']))
                    || name.rsplit_once(':').is_some_and(|(_, last)| last == attribute)
            }),
            None => !self.exclude.contains(&attribute),
        }
    }
}

/// The resource as it is shown, as JSON text: written straight from what is stored, since a tree of it would
/// cost more than the rest of the answer.
pub(crate) fn render(
    scene: Scene<'_>,
    storage: &Storage,
    kind: ResourceKind,
    stored: &Stored,
    projection: &Projection,
) -> String {
    serde_json::to_string(&Shown { scene, storage, kind, stored, projection }).unwrap_or_default()
}

struct Shown<'a> {
    scene: Scene<'a>,
    storage: &'a Storage,
    kind: ResourceKind,
    stored: &'a Stored,
    projection: &'a Projection,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { stored, projection, scene, .. } = self;
        let behaviour = scene.behaviour;
        let mut shown = serializer.serialize_map(None)?;
        match stored.document.get("schemas") {
            Some(schemas) => shown.serialize_entry("schemas", schemas)?,
            None => shown.serialize_entry("schemas", &[self.kind.schema_urn()])?,
        }
        shown.serialize_entry("id", &stored.id)?;
        for (name, value) in &stored.document {
            if name == "schemas" || !projection.shows(name) {
                continue;
            }
            if behaviour.booleans_as_text {
                shown.serialize_entry(name, &booleans_as_text(value))?;
            } else {
                shown.serialize_entry(name, value)?;
            }
        }
        let (mut has_members, mut has_groups) = (false, false);
        match self.kind {
            ResourceKind::Group if projection.shows("members") => has_members = self.members(&mut shown)?,
            ResourceKind::User if behaviour.user_groups && projection.shows("groups") => {
                has_groups = self.groups(&mut shown)?;
            }
            _ => {}
        }
        for (name, value) in &behaviour.attributes_added {
            let shown_already = stored.document.contains_key(name)
                || name == "id"
                || name == "schemas"
                || name == "members" && has_members
                || name == "groups" && has_groups;
            if projection.shows(name) && !shown_already {
                shown.serialize_entry(name, value)?;
            }
        }
        if projection.shows("meta") {
            shown.serialize_entry("meta", &meta(*scene, self.kind, stored))?;
        }
        shown.end()
    }
}

/// A list that is written item by item.
struct Listed<'a>(&'a super::storage::Members);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

impl Shown<'_> {
    fn members<M: SerializeMap>(&self, shown: &mut M) -> Result<bool, M::Error> {
        let members = &self.stored.members;
        match self.scene.behaviour.members_returned {
            Returned::Listed if members.len() == 0 => return Ok(false),
            Returned::Listed => shown.serialize_entry("members", &Listed(members))?,
            Returned::Absent => return Ok(false),
            Returned::Null => shown.serialize_entry("members", &Value::Null)?,
            Returned::Empty => shown.serialize_entry("members", &[(); 0])?,
        }
        Ok(true)
    }

    fn groups<M: SerializeMap>(&self, shown: &mut M) -> Result<bool, M::Error> {
        let groups: Vec<Value> = self
            .storage
            .groups_of(&self.stored.id)
            .map(|group| json!({ "value": group.id, "display": group.document.get("displayName"), "type": "direct" }))
            .collect();
        if !groups.is_empty() {
            shown.serialize_entry("groups", &groups)?;
        }
        Ok(!groups.is_empty())
    }
}

/// The resource with all its members, whatever the habits; what it really holds.
pub(crate) fn truth(kind: ResourceKind, stored: &Stored) -> Value {
    let mut document = Map::from_iter([("id".to_owned(), stored.id.clone().into())]);
    document.extend(stored.document.clone());
    if kind == ResourceKind::Group {
        document.insert("members".to_owned(), stored.members.iter().cloned().collect());
    }
    Value::Object(document)
}

/// RFC 7643 §3.1.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_type: &'static str,
    created: String,
    last_modified: String,
    location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

fn meta(scene: Scene<'_>, kind: ResourceKind, stored: &Stored) -> Meta {
    Meta {
        resource_type: kind.resource_type(),
        created: rfc3339(stored.created),
        last_modified: rfc3339(stored.modified),
        location: location(scene, kind, &stored.id),
        version: scene.behaviour.etag.then(|| etag(stored)),
    }
}

/// The URL of a resource.
pub(crate) fn location(scene: Scene<'_>, kind: ResourceKind, id: &str) -> String {
    format!("{}{}/{}", scene.base, kind.endpoint(), super::uri::encode(id))
}

/// A weak entity tag (RFC 7644 §3.14).
pub(crate) fn etag(stored: &Stored) -> String {
    format!("W/\"{}\"", stored.version)
}

fn booleans_as_text(value: &Value) -> Value {
    match value {
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Array(items) => items.iter().map(booleans_as_text).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), booleans_as_text(value))).collect())
        }
        other => other.clone(),
    }
}

/// `2026-11-24T08:12:51.004Z` (RFC 7643 §2.3.5); days to a civil date by the usual era arithmetic.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_rfc_7643_wants_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_507_971, "2026-11-24T08:12:51.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn projections() {
        let some = Projection::new(Some("userName, name.givenName"), None);
        assert!(some.shows("userName") && some.shows("name") && some.shows("id") && !some.shows("emails"));
        let most = Projection::new(None, Some("members"));
        assert!(most.shows("displayName") && !most.shows("members"));
        assert!(Projection::default().shows("anything"));
    }
}
