//! Mappings: the list, and the editor that shows what a text gives for a chosen user before anybody saves it.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use scimfleet_core::ResourceKind;
use scimfleet_core::preview::{Impact, Preview};
use scimfleet_core::provider::MappingText;
use scimfleet_runtime::fleet::mapping_toml;
use scimfleet_store::{MappingRow, ProviderRow, ResourceRow};
use serde::Deserialize;

use super::preview::Shown;
use super::{Frame, Page, render};
use crate::ConsoleState;
use crate::access::{Act, Viewer};
use crate::error::PageError;
use crate::insight::{Insight, InsightError, covered};
use crate::mappings::{self, ImpactAt, OWN};

struct Listed {
    row: MappingRow,
    read_only: bool,
    providers: Vec<String>,
}

#[derive(Template)]
#[template(path = "mappings.html")]
struct MappingsPage {
    frame: Frame,
    rows: Vec<Listed>,
}

pub(super) async fn list(State(state): State<ConsoleState>, viewer: Viewer) -> Page {
    let providers = state.store.providers().await?;
    let rows = state.store.mappings().await?.into_iter().map(|row| Listed {
        read_only: mappings::read_only(&row).is_some(),
        providers: mappings::users(&providers, &row.text.name).map(|row| row.settings.name.to_string()).collect(),
        row,
    });
    render(&MappingsPage { rows: rows.collect(), frame: viewer.frame(&state, None) })
}

/// What the editor holds. Of a mapping that exists, the kind is what it is.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Editing {
    #[serde(default)]
    name: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    expression: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    object: String,
    /// `try`, `impact` or `save`.
    #[serde(default)]
    action: String,
    /// The version that the editor began with; empty for a new mapping.
    #[serde(default)]
    version: String,
    /// The version of the text whose impact was shown.
    #[serde(default)]
    shown: String,
}

/// What the text gives for the chosen object.
enum Outcome {
    Nothing,
    /// Why there is nothing to see: where the text is wrong, or what did not answer.
    Trouble(String),
    Gives(Box<Shown>),
}

#[derive(Template)]
#[template(path = "mapping.html")]
struct MappingPage {
    frame: Frame,
    editing: Editing,
    /// Why it cannot be changed here.
    read_only: Option<&'static str>,
    is_new: bool,
    toml: String,
    providers: Vec<String>,
    /// Providers that use it.
    users: Vec<String>,
    outcome: Outcome,
    /// Asked for: what saving would change.
    impacts: Option<Vec<ImpactAt>>,
    /// Of the text as it stands in the editor.
    text_version: String,
}

pub(super) async fn edit(State(state): State<ConsoleState>, viewer: Viewer, Query(given): Query<Editing>) -> Page {
    let stored = mappings::find(&state.store, given.name.trim()).await?;
    let mut editing = Editing { name: given.name.trim().to_owned(), ..given };
    if let Some(row) = &stored {
        editing.resource = row.text.resource.to_string();
        editing.expression = row.text.expression.clone();
        editing.version = mappings::tag(&row.text);
    }
    show(&state, &viewer, editing, stored, None, None).await
}

/// Tries a text, shows what it would change, or saves it: what nobody has seen the impact of is not saved.
pub(super) async fn act(State(state): State<ConsoleState>, act: Act<Editing>) -> Result<Response, PageError> {
    let Act { viewer, form: mut editing } = act;
    editing.expression = editing.expression.replace("\r\n", "\n");
    let stored = mappings::find(&state.store, &editing.name).await?;
    let insight = state.insight.as_deref().ok_or(PageError::Missing("evaluator"))?;
    let text = text_of(&editing, stored.as_ref())?;
    if editing.action == "try" {
        return Ok(show(&state, &viewer, editing, stored, None, None).await?.into_response());
    }
    let mut trouble = mappings::check(insight, &text).await.err().map(|error| error.to_string());
    if let Some(why) = stored.as_ref().and_then(mappings::read_only) {
        trouble = Some(format!("It cannot be changed here: {why}."));
    } else if editing.version != stored.as_ref().map(|row| mappings::tag(&row.text)).unwrap_or_default() {
        trouble = Some("Somebody changed this mapping meanwhile. Copy your text, and load the page again.".to_owned());
    }
    let seen = editing.shown == mappings::tag(&text);
    if trouble.is_none() && editing.action == "save" && seen {
        state.store.put_mapping(&text, OWN).await?;
        let next = format!("/mappings/edit?name={}", urlencoded(&text.name));
        return Ok(viewer.done(&state, format!("{} is saved.", text.name), &next).await.into_response());
    }
    let impacts = match trouble {
        None => Some(mappings::impacts(insight, &state.store.providers().await?, &text).await),
        Some(_) => None,
    };
    Ok(show(&state, &viewer, editing, stored, trouble, impacts).await?.into_response())
}

fn text_of(editing: &Editing, stored: Option<&MappingRow>) -> Result<MappingText, PageError> {
    let resource = match stored {
        Some(row) => row.text.resource,
        None => editing.resource.parse().unwrap_or(ResourceKind::User),
    };
    Ok(MappingText { name: editing.name.clone(), resource, expression: editing.expression.clone() })
}

async fn show(
    state: &ConsoleState,
    viewer: &Viewer,
    editing: Editing,
    stored: Option<MappingRow>,
    trouble: Option<String>,
    impacts: Option<Vec<ImpactAt>>,
) -> Page {
    let providers = state.store.providers().await?;
    let text = text_of(&editing, stored.as_ref())?;
    let outcome = match (trouble, state.insight.as_deref()) {
        (Some(words), _) => Outcome::Trouble(words),
        (None, Some(insight)) => outcome(state, insight, &editing, &text, &providers).await?,
        (None, None) => Outcome::Nothing,
    };
    let page = MappingPage {
        frame: viewer.frame(state, None),
        read_only: stored.as_ref().and_then(mappings::read_only),
        is_new: stored.is_none(),
        toml: mapping_toml(&text),
        users: mappings::users(&providers, &text.name).map(|row| row.settings.name.to_string()).collect(),
        providers: providers.into_iter().map(|row| row.settings.name.to_string()).collect(),
        text_version: mappings::tag(&text),
        outcome,
        impacts,
        editing,
    };
    Ok(Html(page.render()?))
}

/// What the text gives for the chosen object at the chosen provider.
async fn outcome(
    state: &ConsoleState,
    insight: &dyn Insight,
    editing: &Editing,
    text: &MappingText,
    providers: &[ProviderRow],
) -> Result<Outcome, PageError> {
    if text.expression.trim().is_empty() {
        return Ok(Outcome::Nothing);
    }
    if let Err(error) = insight.check(text).await {
        return Ok(Outcome::Trouble(error.to_string()));
    }
    if editing.object.trim().is_empty() {
        return Ok(Outcome::Nothing);
    }
    let object = match chosen(state, editing.object.trim(), text.resource).await? {
        Some(object) => object,
        None => return Ok(Outcome::Trouble(format!("The directory has no {} of that name.", text.resource))),
    };
    let users = mappings::users(providers, &text.name).next().or(providers.first());
    let at = providers.iter().find(|row| row.settings.name.as_str() == editing.provider).or(users);
    let Some(at) = at else { return Ok(Outcome::Trouble("There is no provider yet.".to_owned())) };
    Ok(match given(insight, at, &object, text).await {
        Ok(preview) => Outcome::Gives(Box::new(Shown::of(&object, at, preview))),
        Err(error) => Outcome::Trouble(error.to_string()),
    })
}

async fn given(
    insight: &dyn Insight,
    at: &ProviderRow,
    object: &ResourceRow,
    text: &MappingText,
) -> Result<Preview, InsightError> {
    insight.preview(at, object, Some(text)).await.map(covered)
}

async fn chosen(state: &ConsoleState, name: &str, kind: ResourceKind) -> Result<Option<ResourceRow>, PageError> {
    let found = state.store.find_resources(name).await?;
    Ok(found.into_iter().find(|row| row.kind == kind && !row.deleted))
}

/// A name as part of a query.
fn urlencoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn impact_words(impact: &Impact) -> String {
    let of = if impact.whole { "" } else { " the first" };
    let mut words = format!("{} of{of} {} would be sent anew", impact.changed, impact.looked_at);
    if impact.invalid > 0 {
        words.push_str(&format!(", {} could not be sent any more", impact.invalid));
    }
    words
}
