//! Dry runs of whole providers, asked for by a person. One at a time for each provider, in this process; the
//! last result of each is kept here until the next, or until the process ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scimfleet_core::ProviderId;
use scimfleet_core::preview::DryRun;
use scimfleet_store::ProviderRow;

use crate::ConsoleState;
use crate::api::problem::ApiError;
use crate::insight::cover_changes;
use crate::levers::Refusal;

/// Writes that are shown of a plan: a page of them stays below 100 kB.
const PLANNED_MAX: usize = 100;

/// How far a dry run is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// It goes on; counts the objects that were looked at.
    Going(Arc<AtomicU64>),
    /// It ended; what may be a secret is covered.
    Ended(Arc<DryRun>),
    /// It broke; why.
    Failed(String),
}

/// A dry run, with the time when it began or ended, milliseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Rehearsal {
    pub(crate) at_ms: i64,
    pub(crate) stage: Stage,
}

impl Rehearsal {
    /// Objects that were looked at so far, while it goes on.
    pub(crate) fn looked_at(&self) -> Option<u64> {
        match &self.stage {
            Stage::Going(count) => Some(count.load(Ordering::Relaxed)),
            _ => None,
        }
    }
}

/// The dry runs of this process.
#[derive(Debug, Default)]
pub(crate) struct Rehearsals(Mutex<HashMap<ProviderId, Rehearsal>>);

impl Rehearsals {
    fn known(&self) -> MutexGuard<'_, HashMap<ProviderId, Rehearsal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that goes on at a provider, or the last.
    pub(crate) fn of(&self, provider: ProviderId) -> Option<Rehearsal> {
        self.known().get(&provider).cloned()
    }

    /// Notes that one begins; `None` when one goes on already.
    fn begin(&self, provider: ProviderId, at_ms: i64) -> Option<Arc<AtomicU64>> {
        let mut known = self.known();
        if known.get(&provider).is_some_and(|one| one.looked_at().is_some()) {
            return None;
        }
        let count = Arc::new(AtomicU64::new(0));
        known.insert(provider, Rehearsal { at_ms, stage: Stage::Going(count.clone()) });
        Some(count)
    }

    fn end(&self, provider: ProviderId, at_ms: i64, stage: Stage) {
        self.known().insert(provider, Rehearsal { at_ms, stage });
    }
}

/// Begins a dry run of a provider; it goes on by itself.
pub(crate) fn begin(state: &ConsoleState, row: ProviderRow) -> Result<Result<(), Refusal>, ApiError> {
    let insight = state.insight.clone().ok_or(ApiError::NoInsight)?;
    let Some(count) = state.rehearsals.begin(row.id, state.store.now_ms()) else {
        return Ok(Err(Refusal::Rehearsing { name: row.settings.name.to_string() }));
    };
    let (rehearsals, store, drain) = (state.rehearsals.clone(), state.store.clone(), state.drain.clone());
    tokio::spawn(async move {
        let looked_at = |more| {
            count.fetch_add(more, Ordering::Relaxed);
        };
        let begun = drain.token();
        let stage = tokio::select! {
            ended = insight.dry_run(&row, PLANNED_MAX, &looked_at) => match ended {
                Ok(dry) => Stage::Ended(Arc::new(covered(dry))),
                Err(error) => Stage::Failed(error.to_string()),
            },
            () = begun.cancelled() => Stage::Failed("this process is shutting down".to_owned()),
        };
        rehearsals.end(row.id, store.now_ms(), stage);
    });
    Ok(Ok(()))
}

fn covered(mut dry: DryRun) -> DryRun {
    dry.plan.iter_mut().for_each(|planned| cover_changes(&mut planned.changes));
    dry
}
