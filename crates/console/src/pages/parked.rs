//! Objects that need a change before they are tried again; and people who are to lose access and still have it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use scimfleet_core::state::ParkReason;
use scimfleet_core::{ProviderId, ResourceId};
use scimfleet_store::{Leaver, Parked, ParkedGroup};
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
    groups: Vec<Trouble>,
}

/// Objects of one trouble; its words, cut, beside the whole ones.
struct Trouble {
    group: ParkedGroup,
    shown: String,
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
            let groups = state.store.parked_groups(row.id, GROUPS_SHOWN).await?;
            if !groups.is_empty() && overview.len() < ROWS {
                let shown = |group: &ParkedGroup| group.words.as_deref().map(cut_words).unwrap_or_default();
                let groups = groups.into_iter().map(|group| Trouble { shown: shown(&group), group }).collect();
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

/// Parked objects at one provider: one, those of one trouble, or all.
#[derive(Deserialize)]
pub(super) struct ParkedForm {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    words: String,
}

/// Gives parked objects another chance, or gives them up.
pub(super) async fn settle(
    State(state): State<ConsoleState>,
    Path(action): Path<String>,
    act: Act<ParkedForm>,
) -> Result<Redirect, PageError> {
    let form = act.form;
    let row = provider(&state.store, &form.provider).await?;
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let object = given(form.object).map(ResourceId::parse).transpose().map_err(|_| PageError::Missing("object"))?;
    let reason = given(form.reason).map(|text| text.parse()).transpose().map_err(|_| PageError::Missing("reason"))?;
    let which = Parked { provider: Some(row.id), object, reason, words: given(form.words) };
    let words = match action.as_str() {
        "retry" => {
            let count = state.store.retry_parked(&which).await?;
            format!("{} tried again.", counted(count, "object is", "objects are"))
        }
        "drop" => {
            let count = state.store.drop_parked(&which).await?;
            let count = counted(count, "object is", "objects are");
            format!("{count} given up until something changes. Whoever is to lose access there stays parked.")
        }
        _ => return Err(PageError::Missing("action")),
    };
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
    /// Where the next page begins.
    next: Option<String>,
}

pub(super) async fn leavers(State(state): State<ConsoleState>, viewer: Viewer, Query(which): Query<Which>) -> Page {
    let names = Names::read(&state.store).await?;
    let of: Option<ProviderId> = match which.provider.as_str() {
        "" => None,
        name => Some(provider(&state.store, name).await?.id),
    };
    let after = which.after.parse().ok();
    let mut leavers = state.store.leavers(0, of, after.as_ref(), one_more(ROWS)).await?;
    let next = cut(&mut leavers, ROWS).then(|| leavers.last().map(|leaver| leaver.place().to_string())).flatten();
    let now = state.store.now_ms();
    let rows = leavers.into_iter().map(|leaver| LeaverLine {
        provider: names.of(leaver.provider_id),
        waits: Lasted(now - leaver.since_ms),
        words: leaver.last_error.as_deref().map(cut_words).unwrap_or_default(),
        leaver,
    });
    render(&LeaversPage { frame: viewer.frame(&state, None), provider: which.provider, rows: rows.collect(), next })
}
