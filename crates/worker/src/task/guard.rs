//! The last line of the guard (R28): whatever lane a removal comes by, it is counted against what the
//! provider's operator allows within an hour, and withheld when it goes beyond.

use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Operation, Plan};
use scimfleet_store::{HoldItem, StoreError};

use super::Session;
use super::attempt::Attempt;

/// The sliding window of the guard.
const WINDOW_MS: i64 = 3600 * 1000;

impl Session<'_> {
    /// Withholds what goes beyond the allowance. Costs two reads, and only when a task takes away anything.
    pub(crate) async fn guard(&self, attempts: &mut [Attempt]) -> Result<(), StoreError> {
        let planned: u64 = attempts.iter().filter(|attempt| !attempt.link.approved).map(weight).sum();
        if planned == 0 {
            return Ok(());
        }
        let (store, provider) = (&self.worker.store, &self.provider.row);
        let guard = &provider.settings.guard;
        let owned = store.count_owned(provider.id, guard.owned_that_count()).await?;
        let taken = store.removals_since(provider.id, store.now_ms() - WINDOW_MS).await?;
        let mut left = guard.allowance(owned).saturating_sub(taken);
        let mut items = Vec::new();
        for attempt in attempts.iter_mut().filter(|attempt| !attempt.link.approved) {
            let weight = weight(attempt);
            if weight == 0 {
                continue;
            }
            if weight <= left {
                left -= weight;
                continue;
            }
            items.push(item(attempt));
            attempt.outcome = Some(Outcome::Held);
        }
        if !items.is_empty() {
            let allowed = guard.allowance(owned);
            let owned = store.count_owned(provider.id, u64::MAX).await?;
            let reason = format!(
                "{allowed} removals within an hour are allowed for {owned} accounts, {taken} were made, {planned} more are planned"
            );
            tracing::warn!(provider = %provider.settings.name, withheld = items.len(), reason, "the guard withheld removals");
            store.withhold(provider.id, self.task.run, &reason, &items).await?;
        }
        Ok(())
    }
}

/// Accounts, memberships and cleared attributes that an attempt takes away.
fn weight(attempt: &Attempt) -> u64 {
    if attempt.outcome.is_some() {
        return 0;
    }
    let members = attempt.members.remove.len() as u64;
    let rest = attempt.plan.as_ref().map_or(0, |plan| match &plan.operation {
        Operation::Delete | Operation::Deactivate { .. } => 1,
        Operation::Patch { .. } | Operation::Replace { .. } => cleared(plan),
        Operation::Create { .. } | Operation::Nothing(_) => 0,
    });
    members + rest
}

fn cleared(plan: &Plan) -> u64 {
    plan.changes.iter().filter(|change| change.to.is_none()).count() as u64
}

fn item(attempt: &Attempt) -> HoldItem {
    let operation = attempt.plan.as_ref().map_or("members", |plan| plan.operation.word());
    HoldItem {
        resource_id: attempt.id().clone(),
        kind: attempt.link.kind,
        name: attempt.resource.as_ref().map(|row| row.name().to_owned()).unwrap_or_default(),
        operation: operation.to_owned(),
        marked: attempt.link.marked,
    }
}
