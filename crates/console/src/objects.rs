//! Links together with what people call their objects.

use std::collections::HashMap;

use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{LinkRow, ResourceRow, RunRow, Store, StoreError, TrailFilter};

/// A link and the name of its object.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) link: LinkRow,
    /// `userName` or `displayName`; the id when the object is not there any more.
    pub(crate) name: String,
    /// The words of mapping or provider, cut: a list stays small. The object's page has them whole.
    pub(crate) words: String,
}

/// Characters of an error in a list.
const WORDS_MAX: usize = 240;

/// The beginning of a text.
pub(crate) fn cut_words(text: &str) -> String {
    match text.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Writes of one run only. It was going during a known time: only that part of the log is looked through.
pub(crate) fn within(filter: TrailFilter, run: &RunRow) -> TrailFilter {
    // Rows are dated when they are recorded, by the same clock; a task may still settle when its run has ended.
    const SETTLES_MS: i64 = 600_000;
    let ended = run.finished_at_ms.map(|end| end + SETTLES_MS);
    TrailFilter {
        run: Some(run.id),
        since_ms: filter.since_ms.max(run.created_at_ms),
        until_ms: [filter.until_ms, ended].into_iter().flatten().min(),
        ..filter
    }
}

/// Adds the names, by one query.
pub(crate) async fn named(store: &Store, links: Vec<LinkRow>) -> Result<Vec<Named>, StoreError> {
    let ids: Vec<ResourceId> = links.iter().map(|link| link.resource_id.clone()).collect();
    let names = names(store, &ids).await?;
    let name = |link: &LinkRow| names.get(&link.resource_id).cloned();
    Ok(links
        .into_iter()
        .map(|link| Named {
            name: name(&link).unwrap_or_else(|| link.resource_id.to_string()),
            words: link.last_error.as_deref().map(cut_words).unwrap_or_default(),
            link,
        })
        .collect())
}

/// What people call these objects.
pub(crate) async fn names(store: &Store, ids: &[ResourceId]) -> Result<HashMap<ResourceId, String>, StoreError> {
    let rows = store.resources(ids).await?;
    Ok(rows.into_iter().map(|row| (row.id.clone(), row.name().to_owned())).collect())
}

/// Finds what a person typed: the exact one by id, externalId or name, else those whose name begins so.
/// True when there are more.
pub(crate) async fn find(
    store: &Store,
    query: &str,
    kind: Option<ResourceKind>,
    after: Option<&ResourceId>,
    limit: usize,
) -> Result<(Vec<ResourceRow>, bool), StoreError> {
    if after.is_none() && !query.is_empty() {
        let mut exact = store.find_resources(query).await?;
        exact.retain(|row| kind.is_none_or(|kind| row.kind == kind));
        let by_id = exact.iter().all(|row| row.id.as_str() == query || row.external_id.as_deref() == Some(query));
        if !exact.is_empty() && by_id {
            return Ok((exact, false));
        }
    }
    let kinds = [ResourceKind::User, ResourceKind::Group];
    let wanted = kinds.iter().filter(|known| kind.is_none_or(|kind| kind == **known));
    let mut found = Vec::new();
    let one_more = limit + 1;
    for kind in wanted {
        let rest = i64::try_from(one_more - found.len().min(one_more)).unwrap_or(0);
        if rest > 0 {
            found.extend(store.resources_named(*kind, query, after, rest).await?);
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}
