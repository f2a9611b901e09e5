//! What was written to providers, about all objects: attributes by name, never values.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State};
use scimfleet_core::task::Cause;
use scimfleet_core::{ResourceId, RunId};
use scimfleet_store::{TrailFilter, TrailRow};
use serde::Deserialize;

use super::{Frame, Names, Page, ROWS, cut, one_more, provider, render};
use crate::ConsoleState;
use crate::access::Viewer;
use crate::error::PageError;
use crate::objects::{cut_words, names, within};

const HOUR_MS: i64 = 3_600_000;

/// What is asked for; empty: everything.
#[derive(Deserialize, Default)]
pub(super) struct Which {
    #[serde(default)]
    provider: String,
    /// By id.
    #[serde(default)]
    object: String,
    #[serde(default)]
    run: String,
    #[serde(default)]
    cause: String,
    /// Of the last so many hours.
    #[serde(default)]
    hours: String,
    /// The last row of the page before.
    #[serde(default)]
    before: String,
}

struct Line {
    line: TrailRow,
    provider: String,
    /// `userName` or `displayName`; the id when the object is not there any more.
    name: String,
    words: String,
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    frame: Frame,
    which: Which,
    providers: Vec<String>,
    rows: Vec<Line>,
    /// Where the next page begins.
    next: Option<String>,
}

async fn filter(state: &ConsoleState, which: &Which) -> Result<TrailFilter, PageError> {
    let given = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut filter = TrailFilter {
        object: given(&which.object).map(ResourceId::parse).transpose().map_err(|_| PageError::Missing("object"))?,
        cause: which.cause.parse::<Cause>().ok().map(|cause| cause.as_str().to_owned()),
        since_ms: which
            .hours
            .parse::<i64>()
            .map_or(0, |hours| state.store.now_ms() - hours.clamp(0, 24 * 366) * HOUR_MS),
        ..TrailFilter::default()
    };
    if let Some(name) = given(&which.provider) {
        filter.provider = Some(provider(&state.store, &name).await?.id);
    }
    if let Some(id) = given(&which.run) {
        let missing = || PageError::Missing("run");
        let id: RunId = id.parse().map_err(|_| missing())?;
        filter = within(filter, &state.store.run(id).await?.ok_or_else(missing)?);
    }
    Ok(filter)
}

pub(super) async fn list(State(state): State<ConsoleState>, viewer: Viewer, Query(which): Query<Which>) -> Page {
    let filter = filter(&state, &which).await?;
    let before = Some(which.before.as_str()).filter(|key| !key.is_empty());
    let mut lines = state.store.trail_before(&filter, before, one_more(ROWS)).await?;
    let next = cut(&mut lines, ROWS).then(|| lines.last().map(|line| line.key.clone())).flatten();
    let ids: Vec<ResourceId> = lines.iter().map(|line| line.row.resource_id.clone()).collect();
    let called: HashMap<ResourceId, String> = names(&state.store, &ids).await?;
    let known = Names::read(&state.store).await?;
    let rows = lines.into_iter().map(|line| Line {
        provider: known.of(line.row.provider_id),
        name: called.get(&line.row.resource_id).cloned().unwrap_or_else(|| line.row.resource_id.to_string()),
        words: line.row.detail.as_deref().map(cut_words).unwrap_or_default(),
        line,
    });
    let rows = rows.collect();
    let mut providers: Vec<String> = known.0.values().map(ToString::to_string).collect();
    providers.sort();
    render(&LogPage { frame: viewer.frame(&state, None), which, providers, rows, next })
}
