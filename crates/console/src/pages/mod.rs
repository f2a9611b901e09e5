//! The pages: read the store, fill a template; and the forms on them. Every page needs a session, every form
//! the token of it.

mod dry_run;
mod holds;
mod log;
mod mappings;
mod objects;
pub(crate) mod overview;
mod parked;
mod preview;
pub(crate) mod providers;
pub(crate) mod runs;
mod sign_in;
mod workers;

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use scimfleet_core::{ProviderId, ProviderName};
use scimfleet_store::{ProviderRow, Store};

use crate::ConsoleState;
use crate::access::Viewer;
use crate::error::PageError;
use crate::live;

/// Rows of a list on one page.
const ROWS: usize = 100;

pub(crate) type Page = Result<Html<String>, PageError>;

/// What every page shows around its content.
pub(crate) struct Frame {
    /// Who is signed in.
    pub(crate) name: String,
    /// What each form carries.
    pub(crate) form_token: String,
    /// What became of the last form.
    pub(crate) notice: Option<String>,
    /// Where its live parts come from.
    pub(crate) live: Option<String>,
}

impl Viewer {
    fn frame(&self, state: &ConsoleState, live: Option<String>) -> Frame {
        Frame {
            name: self.name.clone(),
            form_token: self.form_token.clone(),
            notice: state.sessions.take_notice(&self.headers),
            live,
        }
    }

    /// Says what was done, on the page to which the browser goes next.
    async fn done(&self, state: &ConsoleState, words: impl Into<String>, next: &str) -> Redirect {
        state.sessions.notify(&self.headers, words.into());
        state.forget_overview().await;
        Redirect::to(next)
    }
}

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/", get(overview::show))
        .route("/providers", get(providers::list))
        .route("/providers/{name}", get(providers::show))
        .route("/providers/{name}/dry-run", get(dry_run::show).post(providers::dry_run))
        .route("/providers/{name}/{action}", post(providers::act))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/cancel", post(runs::cancel))
        .route("/runs/{id}/tasks/{task}", get(runs::task))
        .route("/holds", get(holds::list))
        .route("/holds/{id}", get(holds::show))
        .route("/holds/{id}/{decision}", post(holds::decide))
        .route("/objects", get(objects::search))
        .route("/objects/{id}", get(objects::show))
        .route("/objects/{id}/sync", post(objects::sync))
        .route("/objects/{id}/offboard", post(objects::offboard))
        .route("/objects/{id}/preview/{provider}", get(preview::show))
        .route("/mappings", get(mappings::list))
        .route("/mappings/edit", get(mappings::edit).post(mappings::act))
        .route("/parked", get(parked::list))
        .route("/parked/{action}", post(parked::settle))
        .route("/log", get(log::list))
        .route("/leavers", get(parked::leavers))
        .route("/workers", get(workers::list))
        .route("/workers/{worker}/drain", post(workers::drain))
        .route("/dead-letters", get(workers::dead_letters))
        .route("/dead-letters/{action}", post(workers::settle_dead_letters))
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/style.css", get(style))
        .route("/live.js", get(script))
        .route("/icon.svg", get(icon))
        .merge(live::routes())
}

fn render(template: &impl Template) -> Page {
    Ok(Html(template.render()?))
}

async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../../assets/style.css"))
}

async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/live.js"))
}

async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../../assets/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")], text).into_response()
}

/// Names of providers by their key.
struct Names(HashMap<ProviderId, ProviderName>);

impl Names {
    async fn read(store: &Store) -> Result<Self, PageError> {
        Ok(Self(store.providers().await?.into_iter().map(|row| (row.id, row.settings.name)).collect()))
    }

    fn of(&self, id: ProviderId) -> String {
        self.0.get(&id).map(ToString::to_string).unwrap_or_else(|| "a removed provider".to_owned())
    }
}

async fn provider(store: &Store, name: &str) -> Result<ProviderRow, PageError> {
    let missing = || PageError::Missing("provider");
    let name = ProviderName::parse(name).map_err(|_| missing())?;
    store.provider(&name).await?.ok_or_else(missing)
}

/// Cuts a page that was read with one row too many; true when there is more.
fn cut<T>(rows: &mut Vec<T>, limit: usize) -> bool {
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}

/// One row more than is shown tells whether there is a next page.
fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1
}
