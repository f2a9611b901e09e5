//! Objects that need a change before they are tried again; and people who are to lose access and still have it.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Redirect;
use scimfleet_core::state::ParkReason;
use scimfleet_core::{ProviderId, ResourceId};
use scimfleet_store::{Leaver, ParkedGroup};
use serde::Deserialize;

use super::{Frame, Names, Page, ROWS, cut, one_more, provider, render};
use crate::ConsoleState;
use crate::access::{Act, Viewer};
use crate::error::PageError;
use crate::objects::{Named, cut_words, named};
use crate::times::{Lasted, counted};

/// Groups of trouble shown at a provider.
const GROUPS_SHOWN: i64 = 10;

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    after: String,
}

struct At {
    provider: String,
    groups: Vec<ParkedGroup>,
}

#[derive(Template)]
#[template(path = "parked.html")]
struct ParkedPage {
    frame: Frame,
    provider: String,
    reason: String,
    /// Of each provider, when none was chosen.
    overview: Vec<At>,
    rows: Vec<Named>,
    next: Option<ResourceId>,
}

pub(super) async fn list(State(state): State<ConsoleState>, viewer: Viewer, Query(which): Query<Which>) -> Page {
    let (mut overview, mut rows, mut next) = (Vec::new(), Vec::new(), None);
    if which.provider.is_empty() {
        for row in state.store.providers().await? {
            let mut groups = state.store.parked_groups(row.id, GROUPS_SHOWN).await?;
            if !groups.is_empty() && overview.len() < ROWS {
                groups.iter_mut().for_each(|group| group.words = group.words.as_deref().map(cut_words));
                overview.push(At { provider: row.settings.name.to_string(), groups });
            }
        }
    } else {
        let row = provider(&state.store, &which.provider).await?;
        let reason: Option<ParkReason> = which.reason.parse().ok();
        let after = ResourceId::parse(which.after).ok();
        let mut links = state.store.parked_after(row.id, reason, after.as_ref(), one_more(ROWS)).await?;
        next = cut(&mut links, ROWS).then(|| links.last().map(|link| link.resource_id.clone())).flatten();
        rows = named(&state.store, links).await?;
    }
    let frame = viewer.frame(&state, None);
    render(&ParkedPage { frame, provider: which.provider, reason: which.reason, overview, rows, next })
}

#[derive(Deserialize)]
pub(super) struct RetryForm {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    object: String,
}

/// Gives parked objects another chance: one at a provider, or all there.
pub(super) async fn retry(State(state): State<ConsoleState>, act: Act<RetryForm>) -> Result<Redirect, PageError> {
    let row = provider(&state.store, &act.form.provider).await?;
    let object = match act.form.object.as_str() {
        "" => None,
        text => Some(ResourceId::parse(text).map_err(|_| PageError::Missing("object"))?),
    };
    let count = state.store.retry_parked(Some(row.id), object.as_ref()).await?;
    let words = format!("{} tried again.", counted(count, "object is", "objects are"));
    Ok(act.viewer.done(&state, words, &format!("/parked?provider={}", row.settings.name)).await)
}

struct LeaverLine {
    leaver: Leaver,
    provider: String,
    waits: Lasted,
    words: String,
}

#[derive(Template)]
#[template(path = "leavers.html")]
struct LeaversPage {
    frame: Frame,
    provider: String,
    rows: Vec<LeaverLine>,
    more: bool,
}

pub(super) async fn leavers(State(state): State<ConsoleState>, viewer: Viewer, Query(which): Query<Which>) -> Page {
    let names = Names::read(&state.store).await?;
    let of: Option<ProviderId> = match which.provider.as_str() {
        "" => None,
        name => Some(provider(&state.store, name).await?.id),
    };
    // With a provider chosen the rows of others are read and left out: the oldest of all come first.
    let mut leavers = state.store.leavers(0, one_more(ROWS * 10)).await?;
    leavers.retain(|leaver| of.is_none_or(|of| of == leaver.provider_id));
    let more = cut(&mut leavers, ROWS);
    let now = state.store.now_ms();
    let rows = leavers.into_iter().map(|leaver| LeaverLine {
        provider: names.of(leaver.provider_id),
        waits: Lasted(now - leaver.since_ms),
        words: leaver.last_error.as_deref().map(cut_words).unwrap_or_default(),
        leaver,
    });
    render(&LeaversPage { frame: viewer.frame(&state, None), provider: which.provider, rows: rows.collect(), more })
}
