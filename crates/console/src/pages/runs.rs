//! Runs: the list, one with its grid of tasks, and the objects of one task.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use scimfleet_core::{ProviderId, RunId, TaskId};
use scimfleet_store::RunRow;
use serde::Deserialize;

use super::{Frame, Names, Page, ROWS, cut, one_more, provider, render};
use crate::ConsoleState;
use crate::access::{Act, Nothing, Viewer};
use crate::error::PageError;
use crate::grid::{self, PhaseGrid, WorkerLine};
use crate::levers;
use crate::objects::{Named, named};
use crate::times::Lasted;

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    before: String,
}

struct Listed {
    run: RunRow,
    provider: String,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
    rows: Vec<Listed>,
    provider: String,
    next: Option<RunId>,
}

pub(super) async fn list(State(state): State<ConsoleState>, viewer: Viewer, Query(which): Query<Which>) -> Page {
    let names = Names::read(&state.store).await?;
    let of: Option<ProviderId> = match which.provider.as_str() {
        "" => None,
        name => Some(provider(&state.store, name).await?.id),
    };
    let mut rows = state.store.runs_before(of, which.before.parse().ok(), one_more(ROWS)).await?;
    let next = cut(&mut rows, ROWS).then(|| rows.last().map(|run| run.id)).flatten();
    let rows = rows.into_iter().map(|run| Listed { provider: names.of(run.provider_id), run }).collect();
    render(&RunsPage { frame: viewer.frame(&state, None), rows, provider: which.provider, next })
}

async fn run(state: &ConsoleState, id: &str) -> Result<RunRow, PageError> {
    let id: RunId = id.parse().map_err(|_| PageError::Missing("run"))?;
    state.store.run(id).await?.ok_or(PageError::Missing("run"))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    id: RunId,
    live: String,
}

#[derive(Template)]
#[template(path = "run-live.html")]
struct RunLive {
    run: RunRow,
    provider: String,
    /// When it is over, or would be if it ended now.
    lasted: Option<Lasted>,
    counts: Vec<(String, u64)>,
    requests: Vec<(String, u64)>,
    phases: Vec<PhaseGrid>,
    workers: Vec<WorkerLine>,
    violations: Vec<grid::Violation>,
    listings: Vec<(String, String)>,
}

pub(super) async fn show(State(state): State<ConsoleState>, viewer: Viewer, Path(id): Path<String>) -> Page {
    let run = run(&state, &id).await?;
    // What is over changes no more.
    let live = (!run.state.is_final()).then(|| format!("/live/runs/{}", run.id));
    render(&RunPage { frame: viewer.frame(&state, live), id: run.id, live: parts(&state, run).await? })
}

/// The parts that change.
pub(crate) async fn live(state: &ConsoleState, id: RunId) -> Result<String, PageError> {
    parts(state, state.store.run(id).await?.ok_or(PageError::Missing("run"))?).await
}

async fn parts(state: &ConsoleState, run: RunRow) -> Result<String, PageError> {
    let provider = Names::read(&state.store).await?.of(run.provider_id);
    let cells = state.store.run_cells(run.id).await?;
    let sums = grid::sums(&cells, run.untasked.unsigned_abs());
    let template = RunLive {
        provider,
        lasted: run.finished_at_ms.zip(run.started_at_ms).map(|(end, start)| Lasted(end - start)),
        counts: sums.objects.into_iter().filter(|(_, count)| *count > 0).collect(),
        requests: sums.requests.into_iter().filter(|(_, count)| *count > 0).collect(),
        phases: grid::phases(&cells, run.id),
        workers: grid::workers(&cells),
        violations: run.error.as_ref().map(grid::violations).unwrap_or_default(),
        listings: run.listings.iter().map(|(kind, listing)| (kind.clone(), grid::words(listing))).collect(),
        run,
    };
    Ok(template.render()?)
}

pub(super) async fn cancel(
    State(state): State<ConsoleState>,
    Path(id): Path<String>,
    act: Act<Nothing>,
) -> Result<Redirect, PageError> {
    let run = run(&state, &id).await?;
    let words = match levers::cancel_run(&state, &run, &act.viewer.name).await? {
        Ok(()) => "The run is cancelled; requests under way finish.".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    Ok(act.viewer.done(&state, words, &format!("/runs/{}", run.id)).await)
}

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    run: RunId,
    task: TaskId,
    provider: String,
    rows: Vec<Named>,
}

pub(super) async fn task(
    State(state): State<ConsoleState>,
    viewer: Viewer,
    Path((id, task)): Path<(String, String)>,
) -> Page {
    let run = run(&state, &id).await?;
    let task: TaskId = task.parse().map_err(|_| PageError::Missing("task"))?;
    let ids = state.store.task_objects(run.id, task).await?.ok_or(PageError::Missing("task"))?;
    let links = state.store.links_at(run.provider_id, &ids).await?;
    let rows = named(&state.store, links).await?;
    let provider = Names::read(&state.store).await?.of(run.provider_id);
    render(&TaskPage { frame: viewer.frame(&state, None), run: run.id, task, provider, rows })
}
