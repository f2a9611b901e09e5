//! Providers: the list by name, and one of them with its figures, settings, errors and levers.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use scimfleet_core::state::ProviderState;
use scimfleet_store::{ParkedGroup, ProviderRow, RunRow};
use serde::Deserialize;
use serde_json::Value;

use super::{Frame, Page, ROWS, cut, provider, render};
use crate::ConsoleState;
use crate::access::{Act, Nothing, Viewer};
use crate::error::PageError;
use crate::history::Chart;
use crate::insight::Probe;
use crate::levers::{self, Lever};
use crate::overview::Line;
use crate::rehearsal;
use crate::settings::{Setting, profile, settings};
use crate::times::When;

/// Runs and groups of errors on a provider's page.
const RUNS_SHOWN: i64 = 10;
const GROUPS_SHOWN: i64 = 20;

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    after: String,
}

struct Listed {
    name: String,
    state: ProviderState,
    reason: String,
    base_url: String,
    since: When,
}

#[derive(Template)]
#[template(path = "providers.html")]
struct ProvidersPage {
    frame: Frame,
    rows: Vec<Listed>,
    /// Where the next page begins.
    next: Option<String>,
}

pub(super) async fn list(State(state): State<ConsoleState>, viewer: Viewer, Query(from): Query<From>) -> Page {
    let rows = state.store.providers().await?;
    let mut rows: Vec<Listed> = rows
        .into_iter()
        .filter(|row| row.settings.name.as_str() > from.after.as_str())
        .take(ROWS + 1)
        .map(|row| Listed {
            name: row.settings.name.to_string(),
            state: row.state,
            reason: row.state_reason.unwrap_or_default(),
            base_url: crate::settings::without_credentials(&row.settings.base_url),
            since: When(row.state_since_ms),
        })
        .collect();
    let next = cut(&mut rows, ROWS).then(|| rows.last().map(|row| row.name.clone())).flatten();
    render(&ProvidersPage { frame: viewer.frame(&state, None), rows, next })
}

#[derive(Template)]
#[template(path = "provider.html")]
struct ProviderPage {
    frame: Frame,
    name: String,
    state: ProviderState,
    live: String,
    has_secret: bool,
    settings: Vec<Setting>,
    profile: Vec<Setting>,
    notes: Vec<String>,
    generation: i64,
}

#[derive(Template)]
#[template(path = "provider-live.html")]
struct ProviderLive {
    line: Line,
    since: When,
    chart: Chart,
    groups: Vec<ParkedGroup>,
    runs: Vec<RunRow>,
}

pub(super) async fn show(State(state): State<ConsoleState>, viewer: Viewer, Path(name): Path<String>) -> Page {
    let row = provider(&state.store, &name).await?;
    let notes = row.announced.as_ref().and_then(|announced| announced.get("notes")).and_then(Value::as_array);
    let notes = notes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    render(&ProviderPage {
        frame: viewer.frame(&state, Some(format!("/live/providers/{name}"))),
        live: parts(&state, &row).await?,
        has_secret: row.secret_at_ms.is_some(),
        settings: settings(&row.settings),
        profile: profile(&row),
        notes,
        generation: row.generation,
        state: row.state,
        name,
    })
}

/// The parts that change.
pub(crate) async fn live(state: &ConsoleState, name: &str) -> Result<String, PageError> {
    parts(state, &provider(&state.store, name).await?).await
}

async fn parts(state: &ConsoleState, row: &ProviderRow) -> Result<String, PageError> {
    let (line, chart) = state.line(row).await?;
    let groups = state.store.parked_groups(row.id, GROUPS_SHOWN).await?;
    let runs = state.store.runs(Some(row.id), RUNS_SHOWN).await?;
    Ok(ProviderLive { line, since: When(row.state_since_ms), chart, groups, runs }.render()?)
}

/// An examination in one sentence each.
fn probe_words(name: &str, probe: &Probe) -> String {
    let mut words = format!("{name} answers.");
    for [check, result, text] in &probe.findings {
        words.push_str(&format!(" {check}: {result}{}{text}.", if text.is_empty() { "" } else { ", " }));
    }
    for note in &probe.notes {
        words.push_str(&format!(" Announced: {note}."));
    }
    for (key, value) in &probe.recommended {
        words.push_str(&format!(" Put {key} = {value} into its [override]."));
    }
    words
}

/// Begins a dry run; its page follows it.
pub(super) async fn dry_run(
    State(state): State<ConsoleState>,
    Path(name): Path<String>,
    act: Act<Nothing>,
) -> Result<Redirect, PageError> {
    let row = provider(&state.store, &name).await?;
    let words = match rehearsal::begin(&state, row) {
        Ok(Ok(())) => "The dry run has begun.".to_owned(),
        Ok(Err(refusal)) => refusal.to_string(),
        Err(error) => error.to_string(),
    };
    Ok(act.viewer.done(&state, words, &format!("/providers/{name}/dry-run")).await)
}

/// Pauses, resumes, disables, examines, or opens a run.
pub(super) async fn act(
    State(state): State<ConsoleState>,
    Path((name, action)): Path<(String, String)>,
    act: Act<Nothing>,
) -> Result<Redirect, PageError> {
    let row = provider(&state.store, &name).await?;
    let by = &act.viewer.name;
    if action == "sync" {
        let (words, next) = match levers::start_run(&state, &row).await? {
            Ok(run) => ("The run is queued; this page follows it.".to_owned(), format!("/runs/{run}")),
            Err(refusal) => (refusal.to_string(), format!("/providers/{name}")),
        };
        return Ok(act.viewer.done(&state, words, &next).await);
    }
    if action == "probe" {
        let insight = state.insight.as_deref().ok_or(PageError::Missing("examiner"))?;
        let words =
            insight.probe(&row).await.map_or_else(|error| error.to_string(), |probe| probe_words(&name, &probe));
        return Ok(act.viewer.done(&state, words, &format!("/providers/{name}")).await);
    }
    let lever: Lever = action.parse().map_err(|_| PageError::Missing("action"))?;
    let words = match levers::pull(&state, &row, lever, by).await? {
        Ok(now) => format!("{name} is {now}."),
        Err(refusal) => refusal.to_string(),
    };
    Ok(act.viewer.done(&state, words, &format!("/providers/{name}")).await)
}
