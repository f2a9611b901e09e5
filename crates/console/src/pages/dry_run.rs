//! What a whole sync of one provider would do, in numbers and by its first writes.

use askama::Template;
use axum::extract::{Path, State};
use scimfleet_core::preview::{DryRun, Planned};

use super::{Frame, Page, provider, render};
use crate::ConsoleState;
use crate::access::Viewer;
use crate::grid::words;
use crate::objects::cut_words;
use crate::rehearsal::{Rehearsal, Stage};

/// Differences shown of one object: a page stays small.
const CHANGES_SHOWN: usize = 8;

struct Line {
    planned: Planned,
    /// Path, before, after.
    changes: Vec<(String, String, String)>,
    more: bool,
}

impl Line {
    fn of(planned: &Planned) -> Self {
        let text = |value: &Option<serde_json::Value>| value.as_ref().map(|value| cut_words(&words(value)));
        let changes = planned
            .changes
            .iter()
            .take(CHANGES_SHOWN)
            .map(|one| (one.path.clone(), text(&one.from).unwrap_or_default(), text(&one.to).unwrap_or_default()));
        let changes = changes.collect();
        Self { changes, more: planned.changes.len() > CHANGES_SHOWN, planned: planned.clone() }
    }
}

/// One that ended.
struct Result {
    counts: Vec<(&'static str, u64)>,
    parked: Vec<(String, String)>,
    stopped: Option<(String, String)>,
    lines: Vec<Line>,
    more: bool,
}

impl Result {
    fn of(dry: &DryRun) -> Self {
        let mut counts: Vec<(&'static str, u64)> = dry.counts.iter().map(|(word, count)| (*word, *count)).collect();
        let planned: u64 = dry.counts.values().sum();
        counts.extend([("unchanged", dry.unchanged), ("kept", dry.kept), ("parked", dry.parked.len() as u64)]);
        let parked = dry.parked.iter().take(CHANGES_SHOWN).map(|(name, why)| (name.clone(), cut_words(why)));
        Self {
            counts,
            parked: parked.collect(),
            stopped: dry.stopped.as_ref().map(|(object, data)| (object.clone(), data.message.clone())),
            lines: dry.plan.iter().map(Line::of).collect(),
            more: planned > dry.plan.len() as u64,
        }
    }
}

#[derive(Template)]
#[template(path = "dry-run.html")]
struct DryRunPage {
    frame: Frame,
    provider: String,
    rehearsal: Option<Rehearsal>,
    failed: String,
    result: Option<Result>,
}

pub(super) async fn show(State(state): State<ConsoleState>, viewer: Viewer, Path(name): Path<String>) -> Page {
    let row = provider(&state.store, &name).await?;
    let rehearsal = state.rehearsals.of(row.id);
    let (mut failed, mut result) = (String::new(), None);
    match rehearsal.as_ref().map(|one| &one.stage) {
        Some(Stage::Ended(dry)) => result = Some(Result::of(dry)),
        Some(Stage::Failed(words)) => failed = words.clone(),
        _ => {}
    }
    render(&DryRunPage { frame: viewer.frame(&state, None), provider: name, rehearsal, failed, result })
}
