//! Probing providers that were set aside, ever more rarely; one worker at a time. A probe that succeeds
//! puts the provider back into service (`docs/operating.md`).

use std::time::Duration;

use scimfleet_core::state::ProviderState;
use scimfleet_runtime::Drain;
use scimfleet_store::{ProviderRow, StoreError};

use crate::Worker;

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
        let name = format!("probe:{}", row.id);
        // The lease lasts as long as the pause between probes: nobody else probes in that time.
        let pause = pause(row.state, age);
        let holder = format!("{}@{}", worker.name, worker.store.now_ms());
        if age < pause || worker.store.take_lease(&name, &holder, pause).await?.is_none() {
            continue;
        }
        probe(worker, row, age).await?;
    }
    Ok(())
}

async fn probe(worker: &Worker, row: ProviderRow, age: Duration) -> Result<(), StoreError> {
    let (id, name, state) = (row.id, row.settings.name.clone(), row.state);
    match worker.providers.discover(row).await {
        Ok(_) => {
            tracing::info!(provider = %name, "the provider is back");
            worker.store.set_provider_state(id, ProviderState::Active, None).await
        }
        Err(error) => {
            let next = worse(state, age);
            if next != state {
                tracing::warn!(provider = %name, state = %next, reason = %error, "the provider stays away");
                worker.store.set_provider_state(id, next, Some(&error.to_string())).await?;
            }
            Ok(())
        }
    }
}

/// How long after the last probe the next one comes: half the time that it has been away, within the
/// bounds of its state.
fn pause(state: ProviderState, age: Duration) -> Duration {
    let (least, most) = match state {
        ProviderState::Quarantined => (HOUR, DAY),
        _ => (30, 15 * MINUTE),
    };
    Duration::from_secs((age.as_secs() / 2).clamp(least, most))
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
    fn probes_become_rarer_within_the_bounds_of_the_state() {
        let cases = [
            (ProviderState::Degraded, 0, 30),
            (ProviderState::Degraded, 120, 60),
            (ProviderState::Degraded, 50 * MINUTE, 15 * MINUTE),
            (ProviderState::Quarantined, 0, HOUR),
            (ProviderState::Quarantined, 12 * HOUR, 6 * HOUR),
            (ProviderState::Quarantined, 9 * DAY, DAY),
        ];
        for (state, age, expected) in cases {
            assert_eq!(pause(state, Duration::from_secs(age)).as_secs(), expected, "{state} after {age} s");
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
