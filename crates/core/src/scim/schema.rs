//! What attributes there are and what they may hold (RFC 7643 §2, §7): the schemas of the RFC, and
//! what a service provider announces at `/Schemas`.
//!
//! Announcements are read leniently: what cannot be read is skipped and remembered as skipped, so
//! that nothing is called unknown because of somebody else's broken document. An announcement never
//! takes away or changes what the RFC defines; it only adds.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::lenient::{flag, objects, present, text, texts};
use super::path::is_core_urn;
use super::resource::{Document, ENTERPRISE_URN, GROUP_URN, ResourceKind, USER_URN};
use crate::state::words;

/// How deep sub-attributes may nest in an announcement. RFC 7643 §2.3.8 allows one level; some
/// service providers announce two. What lies deeper is not checked.
pub const ATTRIBUTE_DEPTH_MAX: usize = 4;

words!(
    /// The type of an attribute (RFC 7643 §2.3).
    AttributeType, "attribute type" {
        /// §2.3.1.
        String = "string",
        /// §2.3.2.
        Boolean = "boolean",
        /// §2.3.3: any number.
        Decimal = "decimal",
        /// §2.3.4: a number without a fraction.
        Integer = "integer",
        /// §2.3.5: date and time as `2008-01-23T04:56:22Z`.
        DateTime = "dateTime",
        /// §2.3.6: base64.
        Binary = "binary",
        /// §2.3.7: a URI.
        Reference = "reference",
        /// §2.3.8: an object of sub-attributes.
        Complex = "complex",
        /// Announced with a type that the RFC does not know: anything may stand there.
        Unchecked = "unchecked",
    }
);

words!(
    /// Whether an attribute may be written (RFC 7643 §7).
    Mutability, "mutability" {
        /// Never by a client.
        ReadOnly = "readOnly",
        /// At any time.
        ReadWrite = "readWrite",
        /// Once, when the resource is created.
        Immutable = "immutable",
        /// Written, never returned.
        WriteOnly = "writeOnly",
    }
);

words!(
    /// When an attribute stands in an answer (RFC 7643 §7).
    Returned, "returned" {
        /// In every answer.
        Always = "always",
        /// In no answer.
        Never = "never",
        /// Unless excluded.
        Default = "default",
        /// Only when asked for.
        Request = "request",
    }
);

words!(
    /// Where a value may stand only once (RFC 7643 §7).
    Uniqueness, "uniqueness" {
        /// No rule.
        None = "none",
        /// Within the service provider.
        Server = "server",
        /// Everywhere.
        Global = "global",
    }
);

/// One attribute or sub-attribute (RFC 7643 §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Value")]
pub struct Attribute {
    /// Its name; compared without regard to case (§2.1).
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// Whether it holds a list (§2.4).
    pub multi_valued: bool,
    /// A text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it must have a value.
    pub required: bool,
    /// Suggested values; others are allowed (§7: a service provider MAY restrict them).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// Whether strings that differ only in case differ.
    pub case_exact: bool,
    /// Whether it may be written.
    pub mutability: Mutability,
    /// When it is returned.
    pub returned: Returned,
    /// Where its value is unique.
    pub uniqueness: Uniqueness,
    /// What a reference may lead to: a resource type, `external` or `uri`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// The sub-attributes of a complex attribute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Attribute>,
    /// Whether every announced sub-attribute was read. If not, an unknown one may well be known.
    #[serde(skip)]
    pub whole: bool,
}

/// One schema (RFC 7643 §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Schema {
    /// Its URN.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// A text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its attributes, in the order of their definition.
    pub attributes: Vec<Attribute>,
    /// Whether every announced attribute was read. If not, an unknown one may well be known.
    #[serde(skip)]
    pub whole: bool,
}

/// A schema or attribute without which nothing can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable {what}: no text in `{member}`")]
pub struct UnreadableSchema {
    /// `schema` or `attribute`.
    pub what: &'static str,
    /// The member that is missing.
    pub member: &'static str,
}

impl TryFrom<Value> for Attribute {
    type Error = UnreadableSchema;

    fn try_from(value: Value) -> Result<Self, UnreadableSchema> {
        let unreadable = UnreadableSchema { what: "attribute", member: "name" };
        value.as_object().and_then(|object| read_attribute(object, 1)).ok_or(unreadable)
    }
}

impl TryFrom<Value> for Schema {
    type Error = UnreadableSchema;

    fn try_from(value: Value) -> Result<Self, UnreadableSchema> {
        let unreadable = || UnreadableSchema { what: "schema", member: "id" };
        let object = value.as_object().ok_or_else(unreadable)?;
        let id = text(object, "id").ok_or_else(unreadable)?;
        let (attributes, whole) = read_attributes(object, "attributes", 1);
        Ok(Self {
            name: text(object, "name").unwrap_or_else(|| id.clone()),
            description: text(object, "description").unwrap_or_default(),
            id,
            attributes,
            whole,
        })
    }
}

/// The readable attributes of a list, and whether those were all. No list at all is not the whole.
fn read_attributes(object: &Document, member: &str, depth: usize) -> (Vec<Attribute>, bool) {
    let announced = match present(object, member) {
        Some(Value::Array(items)) => items.len(),
        _ => usize::MAX,
    };
    let read: Vec<_> = objects(object, member).into_iter().filter_map(|item| read_attribute(item, depth)).collect();
    let whole = read.len() == announced;
    (read, whole)
}

fn read_attribute(object: &Document, depth: usize) -> Option<Attribute> {
    if depth > ATTRIBUTE_DEPTH_MAX {
        return None;
    }
    let (sub_attributes, whole) = read_attributes(object, "subAttributes", depth + 1);
    let kind = match text(object, "type") {
        Some(name) => word(AttributeType::ALL, AttributeType::as_str, &name).unwrap_or(AttributeType::Unchecked),
        None if sub_attributes.is_empty() => AttributeType::Unchecked,
        None => AttributeType::Complex,
    };
    Some(Attribute {
        name: text(object, "name")?,
        kind,
        multi_valued: flag(object, "multiValued").unwrap_or(false),
        description: text(object, "description").unwrap_or_default(),
        required: flag(object, "required").unwrap_or(false),
        canonical_values: texts(object, "canonicalValues"),
        case_exact: flag(object, "caseExact").unwrap_or(false),
        mutability: read_word(object, "mutability", Mutability::ALL, Mutability::as_str, Mutability::ReadWrite),
        returned: read_word(object, "returned", Returned::ALL, Returned::as_str, Returned::Default),
        uniqueness: read_word(object, "uniqueness", Uniqueness::ALL, Uniqueness::as_str, Uniqueness::None),
        reference_types: texts(object, "referenceTypes"),
        sub_attributes,
        whole,
    })
}

/// The word of a vocabulary in any case; RFC 7643 §2.2 gives the default for what is absent.
fn read_word<T: Copy>(object: &Document, member: &str, all: &[T], as_str: fn(T) -> &'static str, default: T) -> T {
    text(object, member).and_then(|name| word(all, as_str, &name)).unwrap_or(default)
}

fn word<T: Copy>(all: &[T], as_str: fn(T) -> &'static str, name: &str) -> Option<T> {
    all.iter().copied().find(|word| as_str(*word).eq_ignore_ascii_case(name.trim()))
}

impl Attribute {
    /// The sub-attribute called `name`, without regard to case.
    ///
    /// A multi-valued complex attribute has the sub-attributes `type`, `primary`, `display`, `value`
    /// and `$ref` "if not otherwise defined" (RFC 7643 §2.4).
    pub fn sub_attribute(&self, name: &str) -> Option<&Attribute> {
        let usual = || self.multi_valued.then(|| find(&USUAL.attributes, name)).flatten();
        find(&self.sub_attributes, name).or_else(usual)
    }

    fn absorb(&mut self, announced: Attribute) {
        if self.kind == AttributeType::Complex {
            self.whole &= announced.whole || announced.sub_attributes.is_empty();
            absorb(&mut self.sub_attributes, announced.sub_attributes);
        }
    }
}

impl Schema {
    /// The attribute called `name`, without regard to case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        find(&self.attributes, name)
    }
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

fn absorb(known: &mut Vec<Attribute>, announced: Vec<Attribute>) {
    for attribute in announced {
        match known.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&attribute.name)) {
            Some(known) => known.absorb(attribute),
            None => known.push(attribute),
        }
    }
}

/// The schemas by which a document is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaSet {
    schemas: Vec<Schema>,
    /// Whether the service provider's `/Schemas` was read whole. Only then is a URN that is not here
    /// known to be unknown there.
    pub complete: bool,
}

impl SchemaSet {
    /// User, Group and the enterprise extension, as RFC 7643 §8.7.1 defines them.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The built-in schemas and what a service provider announced. Announced attributes of a built-in
    /// schema add to it, whatever else is said of those that it has.
    pub fn with_announced(announced: impl IntoIterator<Item = Schema>, complete: bool) -> Self {
        let mut set = Self { complete, ..Self::builtin().clone() };
        for schema in announced {
            match set.schemas.iter_mut().find(|known| known.id.eq_ignore_ascii_case(&schema.id)) {
                Some(known) => {
                    known.whole &= schema.whole || schema.attributes.is_empty();
                    absorb(&mut known.attributes, schema.attributes);
                }
                None => set.schemas.push(schema),
            }
        }
        set
    }

    /// As [`SchemaSet::with_announced`], from the resources of a `/Schemas` answer. A resource that
    /// cannot be read is skipped, and then the set is not complete.
    pub fn from_resources(resources: impl IntoIterator<Item = Document>, complete: bool) -> Self {
        let mut complete = complete;
        let mut announced = Vec::new();
        for resource in resources {
            match Schema::try_from(Value::Object(resource)) {
                Ok(schema) => announced.push(schema),
                Err(_) => complete = false,
            }
        }
        Self::with_announced(announced, complete)
    }

    /// Every schema, built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Schema> {
        self.schemas.iter()
    }

    /// The schema with this URN, without regard to case.
    pub fn get(&self, urn: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// The core schema of a kind of resource.
    pub fn core(&self, kind: ResourceKind) -> &Schema {
        let index = match kind {
            ResourceKind::User => 0,
            ResourceKind::Group => 1,
        };
        &self.schemas[index]
    }

    /// The schema with this URN, if resources may be extended by it: every one but the core's.
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.get(urn).filter(|_| !is_core_urn(urn))
    }

    /// An attribute that stands at the top of a resource of this kind: the core schema's, or one that
    /// every resource has (RFC 7643 §3.1).
    pub fn top_level(&self, kind: ResourceKind, name: &str) -> Option<&Attribute> {
        self.core(kind).attribute(name).or_else(|| COMMON.attribute(name))
    }
}

/// A data file of this crate; a test reads each of them.
fn embedded(file: &str, urn: &str) -> Schema {
    let read = serde_json::from_str(file);
    read.unwrap_or_else(|_| Schema {
        id: urn.to_owned(),
        name: String::new(),
        description: String::new(),
        attributes: Vec::new(),
        whole: false,
    })
}

static BUILTIN: LazyLock<SchemaSet> = LazyLock::new(|| SchemaSet {
    schemas: vec![
        embedded(include_str!("schemas/user.json"), USER_URN),
        embedded(include_str!("schemas/group.json"), GROUP_URN),
        embedded(include_str!("schemas/enterprise-user.json"), ENTERPRISE_URN),
    ],
    complete: false,
});

/// What every resource has (RFC 7643 §3.1).
static COMMON: LazyLock<Schema> = LazyLock::new(|| embedded(include_str!("schemas/common.json"), "common"));

/// What every multi-valued complex attribute has (RFC 7643 §2.4).
static USUAL: LazyLock<Schema> = LazyLock::new(|| embedded(include_str!("schemas/multi-valued.json"), "multi-valued"));

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
