//! The guard before anything is published (R28): when more would be taken away than the operator allows
//! within an hour, all of it is withheld and a person decides. The worker checks once more.

use scimfleet_core::RunId;
use scimfleet_store::{HoldItem, ProviderRow};

use crate::{Scheduler, SchedulerError};

/// The sliding window of the guard.
const WINDOW_MS: i64 = 3600 * 1000;
/// Items listed in one hold at the most; more than that nobody reads one by one.
const ITEMS_MAX: i64 = 100_000;

impl Scheduler {
    /// Withholds the leavers of a provider that go beyond its guard. Returns how many.
    pub(crate) async fn guard_leavers(
        &self,
        provider: &ProviderRow,
        run: Option<RunId>,
    ) -> Result<usize, SchedulerError> {
        let items = self.store.leavers_to_judge(provider.id, ITEMS_MAX).await?;
        if items.is_empty() {
            return Ok(0);
        }
        let owned = self.store.link_counts(provider.id).await?.owned;
        let taken = self.store.removals_since(provider.id, self.store.now_ms() - WINDOW_MS).await?;
        let allowance = provider.settings.guard.allowance(owned);
        let Some(reason) = trips(&items, owned, taken, allowance) else { return Ok(0) };
        tracing::warn!(provider = %provider.settings.name, withheld = items.len(), reason,
            "the guard withheld removals; `scimfleet holds list` shows them");
        self.store.withhold(provider.id, run, &reason, &items).await?;
        Ok(items.len())
    }
}

fn trips(items: &[HoldItem], owned: u64, taken: u64, allowance: u64) -> Option<String> {
    let planned = items.len() as u64;
    if owned > 1 && planned >= owned {
        return Some(format!("all {owned} accounts would go"));
    }
    (planned + taken > allowance).then(|| {
        format!("{planned} of {owned} accounts would go, {taken} went within the last hour, {allowance} may go unasked")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use scimfleet_core::{ResourceId, ResourceKind};

    fn items(count: usize) -> Vec<HoldItem> {
        let item = |n: usize| HoldItem {
            resource_id: ResourceId::parse(format!("u{n}")).unwrap(),
            kind: ResourceKind::User,
            name: String::new(),
            operation: "deleted".to_owned(),
            marked: 1,
        };
        (0..count).map(item).collect()
    }

    #[test]
    fn the_guard_trips_beyond_the_allowance_and_for_everybody() {
        assert_eq!(trips(&items(20), 1000, 0, 20), None);
        assert!(trips(&items(21), 1000, 0, 20).is_some());
        assert!(trips(&items(1), 1000, 20, 20).is_some());
        assert!(trips(&items(3), 3, 0, 20).is_some());
        assert_eq!(trips(&items(1), 1, 0, 20), None);
    }
}
