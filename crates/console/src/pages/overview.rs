//! The first page: is all well, and if not, what is wrong.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;

use super::{Frame, Page, render};
use crate::ConsoleState;
use crate::access::Viewer;
use crate::error::PageError;
use crate::overview::Overview;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    live: String,
}

#[derive(Template)]
#[template(path = "overview-live.html")]
struct OverviewLive {
    view: Arc<Overview>,
}

pub(super) async fn show(State(state): State<ConsoleState>, viewer: Viewer) -> Page {
    let live = live(&state).await?;
    render(&OverviewPage { frame: viewer.frame(&state, Some("/live/overview".to_owned())), live })
}

/// The parts that change.
pub(crate) async fn live(state: &ConsoleState) -> Result<String, PageError> {
    Ok(OverviewLive { view: state.overview().await? }.render()?)
}
