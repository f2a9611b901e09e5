//! Shows a stored resource as the provider shows it: with `id` and `meta`, with its habits, and only the
//! attributes that were asked for (RFC 7644 §3.9).

use std::time::{SystemTime, UNIX_EPOCH};

use scimfleet_core::ResourceKind;
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

/// The resource as it is shown.
pub(crate) fn render(
    scene: Scene<'_>,
    storage: &Storage,
    kind: ResourceKind,
    stored: &Stored,
    projection: &Projection,
) -> Value {
    let behaviour = scene.behaviour;
    let mut shown = Map::new();
    let schemas = stored.document.get("schemas").cloned().unwrap_or_else(|| json!([kind.schema_urn()]));
    shown.insert("schemas".to_owned(), schemas);
    shown.insert("id".to_owned(), stored.id.clone().into());
    for (name, value) in &stored.document {
        if name != "schemas" && projection.shows(name) {
            let value = if behaviour.booleans_as_text { booleans_as_text(value) } else { value.clone() };
            shown.insert(name.clone(), value);
        }
    }
    match kind {
        ResourceKind::Group if projection.shows("members") => show_members(&mut shown, stored, behaviour),
        ResourceKind::User if behaviour.user_groups && projection.shows("groups") => {
            show_groups(&mut shown, storage, &stored.id);
        }
        _ => {}
    }
    for (name, value) in &behaviour.attributes_added {
        if projection.shows(name) && !shown.contains_key(name) {
            shown.insert(name.clone(), value.clone());
        }
    }
    if projection.shows("meta") {
        shown.insert("meta".to_owned(), meta(scene, kind, stored));
    }
    Value::Object(shown)
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

fn show_members(shown: &mut Map<String, Value>, stored: &Stored, behaviour: &Behaviour) {
    let members = match behaviour.members_returned {
        Returned::Listed if stored.members.len() == 0 => return,
        Returned::Listed => stored.members.iter().cloned().collect(),
        Returned::Absent => return,
        Returned::Null => Value::Null,
        Returned::Empty => json!([]),
    };
    shown.insert("members".to_owned(), members);
}

fn show_groups(shown: &mut Map<String, Value>, storage: &Storage, id: &str) {
    let groups: Vec<Value> = storage
        .groups_of(id)
        .map(|group| json!({ "value": group.id, "display": group.document.get("displayName"), "type": "direct" }))
        .collect();
    if !groups.is_empty() {
        shown.insert("groups".to_owned(), groups.into());
    }
}

fn meta(scene: Scene<'_>, kind: ResourceKind, stored: &Stored) -> Value {
    let mut meta = json!({
        "resourceType": kind.resource_type(),
        "created": rfc3339(stored.created),
        "lastModified": rfc3339(stored.modified),
        "location": location(scene, kind, &stored.id),
    });
    if scene.behaviour.etag {
        meta["version"] = etag(stored).into();
    }
    meta
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
