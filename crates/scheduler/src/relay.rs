//! The relay of changes (R7): marks the links that changes concern, deletes exactly the changes that it
//! read, and only then publishes.

use std::collections::{BTreeMap, HashSet};

use scimfleet_core::profile::{self, NestedGroups};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{OutboxRow, ProviderRow, ResourceRow, Verdict, Wanted};

use crate::publish::Part;
use crate::scope::Scopes;
use crate::{Duty, Scheduler, SchedulerError};

/// Changes relayed in one transaction: enough to coalesce a burst, few enough to be quick.
const BATCH: i64 = 500;

impl Scheduler {
    /// Relays until the outbox is empty. Leavers are published as soon as they are marked.
    pub(crate) async fn relay(&self) -> Result<(), SchedulerError> {
        loop {
            let changes = self.store.outbox(BATCH).await?;
            if changes.is_empty() {
                return Ok(());
            }
            self.relay_batch(&changes).await?;
            if self.duty == Duty::Everything && changes.iter().any(OutboxRow::takes_away) {
                self.publish_owed(Part::Leavers).await?;
            }
            if self.drain.is_begun() {
                return Ok(());
            }
        }
    }

    async fn relay_batch(&self, changes: &[OutboxRow]) -> Result<(), SchedulerError> {
        let providers = self.store.providers().await?;
        let mut verdicts = Vec::with_capacity(providers.len());
        if !providers.is_empty() {
            let concerned = Concerned::of(self, changes).await?;
            for provider in &providers {
                verdicts.push((provider.id, self.concerns(provider, &concerned).await?));
            }
        }
        for change in changes {
            self.traces.note(&change.resource_id, change.traceparent.as_deref());
        }
        self.store.relay(changes, &verdicts).await?;
        for provider in &providers {
            // Behind a closed gate is somebody who asks the guard before anything is published.
            if let Some(passed) = self.gates.pass_now(provider.id) {
                self.guard_leavers(&passed, provider, None).await?;
            }
        }
        Ok(())
    }

    /// What the changes mean for one provider.
    async fn concerns(&self, provider: &ProviderRow, concerned: &Concerned) -> Result<Vec<Verdict>, SchedulerError> {
        let scopes = Scopes::of(&self.store, &self.evaluator, provider).await?;
        let mut verdicts = scopes.judge(concerned.changed.clone(), true).await?;
        if !provider.settings.scope.members_of.is_empty() {
            // Whoever joined or left a group may have entered or left the scope.
            verdicts.extend(scopes.judge(concerned.moved.clone(), false).await?);
        }
        self.store.park_unjudged(provider.id, &scopes.take_unjudged()).await?;
        let entered: Vec<ResourceId> = verdicts
            .iter()
            .filter(|verdict| verdict.kind == ResourceKind::User && verdict.wanted == Wanted::Yes)
            .map(|verdict| verdict.resource_id.clone())
            .collect();
        let known: HashSet<ResourceId> = verdicts.iter().map(|verdict| verdict.resource_id.clone()).collect();
        for group in self.store.groups_around(provider.id, &entered).await? {
            if !known.contains(&group) && concerned.arrived {
                verdicts.push(Verdict {
                    resource_id: group,
                    kind: ResourceKind::Group,
                    wanted: Wanted::Yes,
                    changed: true,
                });
            }
        }
        for group in self.flattened_above(provider, concerned).await? {
            verdicts.push(Verdict {
                resource_id: group,
                kind: ResourceKind::Group,
                wanted: Wanted::Yes,
                changed: true,
            });
        }
        // One row per object: a statement must not meet the same link twice.
        let mut single = BTreeMap::new();
        for verdict in verdicts {
            single
                .entry(verdict.resource_id.clone())
                .and_modify(|known: &mut Verdict| known.changed |= verdict.changed)
                .or_insert(verdict);
        }
        Ok(single.into_values().collect())
    }
}

impl Scheduler {
    /// Where groups are flattened, a change inside a group is one of every group that holds it.
    async fn flattened_above(
        &self,
        provider: &ProviderRow,
        concerned: &Concerned,
    ) -> Result<Vec<ResourceId>, SchedulerError> {
        let groups: Vec<ResourceId> =
            concerned.changed.iter().filter(|row| row.kind == ResourceKind::Group).map(|row| row.id.clone()).collect();
        let profile = profile::of(&provider.settings, provider.announced.as_deref(), &provider.remembered);
        let flattens = profile.is_ok_and(|known| known.profile.nested_groups == NestedGroups::Flatten);
        if groups.is_empty() || !flattens {
            return Ok(Vec::new());
        }
        let above = self.store.groups_above(provider.id, &groups).await?;
        Ok(above.into_iter().filter(|group| !groups.contains(group)).collect())
    }
}

/// The resources that a batch of changes is about.
struct Concerned {
    /// Changed themselves.
    changed: Vec<ResourceRow>,
    /// Joined or left a group, or are inside one that did.
    moved: Vec<ResourceRow>,
    /// Somebody is new: groups may have waited for them.
    arrived: bool,
}

impl Concerned {
    async fn of(scheduler: &Scheduler, changes: &[OutboxRow]) -> Result<Self, SchedulerError> {
        let store = &scheduler.store;
        let unique = |ids: HashSet<&ResourceId>| ids.into_iter().cloned().collect::<Vec<_>>();
        let changed = unique(changes.iter().map(|change| &change.resource_id).collect());
        let moved = unique(changes.iter().flat_map(|change| change.added.iter().chain(&change.removed)).collect());
        let moved = if moved.is_empty() { moved } else { store.users_under(&moved).await? };
        let of_change: HashSet<&ResourceId> = changed.iter().collect();
        let moved: Vec<ResourceId> = moved.into_iter().filter(|id| !of_change.contains(id)).collect();
        Ok(Self {
            arrived: changes.iter().any(|change| change.change == "created" && change.kind == ResourceKind::User),
            changed: store.resources(&changed).await?,
            moved: if moved.is_empty() { Vec::new() } else { store.resources(&moved).await? },
        })
    }
}
