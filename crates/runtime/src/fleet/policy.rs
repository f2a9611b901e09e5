//! The keys of a provider that say how careful, how fast and how often.

use scimfleet_core::provider::{Guard, LeaverAction, Leavers, ProviderSettings, parse_rate};

use crate::reading::Table;
use crate::schedule::{SCHEDULE_HINT, Schedule};

const ACTIONS: [&str; 3] = ["deactivate", "delete", "keep"];

/// More requests at once than this exhaust a worker's file handles before they help.
const IN_FLIGHT_MAX: u64 = 1024;

pub(super) fn read(table: &Table<'_, '_>, settings: &mut ProviderSettings) {
    set(&mut settings.adopt, table.word("adopt", &["safe", "any", "never"]));
    set(&mut settings.on_invalid, table.word("on_invalid", &["stop", "skip"]));
    set(&mut settings.drift, table.word("drift", &["repair", "report"]));
    set(&mut settings.bulk, table.word("bulk", &["auto", "off"]));
    set(&mut settings.etag, table.word("etag", &["auto", "off"]));
    set(&mut settings.delete_adopted, table.flag("delete_adopted"));
    set(&mut settings.passwords, table.flag("passwords"));
    set(&mut settings.dry_run, table.flag("dry_run"));
    let in_flight = table.count("in_flight", 1..=IN_FLIGHT_MAX);
    set(&mut settings.in_flight, in_flight.and_then(|count| u32::try_from(count).ok()));
    settings.schedule = schedule(table);
    settings.rate = rate(table);
    leavers(table, &mut settings.leavers);
    guard(table, &mut settings.guard);
}

fn set<T>(place: &mut T, found: Option<T>) {
    if let Some(found) = found {
        *place = found;
    }
}

fn schedule(table: &Table<'_, '_>) -> Option<String> {
    let found = table.text("schedule")?;
    match found.value.parse::<Schedule>() {
        Ok(_) => Some(found.value.trim().to_owned()),
        Err(error) => {
            table.note_value("schedule", found.span, error.to_string(), Some(SCHEDULE_HINT.to_owned()));
            None
        }
    }
}

fn rate(table: &Table<'_, '_>) -> Option<String> {
    let found = table.text("rate")?;
    if parse_rate(&found.value).is_none() {
        let hint = Some("write `25/s`, `600/m` or `1000/h`".to_owned());
        table.note_value("rate", found.span, format!("`{}` is no rate", found.value), hint);
        return None;
    }
    Some(found.value)
}

/// One word for all, or a table with a word for each.
fn leavers(provider: &Table<'_, '_>, leavers: &mut Leavers) {
    let Some(entry) = provider.entry("leavers") else { return };
    if entry.get_ref().is_str() {
        let word: Option<LeaverAction> = provider.word("leavers", &ACTIONS);
        if let Some(action) = word {
            *leavers = Leavers { disabled: action, out_of_scope: action, deleted: action, groups: action };
        }
        return;
    }
    if !entry.get_ref().is_table() {
        let hint = Some(format!("one of {} for all, or a table", ACTIONS.join(", ")));
        provider.note_value("leavers", entry.span(), "expected a word or a table", hint);
        return;
    }
    let Some(table) = provider.table("leavers") else { return };
    set(&mut leavers.disabled, table.word("disabled", &ACTIONS));
    set(&mut leavers.out_of_scope, table.word("out_of_scope", &ACTIONS));
    set(&mut leavers.deleted, table.word("deleted", &ACTIONS));
    // A group has no `active` (RFC 7643 §4.2).
    if let Some(found) = table.text("groups") {
        if found.value == "deactivate" {
            let hint = Some("write `delete` or `keep`".to_owned());
            table.note_value("groups", found.span, "a group cannot be deactivated", hint);
        } else {
            set(&mut leavers.groups, table.as_word("groups", &found, &["delete", "keep"]));
        }
    }
    table.finish();
}

/// `guard`, of a provider or a source.
pub(crate) fn guard(owner: &Table<'_, '_>, guard: &mut Guard) {
    let Some(table) = owner.table("guard") else { return };
    if let Some(found) = table.text("share") {
        let share = found.value.clone();
        if (Guard { share, ..Guard::default() }).fraction().is_none() {
            let hint = Some("write a percentage such as `5%`".to_owned());
            table.note_value("share", found.span, format!("`{}` is no share", found.value), hint);
        }
        guard.share = found.value;
    }
    set(&mut guard.cap, table.count("cap", 0..=10_000_000));
    set(&mut guard.at_least, table.count("at_least", 0..=10_000_000));
    table.finish();
}
