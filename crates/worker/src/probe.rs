//! Probing providers that were set aside, ever more rarely; one worker at a time. A probe that succeeds
//! puts the provider back into service (`docs/operating.md`).

use std::time::Duration;

use scimfleet_core::state::ProviderState;
use scimfleet_core::task::{Cause, Lane, OBJECTS_PER_TASK_MAX, Task};
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind, TaskId};
use scimfleet_runtime::Drain;
use scimfleet_store::{Owed, ProviderRow, StoreError};

use crate::Worker;
use crate::task::{TaskOutcome, process};

const LOOK_EVERY: Duration = Duration::from_secs(5);
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Probes until the drain begins.
pub(crate) async fn run(worker: Worker, drain: Drain) {
    while !drain.is_begun() {
        if let Err(error) = look(&worker).await {
            tracing::debug!(error = %error, "providers could not be probed");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = drain.begun() => {}
        }
    }
}

async fn look(worker: &Worker) -> Result<(), StoreError> {
    for row in worker.store.providers().await? {
        if !matches!(row.state, ProviderState::Degraded | ProviderState::Quarantined) {
            continue;
        }
        let age_ms = worker.store.now_ms().saturating_sub(row.state_since_ms).max(0);
        let age = Duration::from_millis(age_ms.unsigned_abs());
        let Some(pause) = pause(row.state, age) else { continue };
        let name = format!("probe:{}", row.id);
        // The lease lasts as long as the pause between probes: nobody else probes in that time.
        let holder = format!("{}@{}", worker.name, worker.store.now_ms());
        if worker.store.take_lease(&name, &holder, pause).await?.is_some() && probe(worker, row, age).await? {
            worker.store.release_lease(&name, &holder).await?;
        }
    }
    Ok(())
}

/// One probe: what the provider announces, then the leavers that it owes us, one to begin with (hazard 13:
/// a provider that is down is not asked more than that). `age`: how long it has been away.
/// Says whether it is back.
pub async fn probe(worker: &Worker, row: ProviderRow, age: Duration) -> Result<bool, StoreError> {
    let (id, name, state) = (row.id, row.settings.name.clone(), row.state);
    match worker.providers.discover(row).await {
        Ok(_) => {
            tracing::info!(provider = %name, "the provider is back");
            worker.store.set_provider_state(id, ProviderState::Active, None).await?;
            Ok(true)
        }
        Err(error) => {
            let next = worse(state, age);
            if next != state {
                tracing::warn!(provider = %name, state = %next, reason = %error, "the provider stays away");
                worker.store.set_provider_state(id, next, Some(&error.to_string())).await?;
            }
            leavers(worker, id, &name).await?;
            Ok(false)
        }
    }
}

/// Leavers of a provider that is set aside are taken straight from the database (R33): one, and if that
/// one got through, all others that are due.
async fn leavers(worker: &Worker, id: ProviderId, name: &ProviderName) -> Result<(), StoreError> {
    let first = worker.store.owed_leavers(id, 1).await?;
    if first.is_empty() || !settled(worker, id, name, &first).await? {
        return Ok(());
    }
    tracing::info!(provider = %name, "a leaver got through at a provider that is set aside; the others follow");
    loop {
        let next = worker.store.owed_leavers(id, i64::try_from(OBJECTS_PER_TASK_MAX).unwrap_or(100)).await?;
        if next.is_empty() || !settled(worker, id, name, &next).await? {
            return Ok(());
        }
    }
}

/// Works on these leavers; says whether any of them is done with.
async fn settled(worker: &Worker, id: ProviderId, name: &ProviderName, owed: &[Owed]) -> Result<bool, StoreError> {
    for kind in ResourceKind::ALL {
        let of_kind = owed.iter().filter(|one| one.kind == *kind).map(|one| one.resource_id.clone());
        let objects: Vec<ResourceId> = of_kind.collect();
        if objects.is_empty() {
            continue;
        }
        let task =
            Task::new(TaskId(uuid::Uuid::now_v7()), None, name.clone(), *kind, Lane::Leavers, Cause::Retry, objects);
        if let TaskOutcome::Held(reason) = process(worker, &task, None).await {
            tracing::warn!(provider = %name, reason, "the database is in trouble; leavers are tried with the next probe");
            return Ok(false);
        }
    }
    let ids: Vec<ResourceId> = owed.iter().map(|one| one.resource_id.clone()).collect();
    Ok(worker.store.links_at(id, &ids).await?.iter().any(|link| !link.dirty))
}

/// How long the pause after the probe that is due at this age is: doubling from 30 s to 15 min while
/// degraded; then an hour, six, twelve, and daily. `None`: the first is not due yet.
fn pause(state: ProviderState, age: Duration) -> Option<Duration> {
    let (first, steps): (u64, &[u64]) = match state {
        ProviderState::Quarantined => (HOUR, &[6 * HOUR, 12 * HOUR, DAY]),
        _ => (30, &[60, 120, 240, 480, 15 * MINUTE]),
    };
    let mut due = first;
    let mut pause = None;
    for step in steps {
        if age.as_secs() < due {
            break;
        }
        pause = Some(*step);
        due += step;
    }
    pause.map(Duration::from_secs)
}

/// What a provider becomes that stays away: quarantined after an hour, disabled after 28 days.
fn worse(state: ProviderState, age: Duration) -> ProviderState {
    match state {
        ProviderState::Degraded if age.as_secs() >= HOUR => ProviderState::Quarantined,
        ProviderState::Quarantined if age.as_secs() >= 28 * DAY => ProviderState::Disabled,
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_become_rarer_by_the_schedule_of_the_state() {
        let cases = [
            (ProviderState::Degraded, 29, None),
            (ProviderState::Degraded, 30, Some(60)),
            (ProviderState::Degraded, 90, Some(120)),
            (ProviderState::Degraded, 210, Some(240)),
            (ProviderState::Degraded, 50 * MINUTE, Some(15 * MINUTE)),
            (ProviderState::Quarantined, HOUR - 1, None),
            (ProviderState::Quarantined, HOUR, Some(6 * HOUR)),
            (ProviderState::Quarantined, 7 * HOUR, Some(12 * HOUR)),
            (ProviderState::Quarantined, 19 * HOUR, Some(DAY)),
            (ProviderState::Quarantined, 27 * DAY, Some(DAY)),
        ];
        for (state, age, expected) in cases {
            let pause = pause(state, Duration::from_secs(age)).map(|pause| pause.as_secs());
            assert_eq!(pause, expected, "{state} after {age} s");
        }
    }

    #[test]
    fn whoever_stays_away_is_quarantined_then_disabled() {
        let after = |state, secs| worse(state, Duration::from_secs(secs));
        assert_eq!(after(ProviderState::Degraded, 60), ProviderState::Degraded);
        assert_eq!(after(ProviderState::Degraded, HOUR), ProviderState::Quarantined);
        assert_eq!(after(ProviderState::Quarantined, 27 * DAY), ProviderState::Quarantined);
        assert_eq!(after(ProviderState::Quarantined, 28 * DAY), ProviderState::Disabled);
    }
}
