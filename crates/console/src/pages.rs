//! The pages: read the store, fill a template.

use std::time::{Duration, UNIX_EPOCH};

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use scimfleet_core::RunId;
use scimfleet_core::state::{LinkState, ProviderState, RunState};
use scimfleet_store::{Counts, ProviderRow, RunRow, Store};
use secrecy::SecretString;
use serde::Deserialize;

use crate::ConsoleState;
use crate::error::PageError;
use crate::session::SignIn;

/// Runs on the overview, and tasks in a run's grid, at the most: a page stays under 100 kB.
const RUNS_SHOWN: i64 = 20;
const CELLS_SHOWN: usize = 600;
const LOG_SHOWN: i64 = 10;

type Page = Result<Html<String>, PageError>;

fn render(template: &impl Template) -> Page {
    Ok(Html(template.render()?))
}

fn signed_in(state: &ConsoleState, headers: &HeaderMap) -> Result<(), PageError> {
    if state.sessions.knows(headers) { Ok(()) } else { Err(PageError::SignedOut) }
}

fn utc(at_ms: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at_ms.max(0).unsigned_abs());
    humantime::format_rfc3339_seconds(at).to_string().replacen('T', " ", 1)
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage {
    words: Option<&'static str>,
}

pub(crate) async fn sign_in_form() -> Page {
    render(&SignInPage { words: None })
}

#[derive(Deserialize)]
pub(crate) struct SignInForm {
    token: String,
}

pub(crate) async fn sign_in(
    State(state): State<ConsoleState>,
    Form(form): Form<SignInForm>,
) -> Result<Response, PageError> {
    Ok(match state.sign_in(&SecretString::from(form.token)).await? {
        SignIn::Welcome(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        SignIn::Refused => {
            let words = Some("This token does not open the console.");
            (StatusCode::UNAUTHORIZED, render(&SignInPage { words })?).into_response()
        }
        SignIn::Slower => {
            let words = Some("Too many failed sign-ins; try again in a minute.");
            (StatusCode::TOO_MANY_REQUESTS, render(&SignInPage { words })?).into_response()
        }
    })
}

pub(crate) async fn sign_out(State(state): State<ConsoleState>, headers: HeaderMap) -> Response {
    let cookie = state.sessions.close(&headers);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response()
}

pub(crate) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("../assets/style.css")).into_response()
}

struct ProviderLine {
    name: String,
    state: ProviderState,
    reason: String,
    in_sync: u64,
    owed: u64,
    parked: u64,
    held: u64,
    last: Option<(RunId, RunState, String)>,
}

struct RunLine {
    id: RunId,
    provider: String,
    state: RunState,
    cause: String,
    opened: String,
    error: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    sentence: String,
    calm: bool,
    providers: Vec<ProviderLine>,
    runs: Vec<RunLine>,
}

pub(crate) async fn overview(State(state): State<ConsoleState>, headers: HeaderMap) -> Page {
    signed_in(&state, &headers)?;
    let rows = state.store.providers().await?;
    let mut providers = Vec::with_capacity(rows.len());
    for row in &rows {
        providers.push(provider_line(&state.store, row).await?);
    }
    // The one thing that is wrong is the first thing seen.
    providers.sort_by_key(|line| (std::cmp::Reverse(trouble(line)), line.name.clone()));
    let overdue = state.store.leavers(60_000, 500).await?.len();
    let away = providers.iter().filter(|line| line.state != ProviderState::Active).count();
    let held: u64 = providers.iter().map(|line| line.held).sum();
    let name = |row: &RunRow| {
        let found = rows.iter().find(|provider| provider.id == row.provider_id);
        found.map(|provider| provider.settings.name.to_string()).unwrap_or_default()
    };
    let runs = state.store.runs(None, RUNS_SHOWN).await?;
    let runs = runs
        .iter()
        .map(|row| RunLine {
            id: row.id,
            provider: name(row),
            state: row.state,
            cause: row.cause.clone(),
            opened: utc(row.created_at_ms),
            error: row.error.as_ref().map(|error| error.message.clone()).unwrap_or_default(),
        })
        .collect();
    let calm = overdue == 0 && away == 0 && held == 0;
    render(&OverviewPage { sentence: sentence(overdue, away, held, providers.len()), calm, providers, runs })
}

fn trouble(line: &ProviderLine) -> (bool, u64, u64) {
    (line.state != ProviderState::Active, line.held + line.parked, line.owed)
}

fn sentence(overdue: usize, away: usize, held: u64, providers: usize) -> String {
    let leavers = match overdue {
        0 => "All leavers are out.".to_owned(),
        1 => "1 leaver is overdue.".to_owned(),
        more => format!("{more} leavers are overdue."),
    };
    let mut text = format!("{leavers} {} of {providers} providers are active.", providers - away);
    if held > 0 {
        text.push_str(&format!(" {held} removals wait for a person."));
    }
    text
}

async fn provider_line(store: &Store, row: &ProviderRow) -> Result<ProviderLine, PageError> {
    let counts = store.link_counts(row.id).await?;
    let of = |state: LinkState| counts.by_state.get(&state).copied().unwrap_or_default();
    let last = store.runs(Some(row.id), 1).await?.into_iter().next();
    Ok(ProviderLine {
        name: row.settings.name.to_string(),
        state: row.state,
        reason: row.state_reason.clone().unwrap_or_default(),
        in_sync: of(LinkState::InSync),
        owed: counts.dirty,
        parked: of(LinkState::Parked),
        held: store.count_held(row.id).await?,
        last: last.map(|run| (run.id, run.state, utc(run.created_at_ms))),
    })
}

struct Cell {
    class: &'static str,
    title: String,
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    id: RunId,
    provider: String,
    run: RunRow,
    going: bool,
    opened: String,
    counts: Vec<(String, u64)>,
    requests: Vec<(String, u64)>,
    phases: Vec<(RunState, Vec<Cell>, usize)>,
}

pub(crate) async fn run(State(state): State<ConsoleState>, headers: HeaderMap, Path(id): Path<String>) -> Page {
    signed_in(&state, &headers)?;
    let id: RunId = id.parse().map_err(|_| PageError::Missing("run"))?;
    let run = state.store.run(id).await?.ok_or(PageError::Missing("run"))?;
    let providers = state.store.providers().await?;
    let provider = providers.iter().find(|row| row.id == run.provider_id);
    let tasks = state.store.run_tasks(id).await?;
    let mut sums = Counts::default();
    tasks.iter().for_each(|task| sums.add(&task.counts));
    *sums.objects.entry("unchanged".to_owned()).or_default() += run.untasked.unsigned_abs();
    let mut phases: Vec<(RunState, Vec<Cell>, usize)> = Vec::new();
    for task in &tasks {
        let index = match phases.iter().position(|(phase, ..)| *phase == task.phase) {
            Some(index) => index,
            None => {
                phases.push((task.phase, Vec::new(), 0));
                phases.len() - 1
            }
        };
        let (_, cells, more) = &mut phases[index];
        if cells.len() >= CELLS_SHOWN {
            *more += 1;
            continue;
        }
        let bad =
            ["failed", "parked", "held"].iter().any(|name| task.counts.objects.get(*name).is_some_and(|n| *n > 0));
        let class = match task.state.as_str() {
            "done" if bad => "cell bad",
            "done" => "cell done",
            "dropped" => "cell dropped",
            _ => "cell open",
        };
        let worker = task.worker.as_deref().unwrap_or("nobody yet");
        cells.push(Cell { class, title: format!("{} objects, {}, {worker}", task.objects, task.state) });
    }
    render(&RunPage {
        id,
        provider: provider.map(|row| row.settings.name.to_string()).unwrap_or_default(),
        going: !run.state.is_final(),
        opened: utc(run.created_at_ms),
        counts: sums.objects.into_iter().collect(),
        requests: sums.requests.into_iter().collect(),
        run,
        phases,
    })
}

#[derive(Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
}

struct LinkLine {
    provider: String,
    state: LinkState,
    reason: String,
    account: String,
    error: String,
    log: Vec<(String, String, String)>,
}

struct ObjectView {
    kind: String,
    name: String,
    external_id: String,
    id: String,
    source: String,
    active: bool,
    links: Vec<LinkLine>,
}

#[derive(Template)]
#[template(path = "objects.html")]
struct ObjectsPage {
    query: String,
    found: Vec<ObjectView>,
}

pub(crate) async fn objects(
    State(state): State<ConsoleState>,
    headers: HeaderMap,
    Query(search): Query<Search>,
) -> Page {
    signed_in(&state, &headers)?;
    let query = search.q.trim().to_owned();
    let store = &state.store;
    let providers = store.providers().await?;
    let mut found = Vec::new();
    let rows = if query.is_empty() { Vec::new() } else { store.find_resources(&query).await? };
    for row in rows {
        let mut links = Vec::new();
        for link in store.links_of(&row.id).await? {
            let provider = providers.iter().find(|provider| provider.id == link.provider_id);
            let log = store.log_of(&row.id, Some(link.provider_id), LOG_SHOWN).await?;
            links.push(LinkLine {
                provider: provider.map(|provider| provider.settings.name.to_string()).unwrap_or_default(),
                state: link.state,
                reason: link.park_reason.map(|reason| format!(" ({reason})")).unwrap_or_default(),
                account: link.remote_id.map(|account| account.to_string()).unwrap_or_default(),
                error: link.last_error.unwrap_or_default(),
                log: log
                    .into_iter()
                    .map(|entry| (utc(entry.at_ms), format!("{} {}", entry.operation, entry.outcome), entry.attributes))
                    .collect(),
            });
        }
        found.push(ObjectView {
            kind: row.kind.to_string(),
            name: row.name().to_owned(),
            external_id: row.external_id.clone().unwrap_or_default(),
            id: row.id.to_string(),
            source: row.source.clone(),
            active: row.active,
            links,
        });
    }
    render(&ObjectsPage { query, found })
}
