//! What a client wrote, read, normalised and judged before the store sees it.

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::ScimType;
use scimfleet_core::scim::normal;
use scimfleet_core::scim::patch::member_ids;
use scimfleet_core::scim::path::member;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::scim::validate::{Rule, validate};
use serde_json::Value;

use super::answer::ScimError;

/// Violations that an answer tells; whoever breaks more sees the next ones then.
const TOLD_MAX: usize = 10;

/// A whole resource as it shall be kept.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) document: Document,
    /// The members that were named, for a group; `None`: it said nothing of them.
    pub(super) members: Option<Vec<String>>,
}

/// Reads the body of a POST or PUT.
pub(super) fn resource(kind: ResourceKind, body: Value) -> Result<Accepted, ScimError> {
    let Value::Object(body) = body else {
        return Err(ScimError::bad(ScimType::InvalidSyntax, "the body is not a JSON object"));
    };
    check_schemas(kind, &body)?;
    let named = (kind == ResourceKind::Group).then(|| member(&body, "members").cloned()).flatten();
    let mut document = normal::resource(kind, body, SchemaSet::builtin());
    let members = match named {
        Some(members) => {
            document.shift_remove("members");
            let ids = member_ids(members);
            Some(ids.ok_or_else(|| ScimError::bad(ScimType::InvalidValue, "a member has no `value`"))?)
        }
        None => None,
    };
    without_password(&mut document);
    judge(kind, &document)?;
    Ok(Accepted { document, members })
}

/// A resource of another kind is at the wrong endpoint.
fn check_schemas(kind: ResourceKind, body: &Document) -> Result<(), ScimError> {
    let schemas = match member(body, "schemas") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(ScimError::bad(ScimType::InvalidValue, "`schemas` is not a list")),
    };
    let other = ResourceKind::ALL.iter().filter(|other| **other != kind).map(|other| other.schema_urn());
    let names = |urn: &str| schemas.iter().any(|item| item.as_str().is_some_and(|text| text.eq_ignore_ascii_case(urn)));
    match other.into_iter().find(|urn| names(urn)) {
        Some(urn) if !names(kind.schema_urn()) => Err(ScimError::bad(
            ScimType::InvalidValue,
            format!("`schemas` names `{urn}`, which is not of this endpoint"),
        )),
        _ => Ok(()),
    }
}

/// Takes passwords out: they must never be kept in the clear.
pub(super) fn without_password(document: &mut Document) {
    let free = document.get_mut("attributes").and_then(Value::as_object_mut);
    let hidden = free.is_some_and(|free| {
        let before = free.len();
        free.retain(|name, _| !name.eq_ignore_ascii_case("password"));
        free.len() < before
    });
    if document.shift_remove("password").is_some() || hidden {
        tracing::warn!("a password was written to the directory and dropped: passwords are not passed on");
    }
}

/// Applies the rules of RFC 7643. What no schema knows is kept, and `schemas` follows from what is there.
pub(super) fn judge(kind: ResourceKind, document: &Document) -> Result<(), ScimError> {
    let report = validate(kind, document, SchemaSet::builtin());
    let ours = |rule: Rule| !matches!(rule, Rule::UnknownAttribute | Rule::UnknownSchema | Rule::SchemasMissing);
    let broken = report.violations.iter().filter(|violation| ours(violation.rule));
    let told: Vec<String> = broken
        .take(TOLD_MAX)
        .map(|broken| format!("`{}`: {} ({})", broken.path, broken.rule, broken.value_kind))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    Err(ScimError::bad(ScimType::InvalidValue, format!("rules of RFC 7643 are broken: {}", told.join(", "))))
}
