//! What the guard withheld, and deciding about it: the list first, the button after it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use scimfleet_core::provider::Leavers;
use scimfleet_core::state::HoldState;
use scimfleet_store::{HoldItem, HoldRow};
use serde::Deserialize;

use super::{Frame, Names, Page, cut, one_more, render};
use crate::ConsoleState;
use crate::access::{Act, Nothing, Viewer};
use crate::error::PageError;
use crate::levers;
use crate::times::counted;

/// Holds on a page: each may list thousands of objects, which are read with it.
const HOLDS: usize = 25;
/// Objects listed on a hold's page at once.
const ITEMS: usize = 300;

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    before: String,
    #[serde(default)]
    from: usize,
}

struct Listed {
    hold: HoldRow,
    deed: String,
}

#[derive(Template)]
#[template(path = "holds.html")]
struct HoldsPage {
    frame: Frame,
    rows: Vec<Listed>,
    next: Option<String>,
}

pub(super) async fn list(State(state): State<ConsoleState>, viewer: Viewer, Query(from): Query<From>) -> Page {
    let before = Some(from.before.as_str()).filter(|before| !before.is_empty());
    let mut holds = state.store.holds_before(None, before, one_more(HOLDS)).await?;
    let next = cut(&mut holds, HOLDS).then(|| holds.last().map(|hold| hold.id.clone())).flatten();
    let mut rows = Vec::with_capacity(holds.len());
    for hold in holds {
        let (provider, leavers) = provider_of(&state, &hold).await?;
        rows.push(Listed { deed: levers::deed(&hold.items, &leavers, &provider), hold });
    }
    render(&HoldsPage { frame: viewer.frame(&state, None), rows, next })
}

/// The provider's name, and what it does with leavers.
async fn provider_of(state: &ConsoleState, hold: &HoldRow) -> Result<(String, Leavers), PageError> {
    let rows = state.store.providers().await?;
    Ok(rows.into_iter().find(|row| row.id == hold.provider_id).map_or_else(
        || (Names(std::collections::HashMap::new()).of(hold.provider_id), Leavers::default()),
        |row| (row.settings.name.to_string(), row.settings.leavers),
    ))
}

struct Loss {
    item: HoldItem,
    fate: &'static str,
}

#[derive(Template)]
#[template(path = "hold.html")]
struct HoldPage {
    frame: Frame,
    hold: HoldRow,
    provider: String,
    deed: String,
    losses: Vec<Loss>,
    total: usize,
    next: Option<usize>,
}

async fn hold(state: &ConsoleState, id: &str) -> Result<HoldRow, PageError> {
    state.store.hold(id).await?.ok_or(PageError::Missing("hold"))
}

pub(super) async fn show(
    State(state): State<ConsoleState>,
    viewer: Viewer,
    Path(id): Path<String>,
    Query(from): Query<From>,
) -> Page {
    let mut hold = hold(&state, &id).await?;
    let (provider, leavers) = provider_of(&state, &hold).await?;
    let deed = levers::deed(&hold.items, &leavers, &provider);
    let items = std::mem::take(&mut hold.items);
    let total = items.len();
    let next = (from.from.saturating_add(ITEMS) < total).then(|| from.from + ITEMS);
    let losses = items.into_iter().skip(from.from).take(ITEMS);
    let losses = losses.map(|item| Loss { fate: levers::fate(&item, &leavers), item }).collect();
    render(&HoldPage { frame: viewer.frame(&state, None), hold, provider, deed, losses, total, next })
}

pub(super) async fn decide(
    State(state): State<ConsoleState>,
    Path((id, decision)): Path<(String, String)>,
    act: Act<Nothing>,
) -> Result<Redirect, PageError> {
    let decision = match decision.as_str() {
        "approve" => HoldState::Approved,
        "reject" => HoldState::Rejected,
        _ => return Err(PageError::Missing("decision")),
    };
    let hold = hold(&state, &id).await?;
    let words = match levers::decide(&state, &hold, decision, &act.viewer.name).await? {
        Ok(moved) if decision == HoldState::Approved => {
            let released = (hold.items.len() - moved.len()) as u64;
            let mut words = format!("{} released.", counted(released, "removal is", "removals are"));
            if !moved.is_empty() {
                words.push_str(&format!(
                    " {} since and stays as it is.",
                    counted(moved.len() as u64, "object changed", "objects changed")
                ));
            }
            words
        }
        Ok(_) => "Rejected: the accounts stay as they are.".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    Ok(act.viewer.done(&state, words, &format!("/holds/{id}")).await)
}
