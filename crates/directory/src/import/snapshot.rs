//! What a snapshot lacks: who the source brought earlier and no file names any more.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use scimfleet_core::ResourceId;
use scimfleet_core::scim::resource::fold;
use scimfleet_store::{Store, StoreError};

/// Resources read or removed at once.
const PAGE: usize = 1000;

/// Who was seen, as 64-bit hashes: eight bytes instead of a text for each of a million. Two that share a
/// hash would at worst keep somebody who should go.
#[derive(Default)]
pub(super) struct Seen {
    hasher: RandomState,
    ids: HashSet<u64>,
    keys: HashSet<u64>,
    strangers: bool,
}

impl Seen {
    pub(super) fn accepted(&mut self, id: &ResourceId) {
        self.ids.insert(self.hasher.hash_one(id.as_str()));
    }

    /// A rejected line still says that its resource exists. One whose key cannot be read could be anybody.
    pub(super) fn rejected(&mut self, key: Option<&str>) {
        match key {
            Some(key) => drop(self.keys.insert(self.hasher.hash_one(fold(key)))),
            None => self.strangers = true,
        }
    }

    /// Lines were rejected that could be anybody's.
    pub(super) fn has_strangers(&self) -> bool {
        self.strangers
    }

    fn has(&self, id: &ResourceId) -> bool {
        self.ids.contains(&self.hasher.hash_one(id.as_str()))
    }

    fn has_key(&self, key: &str) -> bool {
        self.keys.contains(&self.hasher.hash_one(fold(key)))
    }
}

/// What the files lack.
pub(super) struct Surplus {
    /// Live resources of the source.
    pub(super) live: u64,
    /// Those of them that the files lack.
    pub(super) ids: Vec<ResourceId>,
}

pub(super) async fn surplus(store: &Store, source: &str, seen: &Seen) -> Result<Surplus, StoreError> {
    let mut surplus = Surplus { live: 0, ids: Vec::new() };
    let mut after = None;
    loop {
        let page = store.ids_of_source(source, after.as_ref(), PAGE as i64).await?;
        let Some(last) = page.last() else { return Ok(surplus) };
        after = Some(last.clone());
        surplus.live += page.len() as u64;
        let mut missing: Vec<ResourceId> = page.into_iter().filter(|id| !seen.has(id)).collect();
        if !missing.is_empty() && !seen.keys.is_empty() {
            let rows = store.resources(&missing).await?;
            let named = rows.iter().filter(|row| {
                seen.has_key(row.name()) || row.external_id.as_deref().is_some_and(|key| seen.has_key(key))
            });
            let named: HashSet<&ResourceId> = named.map(|row| &row.id).collect();
            missing.retain(|id| !named.contains(id));
        }
        surplus.ids.extend(missing);
    }
}

pub(super) async fn remove(store: &Store, ids: &[ResourceId]) -> Result<u64, StoreError> {
    let mut removed = 0;
    for page in ids.chunks(PAGE) {
        removed += store.delete_resources(page).await?;
    }
    Ok(removed)
}
