//! Whether a document matches a filter (RFC 7644 §3.4.2.2). The text is read by `scim_v2`, whose types
//! stand here under one roof; nothing here looks anything up: what a document does not hold does not match.
//!
//! Names know no case; values do where the schema says `caseExact`. Dates are compared as points in time.

use std::cmp::Ordering;

use serde_json::Value;

pub use scim_v2::filter::{
    AttrExp, AttrPath, CompValue, CompareOp, Filter, PatchPath, PatchValuePath, ValFilter, ValuePath,
};

use super::path::{is_core_urn, is_urn, member};
use super::resource::{Document, ResourceKind, fold};
use super::schema::{Attribute, AttributeType, SchemaSet};

/// A filter that cannot be read, or that compares what has no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Not a filter, or one beyond the limits of depth and length.
    #[error("the filter cannot be read: {0}")]
    Unreadable(String),
    /// "Boolean and Binary attributes SHALL cause a failed response (HTTP status code 400)" with `gt`, `ge`,
    /// `lt` and `le`.
    #[error("`{0}` has no order: compare it by `eq` or `ne`")]
    Unordered(String),
}

/// Reads a filter, and refuses comparisons that can have no answer.
pub fn parse(kind: ResourceKind, text: &str, schemas: &SchemaSet) -> Result<Filter, InvalidFilter> {
    let filter: Filter =
        text.parse().map_err(|error: scim_v2::filter::ParseError| InvalidFilter::Unreadable(error.to_string()))?;
    check(kind, &filter, schemas)?;
    Ok(filter)
}

fn check(kind: ResourceKind, filter: &Filter, schemas: &SchemaSet) -> Result<(), InvalidFilter> {
    match filter {
        Filter::Attr(AttrExp::Comparison(path, op, _)) if is_ordering(op) => {
            let unordered = attribute_of(kind, path, schemas)
                .is_some_and(|found| matches!(found.kind, AttributeType::Boolean | AttributeType::Binary));
            if unordered { Err(InvalidFilter::Unordered(path.to_string())) } else { Ok(()) }
        }
        Filter::Attr(_) | Filter::ValuePath(_) => Ok(()),
        Filter::Not(inner) => check(kind, inner, schemas),
        Filter::And(all) | Filter::Or(all) => all.iter().try_for_each(|one| check(kind, one, schemas)),
    }
}

const fn is_ordering(op: &CompareOp) -> bool {
    matches!(op, CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le)
}

/// Where a path of `scim_v2` begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the document itself.
    Top,
    /// In the object of an extension, by its URN.
    Extension(String),
    /// It means an extension as a whole, by its URN.
    Whole(String),
}

impl Place {
    /// Where `path` begins. What looks like an attribute of a shorter URN may be the URN of an extension
    /// that `schemas` knows or `document` holds.
    pub fn of(path: &AttrPath, document: &Document, schemas: &SchemaSet) -> Self {
        let Some(uri) = &path.uri else { return Self::Top };
        let whole = format!("{uri}:{}", path.name);
        let known = || schemas.extension(&whole).is_some() || member(document, &whole).is_some();
        if path.sub_attr.is_none() && is_urn(&whole) && known() {
            Self::Whole(whole)
        } else if is_core_urn(uri) {
            Self::Top
        } else {
            Self::Extension(uri.clone())
        }
    }
}

/// The attribute that a path means, without its sub-attribute.
pub fn base_attribute<'s>(kind: ResourceKind, path: &AttrPath, schemas: &'s SchemaSet) -> Option<&'s Attribute> {
    match path.uri.as_deref().filter(|uri| !is_core_urn(uri)) {
        Some(uri) => schemas.extension(uri)?.attribute(&path.name),
        None => schemas.top_level(kind, &path.name),
    }
}

/// The attribute or sub-attribute that a path means.
pub fn attribute_of<'s>(kind: ResourceKind, path: &AttrPath, schemas: &'s SchemaSet) -> Option<&'s Attribute> {
    let base = base_attribute(kind, path, schemas)?;
    path.sub_attr.as_deref().map_or(Some(base), |sub| base.sub_attribute(sub))
}

/// Whether `document` matches.
pub fn matches(kind: ResourceKind, filter: &Filter, document: &Document, schemas: &SchemaSet) -> bool {
    let again = |one: &Filter| matches(kind, one, document, schemas);
    match filter {
        Filter::Attr(expression) => {
            let path = path_of(expression);
            expression_holds(expression, &values(path, document, schemas), attribute_of(kind, path, schemas))
        }
        Filter::ValuePath(path) => {
            let attribute = base_attribute(kind, &path.attr, schemas);
            values(&path.attr, document, schemas).iter().any(|value| element_matches(&path.filter, value, attribute))
        }
        Filter::Not(inner) => !again(inner),
        Filter::And(all) => all.iter().all(again),
        Filter::Or(any) => any.iter().any(again),
    }
}

/// Whether one value of a multi-valued attribute matches the filter in brackets.
pub fn element_matches(filter: &ValFilter, element: &Value, attribute: Option<&Attribute>) -> bool {
    let again = |one: &ValFilter| element_matches(one, element, attribute);
    match filter {
        ValFilter::Attr(expression) => {
            let path = path_of(expression);
            let found = match element {
                Value::Object(object) => member(object, &path.name).map(opened).unwrap_or_default(),
                // A simple value answers to the name `value` (RFC 7643 §2.4).
                simple if path.name.eq_ignore_ascii_case("value") => vec![simple],
                _ => Vec::new(),
            };
            expression_holds(expression, &found, attribute.and_then(|attribute| attribute.sub_attribute(&path.name)))
        }
        ValFilter::Not(inner) => !again(inner),
        ValFilter::And(all) => all.iter().all(again),
        ValFilter::Or(any) => any.iter().any(again),
    }
}

const fn path_of(expression: &AttrExp) -> &AttrPath {
    match expression {
        AttrExp::Present(path) | AttrExp::Comparison(path, ..) => path,
    }
}

/// All values that a path leads to; lists are opened.
pub fn values<'d>(path: &AttrPath, document: &'d Document, schemas: &SchemaSet) -> Vec<&'d Value> {
    let holder = match Place::of(path, document, schemas) {
        Place::Top => Some(document),
        Place::Extension(urn) => member(document, &urn).and_then(Value::as_object),
        Place::Whole(urn) => return member(document, &urn).map(opened).unwrap_or_default(),
    };
    let found = holder.and_then(|holder| member(holder, &path.name)).map(opened).unwrap_or_default();
    match &path.sub_attr {
        None => found,
        Some(sub) => {
            let inner = |value: &'d Value| member(value.as_object()?, sub);
            found.into_iter().filter_map(inner).flat_map(opened).collect()
        }
    }
}

fn opened(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn expression_holds(expression: &AttrExp, found: &[&Value], attribute: Option<&Attribute>) -> bool {
    match expression {
        AttrExp::Present(_) => found.iter().any(|value| is_present(value)),
        AttrExp::Comparison(_, op, wanted) => {
            let holds = |op: &CompareOp| found.iter().any(|value| compares(value, op, wanted, attribute));
            match op {
                // `ne` holds for whatever is not equal, an absent value included.
                CompareOp::Ne => !holds(&CompareOp::Eq) && (!found.is_empty() || !matches!(wanted, CompValue::Null)),
                CompareOp::Eq if found.is_empty() => matches!(wanted, CompValue::Null),
                op => holds(op),
            }
        }
    }
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(object) => object.values().any(is_present),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compares(value: &Value, op: &CompareOp, wanted: &CompValue, attribute: Option<&Attribute>) -> bool {
    match (value, wanted) {
        // A complex value stands for its `value` (RFC 7643 §2.4).
        (Value::Object(object), _) => {
            let inner = attribute.and_then(|attribute| attribute.sub_attribute("value"));
            member(object, "value").is_some_and(|value| compares(value, op, wanted, inner))
        }
        (Value::String(left), CompValue::Str(right)) => text_compares(left, op, right, attribute),
        (Value::Bool(left), CompValue::True) => ordered(left.cmp(&true), op),
        (Value::Bool(left), CompValue::False) => ordered(left.cmp(&false), op),
        // The habit of Entra: `active eq "True"`.
        (Value::Bool(left), CompValue::Str(right)) => {
            right.to_lowercase().parse::<bool>().is_ok_and(|right| ordered(left.cmp(&right), op))
        }
        (Value::Number(left), CompValue::Number(right)) => {
            let order = left.as_f64().zip(right.as_f64()).and_then(|(left, right)| left.partial_cmp(&right));
            order.is_some_and(|order| ordered(order, op))
        }
        (Value::Null, CompValue::Null) => *op == CompareOp::Eq,
        _ => false,
    }
}

fn text_compares(left: &str, op: &CompareOp, right: &str, attribute: Option<&Attribute>) -> bool {
    let kind = attribute.map(|attribute| attribute.kind);
    if kind == Some(AttributeType::DateTime)
        && !is_textual(op)
        && let (Some(left), Some(right)) = (date_time_ms(left), date_time_ms(right))
    {
        return ordered(left.cmp(&right), op);
    }
    if attribute.is_some_and(|attribute| attribute.case_exact) {
        return words_compare(left, op, right);
    }
    words_compare(&fold(left), op, &fold(right))
}

const fn is_textual(op: &CompareOp) -> bool {
    matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew)
}

fn words_compare(left: &str, op: &CompareOp, right: &str) -> bool {
    match op {
        CompareOp::Co => left.contains(right),
        CompareOp::Sw => left.starts_with(right),
        CompareOp::Ew => left.ends_with(right),
        op => ordered(left.cmp(right), op),
    }
}

const fn ordered(order: Ordering, op: &CompareOp) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    }
}

/// A date and time (RFC 7643 §2.3.5) in milliseconds since 1970; one without a zone counts as UTC.
pub fn date_time_ms(text: &str) -> Option<i64> {
    let read = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis());
    read(text).or_else(|| read(&format!("{text}Z")))
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
