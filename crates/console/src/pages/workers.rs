//! Who works, and what nobody could work on.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Redirect;
use scimfleet_core::ports::{DeadLetter, Heartbeat};
use serde::Deserialize;

use super::{Frame, Page, ROWS, cut, render};
use crate::ConsoleState;
use crate::access::{Act, Nothing, Viewer};
use crate::error::PageError;
use crate::levers;
use crate::objects::cut_words;
use crate::overview::in_time;
use crate::times::counted;

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    frame: Frame,
    workers: Vec<Heartbeat>,
    more: bool,
    /// Why nobody could say.
    trouble: Option<String>,
}

pub(super) async fn list(State(state): State<ConsoleState>, viewer: Viewer) -> Page {
    let answer = match &state.cluster {
        None => Err("this process is not connected to the coordination service".to_owned()),
        Some(cluster) => match in_time(cluster.coordination.workers()).await {
            Some(workers) => workers.map_err(|error| error.to_string()),
            None => Err("the coordination service does not answer; workers go on, each with its own limits".to_owned()),
        },
    };
    let frame = viewer.frame(&state, None);
    let (mut workers, trouble) = match answer {
        Ok(workers) => (workers, None),
        Err(words) => (Vec::new(), Some(words)),
    };
    let more = cut(&mut workers, ROWS);
    render(&WorkersPage { frame, workers, more, trouble })
}

/// Asks a worker to finish what it holds and to end.
pub(super) async fn drain(
    State(state): State<ConsoleState>,
    Path(worker): Path<String>,
    act: Act<Nothing>,
) -> Result<Redirect, PageError> {
    let words = match levers::end_worker(&state, &worker).await {
        Ok(Ok(())) => format!("{worker} finishes what it holds and ends; whatever keeps it running starts it anew."),
        Ok(Err(refusal)) => refusal.to_string(),
        Err(error) => error.to_string(),
    };
    Ok(act.viewer.done(&state, words, "/workers").await)
}

struct Dead {
    letter: DeadLetter,
    body: String,
}

#[derive(Template)]
#[template(path = "dead-letters.html")]
struct DeadLettersPage {
    frame: Frame,
    rows: Vec<Dead>,
    more: bool,
}

pub(super) async fn dead_letters(State(state): State<ConsoleState>, viewer: Viewer) -> Page {
    let cluster = state.cluster.as_ref().ok_or(PageError::Missing("queue"))?;
    let mut letters = cluster.queue.dead_letters(ROWS + 1).await?;
    let more = cut(&mut letters, ROWS);
    let rows = letters.into_iter().map(|letter| Dead { body: cut_words(&letter.body), letter }).collect();
    render(&DeadLettersPage { frame: viewer.frame(&state, None), rows, more })
}

#[derive(Deserialize)]
pub(super) struct LetterForm {
    /// Empty: all of them.
    #[serde(default)]
    id: String,
}

/// Publishes dead letters again, or drops them.
pub(super) async fn settle_dead_letters(
    State(state): State<ConsoleState>,
    Path(action): Path<String>,
    act: Act<LetterForm>,
) -> Result<Redirect, PageError> {
    let cluster = state.cluster.as_ref().ok_or(PageError::Missing("queue"))?;
    let ids: Vec<String> = Some(act.form.id).filter(|id| !id.is_empty()).into_iter().collect();
    let words = match action.as_str() {
        "replay" => {
            let count = cluster.queue.replay_dead_letters(&ids).await?;
            format!("{} published again.", counted(count, "message was", "messages were"))
        }
        "drop" => {
            let count = cluster.queue.drop_dead_letters(&ids).await?;
            format!("{} dropped.", counted(count, "message was", "messages were"))
        }
        _ => return Err(PageError::Missing("action")),
    };
    Ok(act.viewer.done(&state, words, "/dead-letters").await)
}
