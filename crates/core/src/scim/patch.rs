//! What a PATCH (RFC 7644 §3.5.2) makes of a document, as a pure function.
//!
//! Read leniently: names in any case, "False" for `false`, paths as keys of a path-less operation, members
//! removed by a list of values. Members of a group are told apart from the document, since they are rows
//! and never loaded with it (R1). Nothing here judges whether the result is valid.

mod members;
mod values;

use serde_json::Value;

use super::filter::{AttrPath, PatchPath, PatchValuePath, Place, base_attribute};
use super::message::{PatchOp, PatchOperation, PatchRequest, ScimType};
use super::path::{is_core_urn, is_urn, member};
use super::resource::{Document, ResourceKind};
use super::schema::{Attribute, AttributeType, Mutability, SchemaSet};

pub use members::{MemberEdit, member_ids};

/// Steps in one PATCH: what a directory sends for ten thousand members one by one still fits, and each step
/// walks the values of its attribute.
pub const OPERATIONS_MAX: usize = 10_000;

/// Why a PATCH is refused; nothing of it may be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The path cannot be read, or names what no schema knows.
    #[error("invalid path `{path}`: {rule}")]
    InvalidPath {
        /// The path, cut to 80 characters.
        path: String,
        /// What would have been accepted.
        rule: &'static str,
    },
    /// The path selects no value.
    #[error("`{path}` selects no value")]
    NoTarget {
        /// The path, cut to 80 characters.
        path: String,
    },
    /// The value cannot stand there.
    #[error("invalid value for `{path}`: {rule}")]
    InvalidValue {
        /// The path, cut to 80 characters.
        path: String,
        /// What would have been accepted.
        rule: &'static str,
    },
    /// The attribute is read-only, immutable, or may not be taken away.
    #[error("`{path}` may not be changed so")]
    Mutability {
        /// The path, cut to 80 characters.
        path: String,
    },
}

impl PatchError {
    /// The word for it in an error message (§3.12).
    pub const fn scim_type(&self) -> ScimType {
        match self {
            Self::InvalidPath { .. } => ScimType::InvalidPath,
            Self::NoTarget { .. } => ScimType::NoTarget,
            Self::InvalidValue { .. } => ScimType::InvalidValue,
            Self::Mutability { .. } => ScimType::Mutability,
        }
    }

    fn path(path: impl ToString, rule: &'static str) -> Self {
        Self::InvalidPath { path: short(path), rule }
    }

    fn value(path: impl ToString, rule: &'static str) -> Self {
        Self::InvalidValue { path: short(path), rule }
    }

    fn mutability(path: impl ToString) -> Self {
        Self::Mutability { path: short(path) }
    }
}

fn short(path: impl ToString) -> String {
    path.to_string().chars().take(80).collect()
}

/// A PATCH, read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patch {
    steps: Vec<Step>,
    /// What it does to the members of a group, in its order.
    pub members: Vec<MemberEdit>,
}

/// One attribute to be changed.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    op: PatchOp,
    target: Target,
    value: Value,
    /// It came without a path: what is read-only is passed over, what is unknown is kept, as in a POST.
    lenient: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Target {
    Attribute(AttrPath),
    Values(PatchValuePath),
    Extension(String),
}

impl Patch {
    /// Reads the operations; for a group, those on members are taken apart.
    pub fn read(kind: ResourceKind, request: PatchRequest, schemas: &SchemaSet) -> Result<Self, PatchError> {
        if request.operations.len() > OPERATIONS_MAX {
            return Err(PatchError::value("Operations", "at most 10,000 operations"));
        }
        let mut patch = Self::default();
        for operation in request.operations {
            match operation.path.clone() {
                Some(path) => patch.take_path(kind, operation, &path)?,
                None => patch.take_object(kind, operation, schemas)?,
            }
        }
        Ok(patch)
    }

    fn take_path(&mut self, kind: ResourceKind, operation: PatchOperation, text: &str) -> Result<(), PatchError> {
        let path = text.trim().parse::<PatchPath>();
        let path = path.map_err(|_| PatchError::path(text, "an attribute path, a filter in brackets or none"))?;
        if kind == ResourceKind::Group && members::is_members(&path) {
            let edit = members::read(operation.op, &path, operation.value)?;
            members::push(&mut self.members, edit);
            return Ok(());
        }
        if operation.value.is_none() && operation.op != PatchOp::Remove {
            return Err(PatchError::value(text, "`add` and `replace` need a `value`"));
        }
        let target = match path {
            PatchPath::Attr(path) => Target::Attribute(path),
            PatchPath::Value(path) => Target::Values(path),
        };
        let value = operation.value.unwrap_or(Value::Null);
        self.steps.push(Step { op: operation.op, target, value, lenient: false });
        Ok(())
    }

    /// §3.5.2.1: "If omitted, the target location is assumed to be the resource itself".
    fn take_object(
        &mut self,
        kind: ResourceKind,
        operation: PatchOperation,
        schemas: &SchemaSet,
    ) -> Result<(), PatchError> {
        if operation.op == PatchOp::Remove {
            return Err(PatchError::NoTarget { path: "a `remove` without a path".to_owned() });
        }
        let Some(Value::Object(object)) = operation.value else {
            return Err(PatchError::value("value", "without a path, an object of attributes"));
        };
        for (name, value) in object {
            let step = PatchOperation { op: operation.op, path: Some(name.clone()), value: Some(value) };
            match target_of_key(&name, step.value.as_ref(), schemas) {
                Target::Attribute(path) if kind == ResourceKind::Group && members::names_members(&path) => {
                    let edit = members::read(step.op, &PatchPath::Attr(path), step.value)?;
                    members::push(&mut self.members, edit);
                }
                Target::Values(_) if kind == ResourceKind::Group => self.take_path(kind, step, &name)?,
                target => {
                    let value = step.value.unwrap_or(Value::Null);
                    self.steps.push(Step { op: step.op, target, value, lenient: true });
                }
            }
        }
        Ok(())
    }

    /// Changes the document. After an error it may be half changed: work on a copy.
    pub fn apply(&self, kind: ResourceKind, document: &mut Document, schemas: &SchemaSet) -> Result<(), PatchError> {
        self.steps.iter().try_for_each(|step| apply_step(kind, document, step, schemas))
    }
}

/// What a key of a path-less operation means: an attribute, an extension, or a path.
fn target_of_key(name: &str, value: Option<&Value>, schemas: &SchemaSet) -> Target {
    if schemas.extension(name).is_some() {
        return Target::Extension(name.to_owned());
    }
    let known = |path: &AttrPath| path.uri.as_deref().is_none_or(|uri| is_core_urn(uri) || schemas.get(uri).is_some());
    match name.parse::<PatchPath>() {
        Ok(PatchPath::Attr(path)) if is_urn(name) && !known(&path) && value.is_some_and(Value::is_object) => {
            Target::Extension(name.to_owned())
        }
        Ok(PatchPath::Attr(path)) => Target::Attribute(path),
        Ok(PatchPath::Value(path)) => Target::Values(path),
        Err(_) => Target::Attribute(AttrPath { uri: None, name: name.to_owned(), sub_attr: None }),
    }
}

fn apply_step(kind: ResourceKind, document: &mut Document, step: &Step, schemas: &SchemaSet) -> Result<(), PatchError> {
    match &step.target {
        Target::Extension(urn) => change_extension(document, step, urn, schemas),
        Target::Attribute(path) => match Place::of(path, document, schemas) {
            Place::Whole(urn) => change_extension(document, step, &urn, schemas),
            place => change_attribute(kind, document, step, path, &place, schemas),
        },
        Target::Values(path) => change_values(kind, document, step, path, schemas),
    }
}

fn change_extension(document: &mut Document, step: &Step, urn: &str, schemas: &SchemaSet) -> Result<(), PatchError> {
    let schema = schemas.extension(urn);
    let key = values::key_of(document, schema.map_or(urn, |schema| schema.id.as_str()));
    let new = match (step.op, &step.value) {
        (PatchOp::Remove, _) | (PatchOp::Replace, Value::Null) => {
            document.shift_remove(&key);
            return Ok(());
        }
        (_, Value::Object(object)) => object.clone(),
        _ => return Err(PatchError::value(urn, "an object of the extension's attributes")),
    };
    let slot = document.entry(key.clone()).or_insert_with(|| Value::Object(Document::new()));
    let Value::Object(holder) = slot else { return Err(PatchError::path(urn, "an extension that is an object")) };
    for (name, value) in new {
        let attribute = schema.and_then(|schema| schema.attribute(&name));
        if attribute.is_none_or(|attribute| attribute.mutability != Mutability::ReadOnly) {
            values::set(holder, step.op, attribute, attribute.map_or(&name, |found| &found.name), value);
        }
    }
    values::prune(document, &key);
    Ok(())
}

fn change_attribute(
    kind: ResourceKind,
    document: &mut Document,
    step: &Step,
    path: &AttrPath,
    place: &Place,
    schemas: &SchemaSet,
) -> Result<(), PatchError> {
    if path.name.eq_ignore_ascii_case("schemas") && *place == Place::Top {
        // `schemas` follows from what is there.
        return Ok(());
    }
    let attribute = base_attribute(kind, path, schemas);
    match admit(kind, document, step, path, place, attribute, schemas)? {
        Admitted::Yes => {}
        Admitted::PassedOver => return Ok(()),
    }
    let name = attribute.map_or(path.name.as_str(), |attribute| attribute.name.as_str());
    let Some((holder, urn)) = holder(document, place, step.op != PatchOp::Remove, schemas) else { return Ok(()) };
    match &path.sub_attr {
        None => values::set(holder, step.op, attribute, name, step.value.clone()),
        Some(sub) => values::set_sub(holder, step.op, attribute, name, sub, &step.value)
            .map_err(|rule| PatchError::path(path, rule))?,
    }
    if let Some(urn) = urn {
        values::prune(document, &urn);
    }
    Ok(())
}

enum Admitted {
    Yes,
    PassedOver,
}

/// Whether an attribute may be changed so, and whether there is one.
fn admit(
    kind: ResourceKind,
    document: &Document,
    step: &Step,
    path: &AttrPath,
    place: &Place,
    attribute: Option<&Attribute>,
    schemas: &SchemaSet,
) -> Result<Admitted, PatchError> {
    let Some(attribute) = attribute else {
        let whole = match place {
            Place::Extension(urn) => schemas.extension(urn).is_some_and(|schema| schema.whole),
            _ => schemas.core(kind).whole && !is_free(document, &path.name),
        };
        return if whole && !step.lenient {
            Err(PatchError::path(path, "an attribute that the schema has"))
        } else {
            Ok(Admitted::Yes)
        };
    };
    let sub = path.sub_attr.as_deref().map(|name| attribute.sub_attribute(name));
    let read_only = |attribute: &Attribute| attribute.mutability == Mutability::ReadOnly;
    if read_only(attribute) || sub.flatten().is_some_and(read_only) {
        return if step.lenient { Ok(Admitted::PassedOver) } else { Err(PatchError::mutability(path)) };
    }
    if sub == Some(None) && attribute.whole && attribute.kind != AttributeType::Unchecked {
        return Err(PatchError::path(path, "a sub-attribute that the schema has"));
    }
    let takes_away = step.op == PatchOp::Remove || step.value.is_null();
    if takes_away && attribute.required && path.sub_attr.is_none() {
        return Err(PatchError::mutability(path));
    }
    Ok(Admitted::Yes)
}

/// Free attributes have a place of their own, and what was once let in may be changed.
fn is_free(document: &Document, name: &str) -> bool {
    name.eq_ignore_ascii_case("attributes") || member(document, name).is_some()
}

/// The object that holds an attribute, and the URN of the extension that it is, if it is one.
fn holder<'d>(
    document: &'d mut Document,
    place: &Place,
    create: bool,
    schemas: &SchemaSet,
) -> Option<(&'d mut Document, Option<String>)> {
    let Place::Extension(urn) = place else { return Some((document, None)) };
    let key = values::key_of(document, schemas.extension(urn).map_or(urn.as_str(), |schema| &schema.id));
    if create && !document.get(&key).is_some_and(Value::is_object) {
        document.insert(key.clone(), Value::Object(Document::new()));
    }
    document.get_mut(&key).and_then(Value::as_object_mut).map(|holder| (holder, Some(key)))
}

/// `emails[type eq "work"]` and `emails[type eq "work"].value`.
fn change_values(
    kind: ResourceKind,
    document: &mut Document,
    step: &Step,
    path: &PatchValuePath,
    schemas: &SchemaSet,
) -> Result<(), PatchError> {
    let place = Place::of(&path.attr, document, schemas);
    let attribute = base_attribute(kind, &path.attr, schemas);
    let whole = AttrPath { sub_attr: path.sub_attr.clone(), ..path.attr.clone() };
    let step_admitted = Step { value: Value::Bool(true), lenient: false, ..step.clone() };
    admit(kind, document, &step_admitted, &whole, &place, attribute, schemas)?;
    if attribute.is_some_and(|attribute| !attribute.multi_valued) {
        return Err(PatchError::path(path, "a filter after a multi-valued attribute"));
    }
    let name = attribute.map_or(path.attr.name.as_str(), |attribute| attribute.name.as_str());
    let Some((holder, urn)) = holder(document, &place, step.op != PatchOp::Remove, schemas) else { return Ok(()) };
    let found = values::select(holder, step.op, attribute, name, path, &step.value);
    if let Some(urn) = urn {
        values::prune(document, &urn);
    }
    match found {
        true => Ok(()),
        false => Err(PatchError::NoTarget { path: short(path) }),
    }
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
