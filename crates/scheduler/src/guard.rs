//! The guard before anything is published (R28): when more would be taken away than the operator allows
//! within an hour, all of it is withheld and a person decides. The worker checks once more.

use scimfleet_core::provider::MatchAttribute;
use scimfleet_core::{ResourceKind, RunId};
use scimfleet_store::{HoldItem, ProviderRow};

use crate::gates::Passed;
use crate::{Scheduler, SchedulerError};

/// The sliding window of the guard.
const WINDOW_MS: i64 = 3600 * 1000;
/// Items listed in one hold at the most; more than that nobody reads one by one.
const ITEMS_MAX: i64 = 100_000;

impl Scheduler {
    /// Withholds the leavers of a provider that go beyond its guard. Returns how many.
    pub(crate) async fn guard_leavers(
        &self,
        _passed: &Passed,
        provider: &ProviderRow,
        run: Option<RunId>,
    ) -> Result<usize, SchedulerError> {
        let items = self.store.leavers_to_judge(provider.id, ITEMS_MAX).await?;
        if items.is_empty() {
            return Ok(0);
        }
        let guard = &provider.settings.guard;
        let taken = self.store.removals_since(provider.id, self.store.now_ms() - WINDOW_MS).await?;
        let judged = |owned: u64| trips(&items, owned, taken, guard.allowance(owned));
        let enough = guard.owned_that_count().max(items.len() as u64 + 1);
        let owned = self.store.count_owned(provider.id, enough).await?;
        if judged(owned).is_none() {
            return Ok(0);
        }
        // A person reads the reason: for that all are counted.
        let Some(reason) = judged(self.store.count_owned(provider.id, u64::MAX).await?) else { return Ok(0) };
        tracing::warn!(provider = %provider.settings.name, withheld = items.len(), reason,
            "the guard withheld removals; `scimfleet holds list` shows them");
        self.store.withhold(provider.id, run, &reason, &items).await?;
        Ok(items.len())
    }
}

/// How a provider's accounts and the scope fit together at the end of a first listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    /// Users in scope.
    scope: u64,
    /// Accounts there that are nobody's.
    accounts: u64,
    /// Users in scope whom one of these accounts fits.
    matched: u64,
}

impl Match {
    /// At least half as many accounts as the scope, and fewer than a fifth of the scope match: the match
    /// is probably wrong, and everybody would be created a second time (R26). So small a scope that the
    /// guard would let it go is not asked about.
    const fn is_doubtful(self, at_least: u64) -> bool {
        self.scope >= at_least && 2 * self.accounts >= self.scope && 5 * self.matched < self.scope
    }
}

impl Scheduler {
    /// Before a first run creates anything at a provider that holds many accounts of which few match, a
    /// person decides.
    pub(crate) async fn guard_first_match(&self, run: RunId, provider: &ProviderRow) -> Result<(), SchedulerError> {
        if self.store.count_accounts(provider.id, ResourceKind::User).await? > 0
            || self.store.has_approved(provider.id).await?
        {
            return Ok(());
        }
        let settings = &provider.settings;
        let by_external_id = settings.match_order.contains(&MatchAttribute::ExternalId);
        let by_name = settings.match_order.contains(&MatchAttribute::UserName);
        let (scope, accounts, matched) = self.store.first_match(provider.id, by_external_id, by_name).await?;
        if !(Match { scope, accounts, matched }).is_doubtful(settings.guard.at_least) {
            return Ok(());
        }
        let items = self.store.newcomers(provider.id, ITEMS_MAX).await?;
        let reason = format!(
            "{accounts} accounts are there already, and only {matched} of {scope} users match one of them: \
             `match` is probably wrong, and the others would be created a second time"
        );
        tracing::warn!(provider = %settings.name, withheld = items.len(), reason,
            "the first run waits for an approval; `scimfleet holds list` shows it");
        self.store.withhold(provider.id, Some(run), &reason, &items).await?;
        Ok(())
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
    use scimfleet_core::ResourceId;

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
    fn a_first_match_is_doubted_when_many_are_there_and_few_fit() {
        let doubtful = |scope, accounts, matched| Match { scope, accounts, matched }.is_doubtful(20);
        assert!(doubtful(100, 50, 19));
        assert!(!doubtful(100, 49, 0), "few are there");
        assert!(!doubtful(100, 90, 20), "a fifth matches");
        assert!(!doubtful(19, 19, 0), "too few to ask about");
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
