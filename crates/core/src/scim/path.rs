//! Attribute paths (RFC 7644 §3.10): which attribute is meant, and where it stands in a document.
//!
//! Attribute names and schema URNs are compared without regard to case (RFC 7643 §2.1). Value paths
//! such as `members[value eq "x"]` are never read here; they belong to the filter parser.

use std::fmt;

use serde_json::Value;

use super::resource::Document;
use super::schema::SchemaSet;

/// The longest path that is read: an URN and two names are far shorter, and a longer text in an error
/// helps nobody.
pub const PATH_LENGTH_MAX: usize = 1024;

/// A path that cannot be read, or that leads nowhere in the document at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid attribute path `{path}`: {rule}")]
pub struct InvalidPath {
    /// The refused text, cut to 80 characters.
    pub path: String,
    /// What would have been accepted.
    pub rule: &'static str,
}

/// `urn:…:attribute.subAttribute`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributePath {
    extension: Option<String>,
    attribute: Option<String>,
    sub_attribute: Option<String>,
}

impl AttributePath {
    /// Reads `attr`, `attr.sub`, `urn:…:attr`, `urn:…:attr.sub`, or the URN of a known extension alone.
    ///
    /// The longest URN that `schemas` knows and that begins the text is split off; for an unknown URN
    /// the last colon separates it from the attribute. The URN of a core schema names the same
    /// attribute as no URN (RFC 7644 §3.10) and is dropped.
    pub fn parse(text: &str, schemas: &SchemaSet) -> Result<Self, InvalidPath> {
        if text.is_empty() || text.len() > PATH_LENGTH_MAX {
            return Err(invalid(text, "between 1 and 1,024 bytes"));
        }
        if text.contains(['[', ']', '"', ' ']) {
            return Err(invalid(text, "an attribute path without a filter"));
        }
        let (urn, names) =
            split_urn(text, schemas).ok_or_else(|| invalid(text, "an attribute after the last colon"))?;
        let extension = urn.filter(|urn| !is_core_urn(urn)).map(str::to_owned);
        if names.is_empty() {
            return match extension {
                Some(_) => Ok(Self { extension, attribute: None, sub_attribute: None }),
                None => Err(invalid(text, "an attribute after the URN of a core schema")),
            };
        }
        let (attribute, sub) = names.split_once('.').map_or((names, None), |(name, sub)| (name, Some(sub)));
        if !is_attribute_name(attribute) || !sub.is_none_or(is_attribute_name) {
            return Err(invalid(text, "names of letters, digits, `-` and `_`, at most two, joined by a dot"));
        }
        Ok(Self { extension, attribute: Some(attribute.to_owned()), sub_attribute: sub.map(str::to_owned) })
    }

    /// The URN of the extension that the attribute belongs to; `None` for the core schemas.
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The attribute; `None` when the path means an extension as a whole.
    pub fn attribute(&self) -> Option<&str> {
        self.attribute.as_deref()
    }

    /// The sub-attribute, if the path names one.
    pub fn sub_attribute(&self) -> Option<&str> {
        self.sub_attribute.as_deref()
    }

    /// The value there. A sub-attribute of a multi-valued attribute has no single place: `None`.
    pub fn get<'d>(&self, document: &'d Document) -> Option<&'d Value> {
        let mut steps = self.steps();
        let mut value = member(document, steps.next()?)?;
        for step in steps {
            value = member(value.as_object()?, step)?;
        }
        Some(value)
    }

    /// Takes the value out. Objects above it stay, even when they become empty.
    pub fn remove(&self, document: &mut Document) -> Option<Value> {
        let steps: Vec<&str> = self.steps().collect();
        let (last, parents) = steps.split_last()?;
        let mut object = document;
        for step in parents {
            object = member_mut(object, step)?.as_object_mut()?;
        }
        let key = key_of(object, last)?;
        object.shift_remove(&key)
    }

    /// Puts `value` there and returns what it replaced. Missing objects above it are made; a key that
    /// differs only in case is used as it stands.
    ///
    /// # Errors
    /// When something other than an object stands above the place.
    pub fn set(&self, document: &mut Document, value: Value) -> Result<Option<Value>, InvalidPath> {
        let steps: Vec<&str> = self.steps().collect();
        let Some((last, parents)) = steps.split_last() else { return Ok(None) };
        let mut object = document;
        for step in parents {
            let key = key_of(object, step).unwrap_or_else(|| (*step).to_owned());
            object = object.entry(key).or_insert_with(|| Value::Object(Document::new())).as_object_mut().ok_or_else(
                || invalid(&self.to_string(), "a path through objects; a list or a plain value is there"),
            )?;
        }
        let key = key_of(object, last).unwrap_or_else(|| (*last).to_owned());
        Ok(object.insert(key, value))
    }

    fn steps(&self) -> impl Iterator<Item = &str> {
        [&self.extension, &self.attribute, &self.sub_attribute].into_iter().filter_map(|step| step.as_deref())
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [self.attribute(), self.sub_attribute()].into_iter().flatten().collect::<Vec<_>>().join(".");
        match self.extension() {
            Some(urn) if names.is_empty() => out.write_str(urn),
            Some(urn) => write!(out, "{urn}:{names}"),
            None => out.write_str(&names),
        }
    }
}

fn invalid(path: &str, rule: &'static str) -> InvalidPath {
    InvalidPath { path: path.chars().take(80).collect(), rule }
}

/// The URN, if there is one, and the names behind it; `None` when nothing follows the last colon.
fn split_urn<'t>(text: &'t str, schemas: &SchemaSet) -> Option<(Option<&'t str>, &'t str)> {
    if !is_urn(text) {
        return Some((None, text));
    }
    let known = schemas.iter().map(|schema| schema.id.as_str()).filter(|urn| starts_with_urn(text, urn));
    if let Some(urn) = known.max_by_key(|urn| urn.len()) {
        return Some((text.get(..urn.len()), text.get(urn.len() + 1..).unwrap_or_default()));
    }
    match text.rsplit_once(':') {
        Some((urn, names)) if !names.is_empty() => Some((Some(urn), names)),
        _ => None,
    }
}

/// Whether `text` is `urn`, or `urn` followed by a colon and more.
fn starts_with_urn(text: &str, urn: &str) -> bool {
    text.get(..urn.len()).is_some_and(|head| head.eq_ignore_ascii_case(urn))
        && matches!(text.as_bytes().get(urn.len()), None | Some(b':'))
}

/// Whether a key or path begins with `urn:`, in any case (RFC 8141 §2).
pub fn is_urn(text: &str) -> bool {
    text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:"))
}

/// Whether `urn` is in the name space of the core schemas, which no extension may use.
pub fn is_core_urn(urn: &str) -> bool {
    const CORE: &str = "urn:ietf:params:scim:schemas:core:";
    urn.get(..CORE.len()).is_some_and(|head| head.eq_ignore_ascii_case(CORE))
}

/// ATTRNAME of RFC 7643 §2.1, and `$ref` (§2.4).
fn is_attribute_name(name: &str) -> bool {
    let plain = name.strip_prefix('$').unwrap_or(name);
    plain.starts_with(|first: char| first.is_ascii_alphabetic())
        && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The member called `name`, without regard to case; a member spelled exactly so comes first.
pub fn member<'d>(document: &'d Document, name: &str) -> Option<&'d Value> {
    document
        .get(name)
        .or_else(|| document.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn member_mut<'d>(document: &'d mut Document, name: &str) -> Option<&'d mut Value> {
    let key = key_of(document, name)?;
    document.get_mut(&key)
}

fn key_of(document: &Document, name: &str) -> Option<String> {
    if document.contains_key(name) {
        return Some(name.to_owned());
    }
    document.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
}

/// A place in a document while walking it: a list of steps on the stack, made into text only when
/// somebody wants to read it. `emails[1].value`, `urn:…:User:department`.
#[derive(Debug, Clone, Copy)]
pub struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Trail<'a> {
    /// The document itself; its text is empty.
    pub const fn root() -> Self {
        Self { parent: None, step: Step::Root }
    }

    /// The member `name` of the object at this place.
    pub const fn name(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Name(name) }
    }

    /// The element `index` of the list at this place, counted from 0.
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    fn is_extension(&self) -> bool {
        match (self.step, self.parent) {
            (Step::Name(name), Some(parent)) => matches!(parent.step, Step::Root) && is_urn(name),
            _ => false,
        }
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(out)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Index(index) => write!(out, "[{index}]"),
            Step::Name(name) if matches!(parent.step, Step::Root) => out.write_str(name),
            Step::Name(name) if parent.is_extension() => write!(out, ":{name}"),
            Step::Name(name) => write!(out, ".{name}"),
        }
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
