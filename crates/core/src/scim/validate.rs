//! Whether a document may be sent: the rules of RFC 7643, applied to what the mappings made.
//!
//! Every broken rule is listed, in the order of the document, with its place and the kind of value
//! that stands there. Values themselves never enter a report, for it is stored, logged and shown.
//! `null` and an empty list mean "no value" (RFC 7643 §2.5) and break no rule but `required`.
//!
//! The walk goes only as deep as the schemas do (at most [`super::schema::ATTRIBUTE_DEPTH_MAX`]
//! levels below an attribute), whatever the depth of the document.

mod format;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::{Trail, is_core_urn, is_urn, member};
use super::resource::{Document, ResourceKind};
use super::schema::{Attribute, AttributeType, Mutability, Schema, SchemaSet};
use crate::state::words;

/// How many violations, and how many warnings, a report holds: a list of 50,000 bad members is as well
/// understood from the first thousand, and the report is stored with the object.
pub const ENTRIES_MAX: usize = 1_000;

words!(
    /// The rule that a value breaks.
    Rule, "rule" {
        /// A required attribute has no value, or an empty text (RFC 7643 §7).
        Required = "required",
        /// The value is of another type (§2.3).
        Type = "type",
        /// The attribute is multi-valued and needs a list (§2.4).
        MultiValued = "multi_valued",
        /// The attribute is single-valued and a list was given (§2.4).
        SingleValued = "single_valued",
        /// Not one of the suggested values; only ever a warning (§7).
        Canonical = "canonical",
        /// Only the service provider sets this attribute (§7).
        Mutability = "mutability",
        /// More than one value says that it is the primary one (§2.4).
        SinglePrimary = "single_primary",
        /// The schema has no such attribute.
        UnknownAttribute = "unknown_attribute",
        /// The resource cannot have such a schema; a warning while `/Schemas` was not read whole.
        UnknownSchema = "unknown_schema",
        /// `schemas` lacks the core schema or an extension in use (§3).
        SchemasMissing = "schemas_missing",
        /// The same attribute in two spellings, or a schema listed twice (§2.1, §3).
        Duplicate = "duplicate",
        /// Not a URI reference (§2.3.7).
        Reference = "reference",
        /// Not a date and time (§2.3.5).
        DateTime = "date_time",
        /// Not base64 (§2.3.6).
        Binary = "binary",
        /// The provider's profile demands a value here.
        ProviderRequired = "provider_required",
        /// Longer than the provider's profile allows.
        ProviderLength = "provider_length",
        /// Holds a character that the provider's profile names as refused.
        ProviderCharacters = "provider_characters",
    }
);

/// One broken rule: where, which, and what kind of value stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// `userName`, `emails[1].value`, `urn:…:User:department`; as it is spelled in the document.
    pub path: String,
    /// What is broken.
    pub rule: Rule,
    /// What stands there.
    pub value_kind: ValueKind,
}

words!(
    /// The kind of a JSON value, or `absent`.
    ValueKind, "value kind" {
        /// A text.
        String = "string",
        /// A number.
        Number = "number",
        /// True or false.
        Boolean = "boolean",
        /// An object.
        Object = "object",
        /// A list.
        Array = "array",
        /// Null.
        Null = "null",
        /// Nothing at all.
        Absent = "absent",
    }
);

impl ValueKind {
    /// The kind of `value`.
    pub const fn of(value: &Value) -> Self {
        match value {
            Value::String(_) => Self::String,
            Value::Number(_) => Self::Number,
            Value::Bool(_) => Self::Boolean,
            Value::Object(_) => Self::Object,
            Value::Array(_) => Self::Array,
            Value::Null => Self::Null,
        }
    }
}

/// What validation found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Each makes the document invalid. At most [`ENTRIES_MAX`].
    pub violations: Vec<Violation>,
    /// These do not. At most [`ENTRIES_MAX`].
    pub warnings: Vec<Violation>,
}

impl Report {
    /// Whether the document may be sent.
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Judges a whole resource by the schemas of its kind and the extensions that it uses.
pub fn validate(kind: ResourceKind, document: &Document, schemas: &SchemaSet) -> Report {
    let mut walk = Walk { report: Report::default() };
    let root = Trail::root();
    for (name, value) in document {
        let trail = root.name(name);
        if is_second_spelling(document, name) {
            walk.violation(&trail, Rule::Duplicate, ValueKind::of(value));
        } else if name.eq_ignore_ascii_case("schemas") {
            walk.schemas(&trail, value, kind, schemas);
        } else if let Some(attribute) = schemas.top_level(kind, name) {
            walk.attribute(&trail, value, attribute);
        } else if is_urn(name) {
            walk.extension(&trail, name, value, document, schemas);
        } else {
            walk.unknown(&trail, value, schemas.core(kind).whole);
        }
    }
    walk.required(&root, document, &schemas.core(kind).attributes);
    walk.core_schema_listed(&root, document, kind);
    walk.report
}

/// The walk through one document, and what it has found so far.
struct Walk {
    report: Report,
}

impl Walk {
    fn violation(&mut self, trail: &Trail<'_>, rule: Rule, value_kind: ValueKind) {
        push(&mut self.report.violations, trail, rule, value_kind);
    }

    fn warning(&mut self, trail: &Trail<'_>, rule: Rule, value_kind: ValueKind) {
        push(&mut self.report.warnings, trail, rule, value_kind);
    }

    /// An unknown attribute may well be known when part of the schema could not be read.
    fn unknown(&mut self, trail: &Trail<'_>, value: &Value, whole: bool) {
        let list = if whole { &mut self.report.violations } else { &mut self.report.warnings };
        push(list, trail, Rule::UnknownAttribute, ValueKind::of(value));
    }

    fn extension(&mut self, trail: &Trail<'_>, urn: &str, value: &Value, document: &Document, schemas: &SchemaSet) {
        if is_unassigned(value) {
            return;
        }
        let Some(schema) = schemas.extension(urn) else {
            // `urn:…:User:department` as one key is a way to write a request, not a resource.
            let flattened = urn.rsplit_once(':').and_then(|(schema, _)| schemas.get(schema));
            return match flattened {
                Some(schema) => self.unknown(trail, value, schema.whole),
                None => self.unknown_schema(trail, urn, value, schemas),
            };
        };
        let Value::Object(object) = value else {
            return self.violation(trail, Rule::Type, ValueKind::of(value));
        };
        self.members(trail, object, schema);
        if !listed(document, urn) {
            self.violation(trail, Rule::SchemasMissing, ValueKind::Object);
        }
    }

    /// Another kind's core schema can never be; an extension that is not here may still be there.
    fn unknown_schema(&mut self, trail: &Trail<'_>, urn: &str, value: &Value, schemas: &SchemaSet) {
        if schemas.complete || is_core_urn(urn) {
            self.violation(trail, Rule::UnknownSchema, ValueKind::of(value));
        } else {
            self.warning(trail, Rule::UnknownSchema, ValueKind::of(value));
        }
    }

    fn members(&mut self, trail: &Trail<'_>, object: &Document, schema: &Schema) {
        for (name, value) in object {
            let trail = trail.name(name);
            if is_second_spelling(object, name) {
                self.violation(&trail, Rule::Duplicate, ValueKind::of(value));
            } else if let Some(attribute) = schema.attribute(name) {
                self.attribute(&trail, value, attribute);
            } else {
                self.unknown(&trail, value, schema.whole);
            }
        }
        self.required(trail, object, &schema.attributes);
    }

    fn attribute(&mut self, trail: &Trail<'_>, value: &Value, attribute: &Attribute) {
        if is_unassigned(value) || attribute.kind == AttributeType::Unchecked {
            return;
        }
        if attribute.mutability == Mutability::ReadOnly {
            return self.violation(trail, Rule::Mutability, ValueKind::of(value));
        }
        match (attribute.multi_valued, value) {
            (true, Value::Array(items)) => self.items(trail, items, attribute),
            (true, other) => self.violation(trail, Rule::MultiValued, ValueKind::of(other)),
            (false, Value::Array(_)) => self.violation(trail, Rule::SingleValued, ValueKind::Array),
            (false, other) => self.single(trail, other, attribute),
        }
    }

    fn items(&mut self, trail: &Trail<'_>, items: &[Value], attribute: &Attribute) {
        let mut primary_seen = false;
        for (index, item) in items.iter().enumerate() {
            let trail = trail.index(index);
            self.single(&trail, item, attribute);
            if attribute.kind == AttributeType::Complex && is_primary(item) {
                if primary_seen {
                    self.violation(&trail.name("primary"), Rule::SinglePrimary, ValueKind::Boolean);
                }
                primary_seen = true;
            }
        }
    }

    /// One value, be it the only one or an element of a list.
    fn single(&mut self, trail: &Trail<'_>, value: &Value, attribute: &Attribute) {
        let fits = match attribute.kind {
            AttributeType::Unchecked => true,
            AttributeType::Boolean => value.is_boolean(),
            AttributeType::Decimal => value.is_number(),
            AttributeType::Integer => value.is_i64() || value.is_u64(),
            AttributeType::Complex => value.is_object(),
            AttributeType::String | AttributeType::DateTime | AttributeType::Binary | AttributeType::Reference => {
                value.is_string()
            }
        };
        match value {
            _ if !fits => self.violation(trail, Rule::Type, ValueKind::of(value)),
            Value::Object(object) => self.sub_attributes(trail, object, attribute),
            Value::String(text) => self.text(trail, text, attribute),
            _ => {}
        }
    }

    fn sub_attributes(&mut self, trail: &Trail<'_>, object: &Document, parent: &Attribute) {
        // Nothing is known of what an announcement leaves out.
        if parent.sub_attributes.is_empty() {
            return;
        }
        for (name, value) in object {
            let trail = trail.name(name);
            if is_second_spelling(object, name) {
                self.violation(&trail, Rule::Duplicate, ValueKind::of(value));
            } else if let Some(attribute) = parent.sub_attribute(name) {
                self.attribute(&trail, value, attribute);
            } else {
                self.unknown(&trail, value, parent.whole);
            }
        }
        self.required(trail, object, &parent.sub_attributes);
    }

    fn text(&mut self, trail: &Trail<'_>, text: &str, attribute: &Attribute) {
        if attribute.required && text.trim().is_empty() {
            return self.violation(trail, Rule::Required, ValueKind::String);
        }
        let broken = match attribute.kind {
            AttributeType::Reference => (!format::is_reference(text)).then_some(Rule::Reference),
            AttributeType::DateTime => (!format::is_date_time(text)).then_some(Rule::DateTime),
            AttributeType::Binary => (!format::is_base64(text)).then_some(Rule::Binary),
            _ => None,
        };
        if let Some(rule) = broken {
            self.violation(trail, rule, ValueKind::String);
        }
        if !is_canonical(text, attribute) {
            self.warning(trail, Rule::Canonical, ValueKind::String);
        }
    }

    /// What the client must set and did not: after the members that are there, in the schema's order.
    fn required(&mut self, trail: &Trail<'_>, object: &Document, attributes: &[Attribute]) {
        let ours = |attribute: &&Attribute| attribute.required && attribute.mutability != Mutability::ReadOnly;
        for attribute in attributes.iter().filter(ours) {
            let value = member(object, &attribute.name);
            if value.is_none_or(is_unassigned) {
                let kind = value.map_or(ValueKind::Absent, ValueKind::of);
                self.violation(&trail.name(&attribute.name), Rule::Required, kind);
            }
        }
    }

    /// The list of schemas itself: texts, none twice, each one that this kind of resource can have.
    fn schemas(&mut self, trail: &Trail<'_>, value: &Value, kind: ResourceKind, schemas: &SchemaSet) {
        let Value::Array(items) = value else {
            if !value.is_null() {
                self.violation(trail, Rule::MultiValued, ValueKind::of(value));
            }
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let trail = trail.index(index);
            let Value::String(urn) = item else {
                self.violation(&trail, Rule::Type, ValueKind::of(item));
                continue;
            };
            if items.iter().take(index).any(|earlier| same_urn(earlier, urn)) {
                self.violation(&trail, Rule::Duplicate, ValueKind::String);
            } else if !urn.eq_ignore_ascii_case(kind.schema_urn()) && schemas.extension(urn).is_none() {
                self.unknown_schema(&trail, urn, item, schemas);
            }
        }
    }

    /// "The `schemas` attribute is REQUIRED" and names every schema in use (RFC 7643 §3). Extensions
    /// are checked where they stand.
    fn core_schema_listed(&mut self, root: &Trail<'_>, document: &Document, kind: ResourceKind) {
        if !listed(document, kind.schema_urn()) {
            let value_kind = member(document, "schemas").map_or(ValueKind::Absent, ValueKind::of);
            self.violation(&root.name("schemas"), Rule::SchemasMissing, value_kind);
        }
    }
}

fn push(list: &mut Vec<Violation>, trail: &Trail<'_>, rule: Rule, value_kind: ValueKind) {
    if list.len() < ENTRIES_MAX {
        list.push(Violation { path: trail.to_string(), rule, value_kind });
    }
}

/// RFC 7643 §2.5: "unassigned" is the same as `null` or an empty list.
fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether an earlier member of `object` has the same name in another spelling.
fn is_second_spelling(object: &Document, name: &str) -> bool {
    let mut others = object.keys().take_while(|key| *key != name);
    others.any(|key| key.eq_ignore_ascii_case(name))
}

fn is_primary(item: &Value) -> bool {
    item.as_object().and_then(|item| member(item, "primary")) == Some(&Value::Bool(true))
}

fn is_canonical(text: &str, attribute: &Attribute) -> bool {
    let same = |canonical: &String| match attribute.case_exact {
        true => canonical == text,
        false => canonical.eq_ignore_ascii_case(text),
    };
    attribute.canonical_values.is_empty() || attribute.canonical_values.iter().any(same)
}

fn listed(document: &Document, urn: &str) -> bool {
    let schemas = member(document, "schemas").and_then(Value::as_array);
    schemas.is_some_and(|items| items.iter().any(|item| same_urn(item, urn)))
}

fn same_urn(item: &Value, urn: &str) -> bool {
    item.as_str().is_some_and(|item| item.eq_ignore_ascii_case(urn))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
