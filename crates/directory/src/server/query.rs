//! What a query asks for: in the URL (RFC 7644 §3.4.2) or as a search request (§3.4.3).

use std::collections::HashMap;

use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::ScimType;
use scimfleet_core::scim::path::member;
use serde_json::Value;

use super::Limits;
use super::answer::ScimError;
use super::projection::Projection;

/// A query, read.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) filter: Option<String>,
    pub(super) sort_by: Option<String>,
    pub(super) descending: bool,
    /// Counted from 1.
    pub(super) start_index: i64,
    /// How many resources at most; 0 asks for the number only.
    pub(super) count: i64,
    /// Given: pages by cursor (RFC 9865); empty for the first one.
    pub(super) cursor: Option<String>,
    pub(super) projection: Projection,
}

impl Query {
    pub(super) fn of_url(parameters: &HashMap<String, String>, limits: &Limits) -> Result<Self, ScimError> {
        let text = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let list = |name: &str| {
            let names = text(name)?;
            Some(names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
        };
        let number = |name: &'static str| text(name).map(|text| whole(name, text.trim().parse().ok())).transpose();
        let pages = (number("startIndex")?, number("count")?, text("cursor"));
        Ok(Self {
            filter: text("filter").filter(|text| !text.trim().is_empty()),
            sort_by: text("sortBy").filter(|text| !text.is_empty()),
            descending: is_descending(text("sortOrder").as_deref()),
            projection: Projection::new(list("attributes"), list("excludedAttributes")),
            ..Self::of_pages(pages, limits)
        })
    }

    pub(super) fn of_body(body: &Document, limits: &Limits) -> Result<Self, ScimError> {
        let text = |name: &str| member(body, name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| match member(body, name)? {
            Value::Array(items) => Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            Value::String(one) => Some(vec![one.clone()]),
            _ => None,
        };
        let number = |name: &'static str| {
            let given = member(body, name).filter(|value| !value.is_null());
            given.map(|value| whole(name, value.as_i64().or_else(|| value.as_str()?.parse().ok()))).transpose()
        };
        let pages = (number("startIndex")?, number("count")?, text("cursor"));
        Ok(Self {
            filter: text("filter").filter(|text| !text.trim().is_empty()),
            sort_by: text("sortBy").filter(|text| !text.is_empty()),
            descending: is_descending(text("sortOrder").as_deref()),
            projection: Projection::new(list("attributes"), list("excludedAttributes")),
            ..Self::of_pages(pages, limits)
        })
    }

    /// "A value less than 1 SHALL be interpreted as 1", "a negative value SHALL be interpreted as 0"
    /// (§3.4.2.4).
    fn of_pages((start, count, cursor): (Option<i64>, Option<i64>, Option<String>), limits: &Limits) -> Self {
        Self {
            start_index: start.unwrap_or(1).max(1),
            count: count.unwrap_or(limits.page_default).clamp(0, limits.page_max),
            cursor,
            ..Self::default()
        }
    }
}

fn is_descending(word: Option<&str>) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case("descending"))
}

fn whole(name: &str, number: Option<i64>) -> Result<i64, ScimError> {
    number.ok_or_else(|| ScimError::bad(ScimType::InvalidValue, format!("`{name}` is not a whole number")))
}
