//! Users and groups: finding one, and why it has, or has not, got to each provider.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use scimfleet_core::task::Job;
use scimfleet_core::{ProviderName, ResourceId, ResourceKind};
use scimfleet_store::{LinkRow, LogRow, ProviderRow, ResourceRow};
use serde::Deserialize;

use super::{Frame, Page, provider, render};
use crate::ConsoleState;
use crate::access::{Act, Nothing, Viewer};
use crate::error::PageError;
use crate::levers;
use crate::objects::find;

/// Objects found, on one page.
const FOUND: usize = 50;
/// Last writes shown for each provider.
const LOG_SHOWN: i64 = 8;
/// Groups shown of a user, members of a group.
const GROUPS_SHOWN: usize = 50;

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    after: String,
}

#[derive(Template)]
#[template(path = "objects.html")]
struct ObjectsPage {
    frame: Frame,
    query: String,
    kind: String,
    rows: Vec<ResourceRow>,
    next: Option<(ResourceId, ResourceKind)>,
}

pub(super) async fn search(State(state): State<ConsoleState>, viewer: Viewer, Query(search): Query<Search>) -> Page {
    let query = search.q.trim().to_owned();
    let kind: Option<ResourceKind> = search.kind.parse().ok();
    let after = ResourceId::parse(search.after).ok();
    let (rows, more) = find(&state.store, &query, kind, after.as_ref(), FOUND).await?;
    let next = rows.last().filter(|_| more).map(|row| (row.id.clone(), row.kind));
    render(&ObjectsPage { frame: viewer.frame(&state, None), query, kind: search.kind, next, rows })
}

struct At {
    provider: String,
    /// What the scope says, if somebody can.
    scope: String,
    link: LinkRow,
    held_by: Option<String>,
    log: Vec<LogRow>,
}

#[derive(Template)]
#[template(path = "object.html")]
struct ObjectPage {
    frame: Frame,
    object: ResourceRow,
    /// Attributes as JSON, without secrets.
    document: String,
    groups: Vec<(ResourceId, String)>,
    members: Vec<ResourceId>,
    links: Vec<At>,
    /// Providers that have not considered it yet.
    nowhere: Vec<String>,
}

pub(super) async fn show(State(state): State<ConsoleState>, viewer: Viewer, Path(id): Path<String>) -> Page {
    let object = object(&state, &id).await?;
    let store = &state.store;
    let (mut links, mut nowhere) = (Vec::new(), Vec::new());
    let mut known = store.links_of(&object.id).await?;
    for row in store.providers().await? {
        let name = row.settings.name.to_string();
        let Some(at) = known.iter().position(|link| link.provider_id == row.id) else {
            nowhere.push(name);
            continue;
        };
        links.push(At {
            scope: scope(&state, &row, &object).await,
            provider: name,
            held_by: store.held_by(row.id, &object.id).await?,
            log: store.log_of(&object.id, Some(row.id), LOG_SHOWN).await?,
            link: known.swap_remove(at),
        });
    }
    let (mut groups, mut members) = (Vec::new(), Vec::new());
    match object.kind {
        ResourceKind::User => {
            let found = store.groups_of(std::slice::from_ref(&object.id)).await?;
            groups = found
                .into_iter()
                .take(GROUPS_SHOWN)
                .map(|row| (row.group.id.clone(), row.group.name().to_owned()))
                .collect();
        }
        ResourceKind::Group => {
            members = store.members_after(&object.id, None, i64::try_from(GROUPS_SHOWN).unwrap_or(i64::MAX)).await?;
        }
    }
    let document = crate::settings::document(&object.document);
    render(&ObjectPage { frame: viewer.frame(&state, None), document, object, groups, members, links, nowhere })
}

pub(super) async fn object(state: &ConsoleState, id: &str) -> Result<ResourceRow, PageError> {
    let missing = || PageError::Missing("object");
    let id = ResourceId::parse(id).map_err(|_| missing())?;
    state.store.resources(std::slice::from_ref(&id)).await?.into_iter().next().ok_or_else(missing)
}

/// What a provider's scope says of an object; why nobody can say.
async fn scope(state: &ConsoleState, row: &ProviderRow, object: &ResourceRow) -> String {
    match &state.insight {
        Some(insight) => insight.scope(row, object).await.map_or_else(|error| error.to_string(), str::to_owned),
        None => String::new(),
    }
}

/// Takes every access of a user away now.
pub(super) async fn offboard(
    State(state): State<ConsoleState>,
    Path(id): Path<String>,
    act: Act<Nothing>,
) -> Result<Redirect, PageError> {
    let user = object(&state, &id).await?;
    let words = match levers::offboard(&state, &user, &act.viewer.name).await {
        Ok(Ok(())) => {
            format!("{} is inactive, and every provider is told. What each answers stands below.", user.name())
        }
        Ok(Err(refusal)) => refusal.to_string(),
        Err(error) => error.to_string(),
    };
    Ok(act.viewer.done(&state, words, &format!("/objects/{}", percent(&user.id))).await)
}

#[derive(Deserialize)]
pub(super) struct SyncForm {
    provider: String,
}

/// Asks the scheduler to look at one object at one provider, as any AMQP client could.
pub(super) async fn sync(
    State(state): State<ConsoleState>,
    Path(id): Path<String>,
    act: Act<SyncForm>,
) -> Result<Redirect, PageError> {
    let object = object(&state, &id).await?;
    let row = provider(&state.store, &act.form.provider).await?;
    let name: ProviderName = row.settings.name;
    let cluster = state.cluster.as_ref().ok_or(PageError::Missing("queue"))?;
    let job = Job::SyncObject { provider: name.clone(), object: object.id.to_string() };
    cluster.queue.publish_job(&job).await?;
    let words = format!("{name} looks at {} next.", object.name());
    Ok(act.viewer.done(&state, words, &format!("/objects/{}", percent(&object.id))).await)
}

/// An id as part of an address: it holds visible ASCII without `/`, of which some still mean something there.
fn percent(id: &ResourceId) -> String {
    let mut text = String::with_capacity(id.as_str().len());
    for byte in id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
