//! Evaluates filters (RFC 7644 §3.4.2.2) over documents. Parsing is done by `scim_v2`.

use scim_v2::filter::{AttrExp, AttrPath, CompValue, CompareOp, Filter, ValFilter};
use scimfleet_core::scim::resource::fold;
use serde_json::{Map, Value};
use std::cmp::Ordering;

use super::attributes::get;

/// Attributes that are compared with regard to case (RFC 7643 §3.1, §8.7.1).
const CASE_EXACT: &[&str] = &["id", "externalId", "$ref", "schemas"];

/// Whether `document` matches.
pub(crate) fn matches(filter: &Filter, document: &Map<String, Value>) -> bool {
    match filter {
        Filter::Attr(expression) => attribute_matches(expression, document),
        Filter::ValuePath(path) => {
            values(&path.attr, document).iter().any(|value| element_matches(&path.filter, value))
        }
        Filter::Not(inner) => !matches(inner, document),
        Filter::And(all) => all.iter().all(|one| matches(one, document)),
        Filter::Or(any) => any.iter().any(|one| matches(one, document)),
    }
}

/// Whether one value of a multi-valued attribute matches the filter in brackets.
pub(crate) fn element_matches(filter: &ValFilter, element: &Value) -> bool {
    match filter {
        ValFilter::Attr(expression) => match element {
            Value::Object(fields) => attribute_matches(expression, fields),
            // A simple multi-valued attribute answers to the name `value` (RFC 7643 §2.4).
            simple => attribute_matches(expression, &Map::from_iter([("value".to_owned(), simple.clone())])),
        },
        ValFilter::Not(inner) => !element_matches(inner, element),
        ValFilter::And(all) => all.iter().all(|one| element_matches(one, element)),
        ValFilter::Or(any) => any.iter().any(|one| element_matches(one, element)),
    }
}

fn attribute_matches(expression: &AttrExp, document: &Map<String, Value>) -> bool {
    match expression {
        AttrExp::Present(path) => values(path, document).iter().any(|value| is_present(value)),
        AttrExp::Comparison(path, op, wanted) => {
            let exact = CASE_EXACT.iter().any(|name| name.eq_ignore_ascii_case(&path.name));
            let found = values(path, document);
            match op {
                // `ne` holds for whatever does not equal, absent values too.
                CompareOp::Ne => !found.iter().any(|value| compares(value, &CompareOp::Eq, wanted, exact)),
                CompareOp::Eq if found.is_empty() => matches!(wanted, CompValue::Null),
                op => found.iter().any(|value| compares(value, op, wanted, exact)),
            }
        }
    }
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// All values that a path leads to; lists are opened, and a complex value stands for its `value`.
fn values<'a>(path: &AttrPath, document: &'a Map<String, Value>) -> Vec<&'a Value> {
    let mut holder = document;
    if let Some(extension) = path.uri.as_deref().and_then(|uri| get(document, uri)) {
        match extension {
            Value::Object(fields) => holder = fields,
            _ => return Vec::new(),
        }
    } else if path.uri.as_deref().is_some_and(|uri| uri.contains(":extension:")) {
        return Vec::new();
    }
    let mut found = match get(holder, &path.name) {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    };
    if let Some(sub) = &path.sub_attr {
        found = found.into_iter().filter_map(|value| value.as_object().and_then(|fields| get(fields, sub))).collect();
    }
    found
}

fn compares(value: &Value, op: &CompareOp, wanted: &CompValue, exact: bool) -> bool {
    match (value, wanted) {
        (Value::Object(fields), _) => fields.get("value").is_some_and(|inner| compares(inner, op, wanted, exact)),
        (Value::String(left), CompValue::Str(right)) if exact => text_compares(left, op, right),
        (Value::String(left), CompValue::Str(right)) => text_compares(&fold(left), op, &fold(right)),
        (Value::Bool(left), CompValue::True) => ordered(left.cmp(&true), op),
        (Value::Bool(left), CompValue::False) => ordered(left.cmp(&false), op),
        (Value::Number(left), CompValue::Number(right)) => {
            left.as_f64().zip(right.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)).is_some_and(|o| ordered(o, op))
        }
        (Value::Null, CompValue::Null) => *op == CompareOp::Eq,
        _ => false,
    }
}

fn text_compares(left: &str, op: &CompareOp, right: &str) -> bool {
    match op {
        CompareOp::Co => left.contains(right),
        CompareOp::Sw => left.starts_with(right),
        CompareOp::Ew => left.ends_with(right),
        op => ordered(left.cmp(right), op),
    }
}

fn ordered(order: Ordering, op: &CompareOp) -> bool {
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

/// What an index can answer: equality with a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Equality<'a> {
    /// The attribute in lower case, dotted if it has a sub-attribute.
    pub(crate) attribute: String,
    pub(crate) value: &'a str,
}

/// Equalities that hold for every match, so that any one of them narrows the search.
pub(crate) fn equalities(filter: &Filter) -> Vec<Equality<'_>> {
    match filter {
        Filter::Attr(AttrExp::Comparison(path, CompareOp::Eq, CompValue::Str(value))) => {
            let attribute = match &path.sub_attr {
                Some(sub) => format!("{}.{sub}", path.name),
                None => path.name.clone(),
            };
            vec![Equality { attribute: attribute.to_ascii_lowercase(), value }]
        }
        Filter::ValuePath(path) => element_equality(&path.filter)
            .map(|(sub, value)| Equality { attribute: format!("{}.{sub}", path.attr.name).to_ascii_lowercase(), value })
            .into_iter()
            .collect(),
        Filter::And(all) => all.iter().flat_map(equalities).collect(),
        _ => Vec::new(),
    }
}

/// The sub-attribute and text of a filter in brackets that is a single `eq`.
pub(crate) fn element_equality(filter: &ValFilter) -> Option<(&str, &str)> {
    match filter {
        ValFilter::Attr(AttrExp::Comparison(path, CompareOp::Eq, CompValue::Str(value))) => Some((&path.name, value)),
        _ => None,
    }
}

/// Every attribute that stands in a filter, and whether it is only `eq` joined by `and`.
pub(crate) fn inspect(filter: &Filter) -> (Vec<String>, bool) {
    match filter {
        Filter::Attr(AttrExp::Present(path)) => (vec![path.to_string()], false),
        Filter::Attr(AttrExp::Comparison(path, op, _)) => (vec![path.to_string()], *op == CompareOp::Eq),
        Filter::ValuePath(path) => (vec![path.attr.to_string()], false),
        Filter::Not(inner) => (inspect(inner).0, false),
        Filter::And(all) => all.iter().map(inspect).fold((Vec::new(), true), |(mut names, plain), (more, also)| {
            names.extend(more);
            (names, plain && also)
        }),
        Filter::Or(any) => (any.iter().flat_map(|one| inspect(one).0).collect(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(filter: &str, expected: bool) {
        let document = json!({
            "id": "7", "userName": "Ann", "active": true, "title": "", "loginCount": 5, "name": { "givenName": "Ann" },
            "emails": [{ "value": "ann@a.example", "type": "work" }, { "value": "x@home.example", "type": "home" }],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "R&D", "manager": { "value": "9" } },
        });
        let parsed: Filter = filter.parse().unwrap_or_else(|error| panic!("{filter}: {error}"));
        assert_eq!(matches(&parsed, document.as_object().unwrap()), expected, "{filter}");
    }

    #[test]
    fn operators_follow_rfc_7644_table_3() {
        for (filter, expected) in [
            (r#"userName eq "ann""#, true),
            (r#"USERNAME EQ "ANN""#, true),
            (r#"userName eq "anna""#, false),
            (r#"userName ne "bob""#, true),
            (r#"id eq "7""#, true),
            (r#"userName co "N""#, true),
            (r#"userName sw "a""#, true),
            (r#"userName ew "nn""#, true),
            (r#"userName gt "ab""#, true),
            (r#"userName le "ann""#, true),
            ("loginCount ge 5", true),
            ("loginCount lt 5", false),
            ("active eq true", true),
            ("active eq false", false),
            ("title pr", false),
            ("userName pr", true),
            (r#"nickName ne "x""#, true),
            ("nickName eq null", true),
            (r#"name.givenName eq "ann""#, true),
            (r#"emails eq "ann@a.example""#, true),
            (r#"emails.type eq "home""#, true),
            (r#"emails[type eq "work" and value ew "a.example"]"#, true),
            (r#"emails[type eq "home" and value ew "a.example"]"#, false),
            (r#"not (userName eq "ann")"#, false),
            (r#"userName eq "bob" or active eq true"#, true),
            (r#"userName eq "bob" and active eq true"#, false),
            (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "r&d""#, true),
            (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "9""#, true),
            (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ann""#, true),
            (r#"urn:ietf:params:scim:schemas:extension:other:2.0:User:department pr"#, false),
        ] {
            check(filter, expected);
        }
    }

    #[test]
    fn equalities_come_from_conjunctions_only() {
        let filter: Filter = r#"userName eq "a" and externalId eq "b""#.parse().unwrap();
        let names: Vec<_> = equalities(&filter).into_iter().map(|found| found.attribute).collect();
        assert_eq!(names, ["username", "externalid"]);
        let filter: Filter = r#"members[value eq "x"]"#.parse().unwrap();
        assert_eq!(equalities(&filter), [Equality { attribute: "members.value".to_owned(), value: "x" }]);
        let filter: Filter = r#"userName eq "a" or externalId eq "b""#.parse().unwrap();
        assert!(equalities(&filter).is_empty());
    }
}
