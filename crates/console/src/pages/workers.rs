//! Who works, and what nobody could work on.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use scimfleet_core::ports::{DeadLetter, Heartbeat};
use serde::Deserialize;

use super::{Frame, Page, ROWS, cut, render};
use crate::access::{Act, Nothing, Viewer};
use crate::error::PageError;
use crate::letters::{self, Group, Letters};
use crate::levers;
use crate::objects::cut_words;
use crate::overview::in_time;
use crate::times::counted;
use crate::{Cluster, ConsoleState};

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
    /// Those with the same trouble, when there is more than one; on the first page.
    groups: Vec<Group>,
    rows: Vec<Dead>,
    /// Where the next page begins.
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    after: String,
}

pub(super) async fn dead_letters(State(state): State<ConsoleState>, viewer: Viewer, Query(from): Query<From>) -> Page {
    let cluster = state.cluster.as_ref().ok_or(PageError::Missing("queue"))?;
    let after = Some(from.after.as_str()).filter(|after| !after.is_empty());
    let Letters { rows, next } = letters::page(cluster, after, ROWS).await?;
    let mut groups = if after.is_none() { letters::groups(cluster).await? } else { Vec::new() };
    groups.retain(|group| group.ids.len() > 1);
    let rows = rows.into_iter().map(|letter| Dead { body: cut_words(&letter.body), letter }).collect();
    render(&DeadLettersPage { frame: viewer.frame(&state, None), groups, rows, next })
}

#[derive(Deserialize)]
pub(super) struct LetterForm {
    /// One of them.
    #[serde(default)]
    id: String,
    /// With `routing_key`: those of this trouble.
    #[serde(default)]
    reason: String,
    #[serde(default)]
    routing_key: String,
}

impl LetterForm {
    /// The letters that are meant; empty: all of them. `None`: nobody has that trouble any more.
    async fn ids(self, cluster: &Cluster) -> Result<Option<Vec<String>>, PageError> {
        if self.routing_key.is_empty() {
            return Ok(Some(Some(self.id).filter(|id| !id.is_empty()).into_iter().collect()));
        }
        let mut groups = letters::groups(cluster).await?.into_iter();
        let same = |group: &Group| group.reason == self.reason && group.routing_key == self.routing_key;
        Ok(groups.find(same).map(|group| group.ids))
    }
}

/// Publishes dead letters again, or drops them.
pub(super) async fn settle_dead_letters(
    State(state): State<ConsoleState>,
    Path(action): Path<String>,
    act: Act<LetterForm>,
) -> Result<Redirect, PageError> {
    let cluster = state.cluster.as_ref().ok_or(PageError::Missing("queue"))?;
    let Some(ids) = act.form.ids(cluster).await? else {
        return Ok(act.viewer.done(&state, "They are not there any more.", "/dead-letters").await);
    };
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
