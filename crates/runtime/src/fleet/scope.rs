//! `scope` of a provider: who and what is sent. Expressions are compiled by whoever applies the file.

use scimfleet_core::provider::Scope;

use crate::reading::Table;

pub(super) fn read(provider: &Table<'_, '_>, scope: &mut Scope) {
    let Some(table) = provider.table("scope") else { return };
    if table.entry("users").is_some() {
        scope.users =
            table.needed_text("users", "an expression over `user`; leave it out for everybody").map(|text| text.value);
    }
    if let Some(groups) = names(&table, "members_of") {
        scope.members_of = groups;
    }
    scope.push_groups = names(&table, "push_groups");
    if let Some(exclude) = table.flag("exclude_service_accounts") {
        scope.exclude_service_accounts = exclude;
    }
    table.finish();
}

fn names(table: &Table<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    let found = table.list(key)?;
    for name in &found {
        if name.value.trim().is_empty() {
            table.note_value(key, name.span.clone(), "holds an empty name", None);
        }
    }
    Some(found.into_iter().map(|name| name.value).collect())
}
