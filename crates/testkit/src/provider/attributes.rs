//! The schemas of User, Group and the enterprise extension (RFC 7643 §4) as one table, from which
//! `/Schemas` is written and requests are checked.

use scimfleet_core::scim::resource::{ENTERPRISE_URN, GROUP_URN, USER_URN};
use serde_json::{Map, Value, json};

/// The data types of RFC 7643 §2.3 that the table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Reference,
    Binary,
    Flag,
    Complex,
}

/// Who may write an attribute (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutability {
    ReadWrite,
    ReadOnly,
    WriteOnly,
}

/// One attribute's definition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) data_type: Type,
    pub(crate) many: bool,
    pub(crate) mutability: Mutability,
    pub(crate) subs: &'static [Attribute],
}

const fn text(name: &'static str) -> Attribute {
    Attribute { name, data_type: Type::Text, many: false, mutability: Mutability::ReadWrite, subs: &[] }
}

const fn flag(name: &'static str) -> Attribute {
    Attribute { data_type: Type::Flag, ..text(name) }
}

const fn reference(name: &'static str) -> Attribute {
    Attribute { data_type: Type::Reference, ..text(name) }
}

const fn complex(name: &'static str, subs: &'static [Attribute]) -> Attribute {
    Attribute { data_type: Type::Complex, subs, ..text(name) }
}

const fn many(name: &'static str, subs: &'static [Attribute]) -> Attribute {
    Attribute { many: true, ..complex(name, subs) }
}

const fn read_only(attribute: Attribute) -> Attribute {
    Attribute { mutability: Mutability::ReadOnly, ..attribute }
}

const NAME: &[Attribute] = &[
    text("formatted"),
    text("familyName"),
    text("givenName"),
    text("middleName"),
    text("honorificPrefix"),
    text("honorificSuffix"),
];
const LABELLED: &[Attribute] = &[text("value"), text("display"), text("type"), flag("primary")];
const PHOTO: &[Attribute] = &[reference("value"), text("display"), text("type"), flag("primary")];
const CERTIFICATE: &[Attribute] =
    &[Attribute { data_type: Type::Binary, ..text("value") }, text("display"), text("type"), flag("primary")];
const ADDRESS: &[Attribute] = &[
    text("formatted"),
    text("streetAddress"),
    text("locality"),
    text("region"),
    text("postalCode"),
    text("country"),
    text("type"),
    flag("primary"),
];
const MEMBER: &[Attribute] = &[text("value"), reference("$ref"), text("display"), text("type")];
const MANAGER: &[Attribute] = &[text("value"), reference("$ref"), read_only(text("displayName"))];

/// RFC 7643 §4.1.
pub(crate) const USER: &[Attribute] = &[
    text("userName"),
    complex("name", NAME),
    text("displayName"),
    text("nickName"),
    reference("profileUrl"),
    text("title"),
    text("userType"),
    text("preferredLanguage"),
    text("locale"),
    text("timezone"),
    flag("active"),
    Attribute { mutability: Mutability::WriteOnly, ..text("password") },
    many("emails", LABELLED),
    many("phoneNumbers", LABELLED),
    many("ims", LABELLED),
    many("photos", PHOTO),
    many("addresses", ADDRESS),
    read_only(many("groups", MEMBER)),
    many("entitlements", LABELLED),
    many("roles", LABELLED),
    many("x509Certificates", CERTIFICATE),
];

/// RFC 7643 §4.2.
pub(crate) const GROUP: &[Attribute] = &[text("displayName"), many("members", MEMBER)];

/// RFC 7643 §4.3.
pub(crate) const ENTERPRISE: &[Attribute] = &[
    text("employeeNumber"),
    text("costCenter"),
    text("organization"),
    text("division"),
    text("department"),
    complex("manager", MANAGER),
];

/// The common attributes (RFC 7643 §3.1), which no schema lists.
pub(crate) const COMMON: &[Attribute] = &[
    read_only(text("id")),
    text("externalId"),
    read_only(complex("meta", &[])),
    Attribute { many: true, ..reference("schemas") },
];

/// The definition of `name`, looked up without regard to case (RFC 7643 §2.1).
pub(crate) fn find<'a>(table: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    table.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// The table of a schema that is built in.
pub(crate) fn schema(urn: &str) -> Option<&'static [Attribute]> {
    [(USER_URN, USER), (GROUP_URN, GROUP), (ENTERPRISE_URN, ENTERPRISE)]
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(urn))
        .map(|(_, table)| table)
}

/// Whether the named core attribute holds a list of values.
pub(crate) fn is_many(name: &str) -> bool {
    find(USER, name).or_else(|| find(GROUP, name)).is_some_and(|attribute| attribute.many)
}

impl Attribute {
    fn to_json(self, unique: bool) -> Value {
        let data_type = match self.data_type {
            Type::Text => "string",
            Type::Reference => "reference",
            Type::Binary => "binary",
            Type::Flag => "boolean",
            Type::Complex => "complex",
        };
        let (mutability, returned) = match self.mutability {
            Mutability::ReadWrite => ("readWrite", "default"),
            Mutability::ReadOnly => ("readOnly", "default"),
            Mutability::WriteOnly => ("writeOnly", "never"),
        };
        let mut entry = json!({
            "name": self.name, "type": data_type, "multiValued": self.many, "description": self.name,
            "required": unique, "caseExact": false, "mutability": mutability, "returned": returned,
            "uniqueness": if unique { "server" } else { "none" },
        });
        if self.data_type == Type::Complex {
            entry["subAttributes"] = self.subs.iter().map(|sub| sub.to_json(false)).collect();
        }
        entry
    }
}

/// A schema as `/Schemas` shows it (RFC 7643 §7).
pub(crate) fn schema_document(base: &str, urn: &str, name: &str) -> Value {
    let table = schema(urn).unwrap_or_default();
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": urn, "name": name, "description": name,
        "attributes": table.iter().map(|entry| entry.to_json(entry.name == "userName")).collect::<Vec<_>>(),
        "meta": { "resourceType": "Schema", "location": format!("{base}/Schemas/{urn}") },
    })
}

/// Looks `name` up as it stands, then without regard to case (RFC 7643 §2.1).
pub(crate) fn get<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).or_else(|| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// The key under which `name` stands in `map`, or `name` itself when it is new.
pub(crate) fn key(map: &Map<String, Value>, name: &str) -> String {
    if map.contains_key(name) {
        return name.to_owned();
    }
    map.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned().unwrap_or_else(|| name.to_owned())
}
