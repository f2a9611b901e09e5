//! What a client wrote, read, normalised and judged before the store sees it.

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::ScimType;
use scimfleet_core::scim::normal;
use scimfleet_core::scim::patch::member_ids;
use scimfleet_core::scim::path::member;
use scimfleet_core::scim::schema::SchemaSet;
use scimfleet_core::scim::validate::{Rule, validate};
use scimfleet_store::Password;
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
    /// To be sealed, delivered and erased.
    pub(super) password: Option<Password>,
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
    let password = take_password(kind, &mut document)?;
    // RFC 7643 §2.2 leaves the default to us, and somebody who is created is there.
    if kind == ResourceKind::User {
        document.entry("active").or_insert(Value::Bool(true));
    }
    judge(kind, &document)?;
    Ok(Accepted { document, members, password })
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

/// Takes the password out of a document: it must never be kept in the clear. What stands among the free
/// attributes is nobody's password and is dropped.
pub(super) fn take_password(kind: ResourceKind, document: &mut Document) -> Result<Option<Password>, ScimError> {
    if let Some(free) = document.get_mut("attributes").and_then(Value::as_object_mut) {
        free.retain(|name, _| !name.eq_ignore_ascii_case("password"));
    }
    match document.shift_remove("password") {
        None | Some(Value::Null) => Ok(None),
        Some(_) if kind == ResourceKind::Group => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(Password::new(text))),
        Some(_) => Err(ScimError::bad(ScimType::InvalidValue, "`password` is empty, or not a text")),
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
