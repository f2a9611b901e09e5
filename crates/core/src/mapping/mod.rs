//! From the results of several mappings to one document, with a record of which mapping set what.
//!
//! Expressions are not evaluated here; this module gets what they returned.

pub mod merge;
pub mod order;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

pub use merge::{merge, remove_nulls};
pub use order::{MappingName, sort_by_name};

use crate::scim::path::{Trail, is_urn, member};
use crate::scim::{Document, ResourceKind};

/// Which mappings set what stands at a place, in the order in which they ran: the last one won.
pub type Provenance = BTreeMap<String, Vec<MappingName>>;

/// The merged document, and the parts that it was made of.
#[derive(Debug, Clone)]
pub struct Combined {
    /// What the mappings want, merged, without nulls.
    pub document: Document,
    // With one mapping no copy of its part is kept: the document is the part.
    names: Vec<MappingName>,
    parts: Vec<Document>,
    // Made when it is first asked for: most documents are valid, and nobody asks.
    provenance: OnceLock<Provenance>,
}

/// Merges the results of mappings in the order of their names and removes nulls at the end.
pub fn combine(mut parts: Vec<(MappingName, Document)>) -> Combined {
    sort_by_name(&mut parts);
    let (names, mut parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let mut document = Document::new();
    if parts.len() == 1 {
        document = parts.pop().unwrap_or_default();
    }
    for part in &parts {
        merge(&mut document, part.clone());
    }
    remove_nulls(&mut document);
    Combined { document, names, parts, provenance: OnceLock::new() }
}

impl Combined {
    /// For each place with a value, the mappings that set it: `emails[1].value`,
    /// `urn:…:User:department`. Where a mapping took a value away with `null`, the place keeps its
    /// entry, so that its absence can be traced, too.
    pub fn provenance(&self) -> &Provenance {
        self.provenance.get_or_init(|| {
            let parts: &[Document] =
                if self.parts.is_empty() { std::slice::from_ref(&self.document) } else { &self.parts };
            let mut record = Record::default();
            for (name, part) in self.names.iter().zip(parts) {
                record.part(name, part);
            }
            record.provenance
        })
    }

    /// The mapping that set what stands at `path`, as a violation names it. If none set just that, the
    /// last one that set something else at the nearest place above; `None` when no mapping set the
    /// attribute at all. With a single mapping everything is its doing, also what is missing.
    pub fn blame(&self, path: &str) -> Option<&str> {
        if let [only] = self.names.as_slice() {
            return Some(only.as_str());
        }
        // A URN has dots and colons of its own: without this, a walk up would end in another extension.
        let mut tops = self.parts.iter().flat_map(Document::keys);
        if !tops.any(|key| path == key || is_below(path, key)) {
            return None;
        }
        places_above(path).find_map(|place| self.last_to_set(place)).map(MappingName::as_str)
    }

    /// The last mapping that set `place` or something below it.
    fn last_to_set(&self, place: &str) -> Option<&MappingName> {
        let provenance = self.provenance();
        let exact = || provenance.get(place)?.last();
        let below =
            || provenance.iter().filter(|(other, _)| is_below(other, place)).filter_map(|(_, names)| names.last());
        exact().or_else(|| below().max())
    }
}

/// `path` itself, then each place above it, the nearest first.
fn places_above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |place| place.get(..place.rfind(['.', '[', ':'])?))
}

/// Replays the merge on places instead of values.
#[derive(Default)]
struct Record {
    provenance: Provenance,
    /// What stands at each place while the merge is replayed.
    shapes: BTreeMap<String, Shape>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    /// A list, with the number of its elements that are not null.
    List(usize),
    Plain,
}

impl Record {
    fn part(&mut self, name: &MappingName, part: &Document) {
        let root = Trail::root();
        for (key, value) in part {
            self.value(name, &root.name(key), value);
        }
    }

    fn value(&mut self, name: &MappingName, trail: &Trail<'_>, value: &Value) {
        let place = trail.to_string();
        let before = self.shapes.get(&place).copied();
        match (before, value) {
            (Some(Shape::Object), Value::Object(object)) => self.members(name, trail, object),
            (Some(Shape::List(length)), Value::Array(items)) => self.items(name, trail, items, length),
            (before, value) => {
                self.override_at(&place, before, value);
                match value {
                    Value::Object(object) => self.members(name, trail, object),
                    Value::Array(items) => self.items(name, trail, items, 0),
                    _ => self.set(name, place, Shape::Plain),
                }
            }
        }
    }

    /// Forgets what stands below a place that something else takes over, and who set a plain value
    /// where an object or a list comes now.
    fn override_at(&mut self, place: &str, before: Option<Shape>, value: &Value) {
        if matches!(before, Some(Shape::Object | Shape::List(_))) {
            self.provenance.retain(|other, _| !is_below(other, place));
            self.shapes.retain(|other, _| !is_below(other, place));
        }
        if before.is_some() && (value.is_object() || value.is_array()) {
            self.provenance.remove(place);
        }
    }

    fn members(&mut self, name: &MappingName, trail: &Trail<'_>, object: &Document) {
        self.shapes.insert(trail.to_string(), Shape::Object);
        if object.is_empty() {
            self.provenance.entry(trail.to_string()).or_default().push(name.clone());
        }
        for (key, value) in object {
            self.value(name, &trail.name(key), value);
        }
    }

    /// Elements are numbered as they are after nulls were removed, for that is how violations name them.
    fn items(&mut self, name: &MappingName, trail: &Trail<'_>, items: &[Value], length: usize) {
        let mut next = length;
        for item in items {
            let mut left = item.clone();
            if merge::keep(&mut left) {
                self.value(name, &trail.index(next), &left);
                next += 1;
            }
        }
        if next == length {
            self.provenance.entry(trail.to_string()).or_default().push(name.clone());
        }
        self.shapes.insert(trail.to_string(), Shape::List(next));
    }

    fn set(&mut self, name: &MappingName, place: String, shape: Shape) {
        self.provenance.entry(place.clone()).or_default().push(name.clone());
        self.shapes.insert(place, shape);
    }
}

/// Whether `place` is a member or an element of what stands at `above`, at any depth.
fn is_below(place: &str, above: &str) -> bool {
    place.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '[', ':']))
}

/// Fills `schemas` from the kind and from the extensions that the document uses (RFC 7643 §3), beside
/// what mappings listed, each once. It comes first in the document, as is the custom.
pub fn complete_schemas(kind: ResourceKind, document: &mut Document) {
    let in_use = document.iter().filter(|(key, value)| is_urn(key) && !value.is_null()).map(|(key, _)| key.clone());
    let wanted: Vec<String> = std::iter::once(kind.schema_urn().to_owned()).chain(in_use).collect();
    let given = member(document, "schemas").cloned();
    let key = document.keys().find(|key| key.eq_ignore_ascii_case("schemas")).cloned();
    if let Some(key) = key {
        document.shift_remove(&key);
    }
    let listed = wanted.into_iter().map(Value::String).chain(into_items(given));
    let mut schemas: Vec<Value> = Vec::new();
    for urn in listed {
        if !schemas.iter().any(|other| same_text(other, &urn)) {
            schemas.push(urn);
        }
    }
    document.shift_insert(0, "schemas".to_owned(), Value::Array(schemas));
}

/// A single text where a list belongs means a list of one; anything else is left for validation.
fn into_items(given: Option<Value>) -> Vec<Value> {
    match given {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(other) => vec![other],
    }
}

fn same_text(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.eq_ignore_ascii_case(other),
        (one, other) => one == other,
    }
}

#[cfg(test)]
#[path = "combine_tests.rs"]
mod tests;
