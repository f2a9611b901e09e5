//! Live parts by server-sent events: whenever something changed, and at the least every few seconds, the
//! changing parts of a page are made anew and sent if they differ.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use scimfleet_core::RunId;
use scimfleet_store::Signal;
use tokio::sync::watch;

use crate::ConsoleState;
use crate::access::Viewer;
use crate::error::PageError;
use crate::pages;

/// A page is made anew at the most this often, however much happens, and at the least that often.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
const AT_LEAST_EVERY: Duration = Duration::from_secs(3);
/// Live pages at once: each costs a query every few seconds.
const VIEWERS_MAX: usize = 200;

/// Live pages that are open.
#[derive(Debug, Default)]
pub(crate) struct Viewers {
    open: AtomicUsize,
}

/// One of them; it counts until it is dropped.
struct Place(Arc<Viewers>);

impl Viewers {
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let place = Place(self.clone());
        (self.open.fetch_add(1, Ordering::Relaxed) < VIEWERS_MAX).then_some(place)
    }

    /// How many are open.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is watched.
#[derive(Debug, Clone)]
enum Subject {
    Overview,
    Provider(String),
    Run(RunId),
}

impl Subject {
    async fn parts(&self, state: &ConsoleState) -> Result<String, PageError> {
        match self {
            Self::Overview => pages::overview::live(state).await,
            Self::Provider(name) => pages::providers::live(state, name).await,
            Self::Run(id) => pages::runs::live(state, *id).await,
        }
    }
}

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/live/overview", get(overview))
        .route("/live/providers/{name}", get(provider))
        .route("/live/runs/{id}", get(run))
}

async fn overview(State(state): State<ConsoleState>, viewer: Viewer) -> Response {
    watch(state, &viewer, Subject::Overview)
}

async fn provider(State(state): State<ConsoleState>, viewer: Viewer, Path(name): Path<String>) -> Response {
    watch(state, &viewer, Subject::Provider(name))
}

async fn run(State(state): State<ConsoleState>, viewer: Viewer, Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(id) => watch(state, &viewer, Subject::Run(id)),
        Err(_) => PageError::Missing("run").into_response(),
    }
}

fn watch(state: ConsoleState, viewer: &Viewer, subject: Subject) -> Response {
    let Some(place) = state.viewers.enter() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many live pages are open").into_response();
    };
    let signals = [Signal::Runs, Signal::Providers].map(|signal| state.store.signals().subscribe(signal));
    let watcher =
        Watcher { state, subject, headers: viewer.headers.clone(), signals, shown: None, first: true, _place: place };
    Sse::new(watcher.events()).keep_alive(KeepAlive::default()).into_response()
}

struct Watcher {
    state: ConsoleState,
    subject: Subject,
    headers: HeaderMap,
    signals: [watch::Receiver<u64>; 2],
    /// What was sent last.
    shown: Option<Result<String, ()>>,
    first: bool,
    _place: Place,
}

impl Watcher {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut watcher| async move {
            let event = watcher.next().await?;
            Some((Ok(event), watcher))
        })
    }

    /// The next event; `None` when the session ended or the process drains.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if !std::mem::take(&mut self.first) {
                self.wait().await?;
            }
            self.state.sessions.who(&self.headers)?;
            let parts = self.subject.parts(&self.state).await.map_err(|error| {
                tracing::debug!(error = %error, "a live page waits");
            });
            if self.shown.as_ref() == Some(&parts) {
                continue;
            }
            let event = match &parts {
                Ok(html) => Event::default().event("parts").data(html),
                Err(()) => Event::default()
                    .event("trouble")
                    .data("The database does not answer as it should. What is shown may be old."),
            };
            self.shown = Some(parts);
            return Some(event);
        }
    }

    async fn wait(&mut self) -> Option<()> {
        let [runs, providers] = &mut self.signals;
        let changed = async {
            tokio::time::sleep(AT_MOST_EVERY).await;
            tokio::select! {
                _ = runs.changed() => {}
                _ = providers.changed() => {}
                () = tokio::time::sleep(AT_LEAST_EVERY - AT_MOST_EVERY) => {}
            }
        };
        tokio::select! {
            () = changed => Some(()),
            () = self.state.drain.begun() => None,
        }
    }
}
