//! The trace contexts of changes and jobs that wait to be published: kept in memory only, since a trace that
//! is lost with its scheduler harms nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scimfleet_core::{ResourceId, RunId};

/// Contexts kept at the most; whoever comes later goes without.
const KEPT_MAX: usize = 10_000;
/// Contexts that get a message of their own in one round. Beyond it changes travel together, a hundred to a
/// task, whoever caused them: a trace must not cost throughput.
pub(crate) const APART_MAX: usize = 16;

/// Shared by the rounds of one scheduler and its consumer of jobs.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    objects: HashMap<ResourceId, String>,
    runs: HashMap<RunId, String>,
}

impl Traces {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object is about to be published because of this.
    pub(crate) fn note(&self, object: &ResourceId, traceparent: Option<&str>) {
        let Some(traceparent) = traceparent else { return };
        let mut kept = self.kept();
        if kept.objects.len() < KEPT_MAX {
            kept.objects.insert(object.clone(), traceparent.to_owned());
        }
    }

    /// A run was asked for by this.
    pub(crate) fn note_run(&self, run: RunId, traceparent: Option<&str>) {
        let Some(traceparent) = traceparent else { return };
        let mut kept = self.kept();
        if kept.runs.len() >= KEPT_MAX {
            kept.runs.clear();
        }
        kept.runs.insert(run, traceparent.to_owned());
    }

    pub(crate) fn of(&self, object: &ResourceId) -> Option<String> {
        self.kept().objects.get(object).cloned()
    }

    pub(crate) fn of_run(&self, run: RunId) -> Option<String> {
        self.kept().runs.get(&run).cloned()
    }

    /// What was owed has been published everywhere.
    pub(crate) fn forget_objects(&self) {
        self.kept().objects.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_kept_until_everything_is_published() {
        let traces = Traces::default();
        let id: ResourceId = "anna".parse().unwrap();
        traces.note(&id, None);
        assert_eq!(traces.of(&id), None);
        traces.note(&id, Some("first"));
        traces.clone().note(&id, Some("second"));
        assert_eq!(traces.of(&id).as_deref(), Some("second"));
        traces.forget_objects();
        assert_eq!(traces.of(&id), None);
    }
}
