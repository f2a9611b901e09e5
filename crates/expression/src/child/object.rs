//! JSON into the interpreter's values: what an expression gets to see.
//!
//! A `password` stops here: it never reaches an expression.

use std::fmt;

use monty_types::MontyObject;
use scimfleet_core::ResourceKind;
use scimfleet_core::scim::resource::ENTERPRISE_URN;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::survey::Survey;
use crate::model::{GroupView, ProviderView};

/// An object as it comes in its frame.
#[derive(serde::Deserialize)]
struct Frame {
    kind: ResourceKind,
    id: String,
    external_id: Option<String>,
    service_account: bool,
    groups: Vec<usize>,
    document: PythonValue,
}

/// An object that programs can run on.
pub(super) struct Object<'a> {
    pub(super) kind: ResourceKind,
    id: String,
    external_id: Option<String>,
    service_account: bool,
    document: Vec<(MontyObject, MontyObject)>,
    groups: Vec<&'a MontyObject>,
    provider: &'a MontyObject,
}

/// The names of a user's attributes that are None when the resource has none of them, so that asking for
/// them is no error (RFC 7643 §3.1, §4.1, §4.3).
const USER_ATTRIBUTES: [&str; 27] = [
    "id",
    "userName",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "timezone",
    "active",
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
    "password",
    "meta",
    "schemas",
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
    "department",
    "manager",
];

/// The same for a group (RFC 7643 §3.1, §4.2).
const GROUP_ATTRIBUTES: [&str; 5] = ["id", "displayName", "members", "meta", "schemas"];

/// What an expression finds under a name that SCIM uses otherwise: never the resource's attribute.
const OWN_NAMES: [&str; 5] = ["name", "locale", "groups", "externalId", "attributes"];

impl<'a> Object<'a> {
    /// None when the frame holds no object that could be read.
    pub(super) fn read(frame: &[u8], groups: &'a [MontyObject], provider: &'a MontyObject) -> Option<Self> {
        let frame: Frame = serde_json::from_slice(frame).ok()?;
        let MontyObject::Dict(document) = frame.document.0 else { return None };
        let mut document: Vec<_> = document.into_iter().collect();
        document.retain(|(key, _)| !matches!(key, MontyObject::String(key) if key.eq_ignore_ascii_case("password")));
        Some(Self {
            kind: frame.kind,
            id: frame.id,
            external_id: frame.external_id,
            service_account: frame.service_account,
            document,
            groups: frame.groups.into_iter().filter_map(|index| groups.get(index)).collect(),
            provider,
        })
    }

    /// The values of [`super::prelude::INPUTS`], in their order.
    pub(super) fn inputs(&self, survey: &Survey, with_groups: bool) -> Vec<MontyObject> {
        let groups = if with_groups { self.groups.iter().map(|group| (*group).clone()).collect() } else { Vec::new() };
        vec![self.seen(survey), MontyObject::List(groups), self.provider.clone()]
    }

    /// The attributes that the expression can ask for: SCIM's first, then authentik's, which win.
    fn seen(&self, survey: &Survey) -> MontyObject {
        let mut seen = Seen { survey, pairs: Vec::with_capacity(16) };
        let known = match self.kind {
            ResourceKind::User => USER_ATTRIBUTES.as_slice(),
            ResourceKind::Group => GROUP_ATTRIBUTES.as_slice(),
        };
        known
            .iter()
            .filter(|name| get(&self.document, name).is_none())
            .for_each(|name| seen.put(name, || MontyObject::None));
        if let Some(MontyObject::Dict(extension)) = get(&self.document, ENTERPRISE_URN) {
            seen.put_all(extension.iter());
        }
        seen.put_all(self.document.iter());
        match self.kind {
            ResourceKind::User => self.user_facts(&mut seen),
            ResourceKind::Group => {
                seen.put("name", || string(text(get(&self.document, "displayName")).unwrap_or_default()));
            }
        }
        // A directory that came from authentik kept its numbers for users; a group's externalId is its key there.
        let key = || match (self.kind, get(&self.document, "pk"), &self.external_id) {
            (ResourceKind::User, Some(pk @ MontyObject::Int(_)), _) => pk.clone(),
            (ResourceKind::Group, _, Some(external_id)) => string(external_id.as_str()),
            _ => string(self.id.as_str()),
        };
        seen.put("pk", key);
        seen.put("group_uuid", key);
        seen.put("uid", || string(self.external_id.as_deref().unwrap_or(&self.id)));
        seen.put("externalId", || self.external_id.clone().map_or(MontyObject::None, MontyObject::String));
        seen.put("attributes", || match get(&self.document, "attributes") {
            Some(attributes @ MontyObject::Dict(_)) => attributes.clone(),
            _ => dict(Vec::new()),
        });
        seen.put("scim", || MontyObject::dict(self.document.clone()));
        MontyObject::dict(seen.pairs)
    }

    /// authentik's names for a user.
    fn user_facts(&self, seen: &mut Seen<'_>) {
        // authentik's are texts, empty ones when there is none; its mappings ask no further.
        let preferred = |name| match entries(get(&self.document, name)).map(preferred) {
            Some(found @ MontyObject::String(_)) => found,
            _ => string(""),
        };
        seen.put("username", || self.attribute("userName"));
        seen.put("name", || string(self.display_name()));
        seen.put("email", || preferred("emails"));
        seen.put("avatar", || preferred("photos"));
        seen.put("is_active", || MontyObject::Bool(get(&self.document, "active") != Some(&MontyObject::Bool(false))));
        seen.put("type", || match (text(get(&self.document, "userType")), self.service_account) {
            (Some(kind @ ("internal_service_account" | "external")), _) => string(kind),
            (_, true) => string("service_account"),
            _ => string("internal"),
        });
        if seen.survey.asks_for("locale") {
            seen.pairs.push((string("_locale"), self.attribute("locale")));
        }
    }

    fn attribute(&self, name: &str) -> MontyObject {
        get(&self.document, name).cloned().unwrap_or(MontyObject::None)
    }

    /// displayName, else name.formatted, else given and family name, else userName.
    fn display_name(&self) -> String {
        let whole =
            |value: Option<&MontyObject>| text(value).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let part = |key| match get(&self.document, "name") {
            Some(MontyObject::Dict(name)) => name.iter().find(|(each, _)| is(each, key)).map(|(_, value)| value),
            _ => None,
        };
        let parts = || {
            let parts = [whole(part("givenName")), whole(part("familyName"))];
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join(" "))
        };
        whole(get(&self.document, "displayName"))
            .or_else(|| whole(part("formatted")))
            .or_else(parts)
            .or_else(|| whole(get(&self.document, "userName")))
            .unwrap_or_default()
    }
}

/// The attributes of an object that a text can ask for. Later ones win, as in a dict.
struct Seen<'a> {
    survey: &'a Survey,
    pairs: Vec<(MontyObject, MontyObject)>,
}

impl Seen<'_> {
    fn put(&mut self, name: &str, value: impl FnOnce() -> MontyObject) {
        if self.survey.asks_for(name) {
            self.pairs.push((string(name), value()));
        }
    }

    fn put_all<'p>(&mut self, pairs: impl Iterator<Item = &'p (MontyObject, MontyObject)>) {
        for (key, value) in pairs {
            if let MontyObject::String(name) = key
                && !OWN_NAMES.contains(&name.as_str())
            {
                self.put(name, || value.clone());
            }
        }
    }
}

/// A group that users are in.
pub(super) fn group(view: &GroupView) -> MontyObject {
    let attributes = view.attributes.iter().map(|(key, value)| (string(key.as_str()), from_json(value)));
    dict(vec![
        ("name", string(view.display_name.as_str())),
        ("pk", string(view.external_id.as_deref().unwrap_or(&view.id))),
        ("uid", string(view.external_id.as_deref().unwrap_or(&view.id))),
        ("externalId", view.external_id.clone().map_or(MontyObject::None, MontyObject::String)),
        ("attributes", MontyObject::dict(attributes.collect::<Vec<_>>())),
    ])
}

pub(super) fn provider(view: &ProviderView) -> MontyObject {
    dict(vec![("name", string(view.name.as_str())), ("base_url", string(view.base_url.as_str()))])
}

fn dict(entries: Vec<(&str, MontyObject)>) -> MontyObject {
    MontyObject::dict(entries.into_iter().map(|(key, value)| (string(key), value)).collect::<Vec<_>>())
}

fn string(text: impl Into<String>) -> MontyObject {
    MontyObject::String(text.into())
}

fn is(key: &MontyObject, name: &str) -> bool {
    matches!(key, MontyObject::String(key) if key == name)
}

fn get<'a>(pairs: &'a [(MontyObject, MontyObject)], name: &str) -> Option<&'a MontyObject> {
    pairs.iter().find(|(key, _)| is(key, name)).map(|(_, value)| value)
}

fn text(value: Option<&MontyObject>) -> Option<&str> {
    match value {
        Some(MontyObject::String(text)) => Some(text),
        _ => None,
    }
}

fn entries(value: Option<&MontyObject>) -> Option<&[MontyObject]> {
    match value {
        Some(MontyObject::List(entries)) => Some(entries),
        _ => None,
    }
}

/// The value of the primary entry, else of the first (RFC 7643 §2.4).
fn preferred(entries: &[MontyObject]) -> MontyObject {
    let field = |entry: &MontyObject, name| match entry {
        MontyObject::Dict(pairs) => pairs.iter().find(|(key, _)| is(key, name)).map(|(_, value)| value.clone()),
        _ => None,
    };
    let primary = entries.iter().find(|entry| field(entry, "primary") == Some(MontyObject::Bool(true)));
    primary.or(entries.first()).and_then(|entry| field(entry, "value")).unwrap_or(MontyObject::None)
}

fn from_json(value: &serde_json::Value) -> MontyObject {
    // A value that is in memory already deserializes without failing.
    PythonValue::deserialize(value).map_or(MontyObject::None, |value| value.0)
}

/// JSON, read straight into the interpreter's values.
struct PythonValue(MontyObject);

impl<'de> Deserialize<'de> for PythonValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PythonVisitor)
    }
}

struct PythonVisitor;

impl<'de> Visitor<'de> for PythonVisitor {
    type Value = PythonValue;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<PythonValue, E> {
        Ok(PythonValue(MontyObject::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<PythonValue, E> {
        Ok(PythonValue(MontyObject::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<PythonValue, E> {
        // SCIM integers have no size (RFC 7643 §2.3.4); the few beyond 63 bits lose digits, as in JavaScript.
        let value = i64::try_from(value).map_or(MontyObject::Float(value as f64), MontyObject::Int);
        Ok(PythonValue(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<PythonValue, E> {
        Ok(PythonValue(MontyObject::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<PythonValue, E> {
        Ok(PythonValue(string(value)))
    }

    fn visit_string<E>(self, value: String) -> Result<PythonValue, E> {
        Ok(PythonValue(MontyObject::String(value)))
    }

    fn visit_unit<E>(self) -> Result<PythonValue, E> {
        Ok(PythonValue(MontyObject::None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<PythonValue, A::Error> {
        let mut list = Vec::new();
        while let Some(PythonValue(value)) = entries.next_element()? {
            list.push(value);
        }
        Ok(PythonValue(MontyObject::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<PythonValue, A::Error> {
        let mut pairs = Vec::new();
        while let Some((key, PythonValue(value))) = entries.next_entry::<String, _>()? {
            pairs.push((MontyObject::String(key), value));
        }
        Ok(PythonValue(MontyObject::dict(pairs)))
    }
}
