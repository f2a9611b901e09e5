//! What of a filter the database can answer, and what is left to be looked at row by row.

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::filter::{
    AttrExp, AttrPath, CompValue, CompareOp, Filter, ValFilter, ValuePath, date_time_ms,
};
use scimfleet_core::scim::path::is_core_urn;
use scimfleet_store::{Compare, Condition, SortKey};

/// A filter, taken apart: what holds for every match, and what else must.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Narrowed {
    pub(super) condition: Condition,
    pub(super) residual: Option<Filter>,
}

impl Narrowed {
    pub(super) const fn everything() -> Self {
        Self { condition: Condition::Constant(true), residual: None }
    }

    fn exact(condition: Condition) -> Self {
        Self { condition, residual: None }
    }

    fn unknown(filter: &Filter) -> Self {
        Self { condition: Condition::Constant(true), residual: Some(filter.clone()) }
    }
}

/// Takes a filter apart.
pub(super) fn narrow(kind: ResourceKind, filter: &Filter) -> Narrowed {
    match filter {
        Filter::Attr(expression) => leaf(kind, expression).map_or_else(|| Narrowed::unknown(filter), Narrowed::exact),
        Filter::ValuePath(path) => value_path(kind, path).map_or_else(|| Narrowed::unknown(filter), Narrowed::exact),
        Filter::Not(inner) => {
            let inner = narrow(kind, inner);
            match inner.residual {
                None => Narrowed::exact(Condition::Not(Box::new(inner.condition))),
                Some(_) => Narrowed::unknown(filter),
            }
        }
        Filter::And(all) => {
            let parts: Vec<Narrowed> = all.iter().map(|one| narrow(kind, one)).collect();
            let residual = Filter::all(parts.iter().filter_map(|part| part.residual.clone()));
            Narrowed { condition: Condition::All(parts.into_iter().map(|part| part.condition).collect()), residual }
        }
        Filter::Or(any) => {
            let parts: Vec<Narrowed> = any.iter().map(|one| narrow(kind, one)).collect();
            let residual = parts.iter().any(|part| part.residual.is_some()).then(|| filter.clone());
            Narrowed { condition: Condition::Any(parts.into_iter().map(|part| part.condition).collect()), residual }
        }
    }
}

/// The name of a core attribute in lower case, dotted if it has a sub-attribute.
fn core_name(path: &AttrPath) -> Option<String> {
    if path.uri.as_deref().is_some_and(|uri| !is_core_urn(uri)) {
        return None;
    }
    let name = path.sub_attr.as_ref().map_or_else(|| path.name.clone(), |sub| format!("{}.{sub}", path.name));
    Some(name.to_ascii_lowercase())
}

fn leaf(kind: ResourceKind, expression: &AttrExp) -> Option<Condition> {
    match expression {
        AttrExp::Present(path) => match (kind, core_name(path)?.as_str()) {
            (_, "id" | "schemas" | "meta" | "meta.created" | "meta.lastmodified" | "meta.resourcetype")
            | (_, "meta.version" | "meta.location")
            | (ResourceKind::User, "username" | "active")
            | (ResourceKind::Group, "displayname") => Some(Condition::Constant(true)),
            (_, "externalid") => Some(Condition::HasExternalId),
            (ResourceKind::Group, "members" | "members.value") => Some(Condition::HasMembers),
            _ => None,
        },
        AttrExp::Comparison(path, op, value) => comparison(kind, &core_name(path)?, op, value),
    }
}

fn comparison(kind: ResourceKind, name: &str, op: &CompareOp, value: &CompValue) -> Option<Condition> {
    if *op == CompareOp::Ne && !matches!(value, CompValue::Null) {
        let equal = comparison(kind, name, &CompareOp::Eq, value)?;
        return Some(Condition::Not(Box::new(equal)));
    }
    match (kind, name, value) {
        (ResourceKind::User, "active", value) if *op == CompareOp::Eq => Some(Condition::Active(truth(value)?)),
        (ResourceKind::User, "username", CompValue::Str(text))
        | (ResourceKind::Group, "displayname", CompValue::Str(text)) => match op {
            CompareOp::Sw => Some(Condition::NameBegins(text.clone())),
            op => Some(Condition::Name(order(op)?, text.clone())),
        },
        (ResourceKind::User, "displayname", CompValue::Str(text)) => match op {
            CompareOp::Sw => Some(Condition::DisplayBegins(text.clone())),
            op => Some(Condition::Display(order(op)?, text.clone())),
        },
        (_, "meta.created", CompValue::Str(text)) => Some(Condition::Created(order(op)?, date_time_ms(text)?)),
        (_, "meta.lastmodified", CompValue::Str(text)) => Some(Condition::Updated(order(op)?, date_time_ms(text)?)),
        (_, name, CompValue::Str(text)) if *op == CompareOp::Eq => equality(kind, name, text),
        _ => None,
    }
}

fn equality(kind: ResourceKind, name: &str, text: &str) -> Option<Condition> {
    match (kind, name) {
        (_, "id") => Some(Condition::Id(text.to_owned())),
        (_, "externalid") => Some(Condition::ExternalId(text.to_owned())),
        (_, "meta.resourcetype") => Some(Condition::Constant(text == kind.resource_type())),
        (ResourceKind::Group, "members" | "members.value") => Some(Condition::HasMember(text.to_owned())),
        (ResourceKind::User, "groups" | "groups.value") => Some(Condition::MemberOf(text.to_owned())),
        _ => None,
    }
}

/// `active eq "True"` is a habit of Entra.
fn truth(value: &CompValue) -> Option<bool> {
    match value {
        CompValue::True => Some(true),
        CompValue::False => Some(false),
        CompValue::Str(text) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

const fn order(op: &CompareOp) -> Option<Compare> {
    match op {
        CompareOp::Eq => Some(Compare::Equal),
        CompareOp::Lt => Some(Compare::Less),
        CompareOp::Le => Some(Compare::AtMost),
        CompareOp::Gt => Some(Compare::Greater),
        CompareOp::Ge => Some(Compare::AtLeast),
        CompareOp::Ne | CompareOp::Co | CompareOp::Sw | CompareOp::Ew => None,
    }
}

/// `members[value eq "a"]`, and several of them joined by `or`.
fn value_path(kind: ResourceKind, path: &ValuePath) -> Option<Condition> {
    let name = core_name(&path.attr)?;
    ids(&path.filter)?
        .into_iter()
        .map(|id| equality(kind, &format!("{name}.value"), &id))
        .collect::<Option<_>>()
        .map(Condition::Any)
}

fn ids(filter: &ValFilter) -> Option<Vec<String>> {
    match filter {
        ValFilter::Attr(AttrExp::Comparison(path, CompareOp::Eq, CompValue::Str(id)))
            if path.name.eq_ignore_ascii_case("value") =>
        {
            Some(vec![id.clone()])
        }
        ValFilter::Or(any) => any.iter().map(ids).collect::<Option<Vec<_>>>().map(|lists| lists.concat()),
        _ => None,
    }
}

/// Whether a filter looks at this core attribute.
pub(super) fn mentions(filter: &Filter, name: &str) -> bool {
    let same = |path: &AttrPath| path.name.eq_ignore_ascii_case(name) && path.uri.as_deref().is_none_or(is_core_urn);
    match filter {
        Filter::Attr(AttrExp::Present(path) | AttrExp::Comparison(path, ..)) => same(path),
        Filter::ValuePath(path) => same(&path.attr),
        Filter::Not(inner) => mentions(inner, name),
        Filter::And(all) | Filter::Or(all) => all.iter().any(|one| mentions(one, name)),
    }
}

/// An order that the database keeps.
pub(super) fn sort_key(kind: ResourceKind, path: &AttrPath) -> Option<SortKey> {
    match (kind, core_name(path)?.as_str()) {
        (_, "id") => Some(SortKey::Id),
        (ResourceKind::User, "username") | (ResourceKind::Group, "displayname") => Some(SortKey::Name),
        (_, "externalid") => Some(SortKey::ExternalId),
        (_, "meta.created") => Some(SortKey::Created),
        (_, "meta.lastmodified") => Some(SortKey::Updated),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ResourceKind, text: &str, condition: &str, residual: Option<&str>) {
        let filter: Filter = text.parse().unwrap();
        let narrowed = narrow(kind, &filter);
        assert_eq!(format!("{:?}", narrowed.condition), condition, "{text}");
        assert_eq!(narrowed.residual.map(|filter| filter.to_string()).as_deref(), residual, "{text}");
    }

    #[test]
    fn the_database_is_asked_as_much_as_it_can_answer() {
        let user = ResourceKind::User;
        check(user, r#"userName eq "a""#, r#"Name(Equal, "a")"#, None);
        check(user, r#"userName sw "a""#, r#"NameBegins("a")"#, None);
        check(user, r#"externalId ne "a""#, r#"Not(ExternalId("a"))"#, None);
        check(user, r#"active eq "False""#, "Active(false)", None);
        check(user, r#"displayName eq "a""#, r#"Display(Equal, "a")"#, None);
        check(user, r#"not (displayName sw "a")"#, r#"Not(DisplayBegins("a"))"#, None);
        check(user, r#"title eq "a""#, "Constant(true)", Some(r#"title eq "a""#));
        check(
            user,
            r#"userName eq "a" and title co "b""#,
            r#"All([Name(Equal, "a"), Constant(true)])"#,
            Some(r#"title co "b""#),
        );
        check(
            user,
            r#"userName eq "a" or title co "b""#,
            r#"Any([Name(Equal, "a"), Constant(true)])"#,
            Some(r#"userName eq "a" or title co "b""#),
        );
        check(user, "not (title pr)", "Constant(true)", Some("not (title pr)"));
        check(user, r#"groups.value eq "g""#, r#"MemberOf("g")"#, None);
        let group = ResourceKind::Group;
        check(group, r#"displayName eq "a""#, r#"Name(Equal, "a")"#, None);
        check(group, r#"members.value eq "u""#, r#"HasMember("u")"#, None);
        check(group, r#"members[value eq "u"]"#, r#"Any([HasMember("u")])"#, None);
        check(group, r#"meta.resourceType eq "User""#, "Constant(false)", None);
        check(group, r#"meta.lastModified gt "1970-01-01T00:00:01Z""#, "Updated(Greater, 1000)", None);
    }
}
