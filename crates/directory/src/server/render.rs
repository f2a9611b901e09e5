//! Resources as they are shown: with `schemas`, `id` and `meta`, a group with its members, a user with its
//! groups, and only what was asked for.

use chrono::{Datelike, Timelike};
use scimfleet_core::scim::Document;
use scimfleet_core::scim::path::is_urn;
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{GroupMember, ResourceRow, Store, StoreError};
use serde_json::{Value, json};

use super::auth::SOURCE_PREFIX;
use super::projection::Projection;
use super::uri::encode;

/// Members that are read together.
const MEMBERS_PER_READ: i64 = 1_000;

/// The entity tag of a resource: weak, since groups of a user are shown with it and are not part of it.
pub(super) fn version_of(row: &ResourceRow) -> String {
    format!("W/\"{}\"", row.generation)
}

pub(super) fn location_of(base_url: &str, kind: ResourceKind, id: &ResourceId) -> String {
    format!("{base_url}{}/{}", kind.endpoint(), encode(id.as_str()))
}

/// Milliseconds since 1970 as RFC 7643 §2.3.5 writes them.
pub(super) fn date_time(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.timestamp_subsec_millis()
    )
}

/// The resource without its members and groups, all of it.
pub(super) fn whole(base_url: &str, row: &ResourceRow) -> Document {
    let mut schemas = vec![row.kind.schema_urn()];
    schemas.extend(row.document.keys().map(String::as_str).filter(|name| is_urn(name)));
    let mut shown = Document::new();
    shown.insert("schemas".to_owned(), json!(schemas));
    shown.insert("id".to_owned(), json!(row.id));
    shown.extend(row.document.clone());
    // A client gets back what it wrote, so that what it removed is not there. Whoever came another way and of
    // whom nothing else was said is active.
    if row.kind == ResourceKind::User && !row.source.starts_with(SOURCE_PREFIX) {
        shown.insert("active".to_owned(), json!(row.active));
    }
    // Passwords do not come in; this is the second door.
    shown.shift_remove("password");
    shown.insert(
        "meta".to_owned(),
        json!({
            "resourceType": row.kind.resource_type(),
            "created": date_time(row.created_at_ms),
            "lastModified": date_time(row.updated_at_ms),
            "location": location_of(base_url, row.kind, &row.id),
            "version": version_of(row),
        }),
    );
    shown
}

/// These resources, all of one kind, as they are shown.
pub(super) async fn show(
    store: &Store,
    base_url: &str,
    rows: &[ResourceRow],
    projection: &Projection,
) -> Result<Vec<Document>, StoreError> {
    let mut shown: Vec<Document> = rows.iter().map(|row| whole(base_url, row)).collect();
    match rows.first().map(|row| row.kind) {
        Some(ResourceKind::User) if projection.shows("groups") => {
            add_groups(store, base_url, rows, &mut shown).await?;
        }
        Some(ResourceKind::Group) if projection.shows("members") => {
            for (row, document) in rows.iter().zip(&mut shown) {
                add_members(store, base_url, row, document, projection.asks_for_some()).await?;
            }
        }
        _ => {}
    }
    Ok(shown.into_iter().map(|document| projection.apply(document)).collect())
}

/// One resource as it is shown.
pub(super) async fn show_one(
    store: &Store,
    base_url: &str,
    row: &ResourceRow,
    projection: &Projection,
) -> Result<Value, StoreError> {
    let mut shown = show(store, base_url, std::slice::from_ref(row), projection).await?;
    Ok(shown.pop().map_or(Value::Null, Value::Object))
}

/// `groups` of users (RFC 7643 §4.1.2): the direct ones.
pub(super) async fn add_groups(
    store: &Store,
    base_url: &str,
    rows: &[ResourceRow],
    shown: &mut [Document],
) -> Result<(), StoreError> {
    let ids: Vec<ResourceId> = rows.iter().map(|row| row.id.clone()).collect();
    let groups = store.direct_groups(&ids).await?;
    for (row, document) in rows.iter().zip(shown) {
        let Some(list) = groups.get(&row.id).filter(|list| !list.is_empty()) else { continue };
        let list = list.iter().map(|group| reference(base_url, group, "direct")).collect();
        insert_before_meta(document, "groups", list);
    }
    Ok(())
}

async fn add_members(
    store: &Store,
    base_url: &str,
    row: &ResourceRow,
    document: &mut Document,
    with_display: bool,
) -> Result<(), StoreError> {
    let mut list = Vec::new();
    let mut after: Option<ResourceId> = None;
    loop {
        let page = store.group_members_after(&row.id, after.as_ref(), MEMBERS_PER_READ).await?;
        list.extend(page.iter().map(|member| {
            let mut shown = reference(base_url, member, member.kind.resource_type());
            if let Some(shown) = shown.as_object_mut().filter(|_| !with_display) {
                shown.shift_remove("display");
            }
            shown
        }));
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.id),
            None => break,
        }
    }
    if !list.is_empty() {
        insert_before_meta(document, "members", Value::Array(list));
    }
    Ok(())
}

/// A member, or a group that somebody is in.
pub(super) fn reference(base_url: &str, one: &GroupMember, kind: &str) -> Value {
    json!({
        "value": one.id,
        "$ref": location_of(base_url, one.kind, &one.id),
        "display": one.display,
        "type": kind,
    })
}

fn insert_before_meta(document: &mut Document, name: &str, value: Value) {
    let meta = document.shift_remove("meta");
    document.insert(name.to_owned(), value);
    document.extend(meta.map(|meta| ("meta".to_owned(), meta)));
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_date_is_written_as_it_is_read() {
        for (ms, text) in [(0, "1970-01-01T00:00:00.000Z"), (1_798_761_600_007, "2027-01-01T00:00:00.007Z")] {
            assert_eq!(super::date_time(ms), text);
            assert_eq!(scimfleet_core::scim::filter::date_time_ms(text), Some(ms));
        }
    }
}
