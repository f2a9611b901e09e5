//! What would be sent of one object to one provider, and why.

use askama::Template;
use axum::extract::{Path, State};
use scimfleet_core::preview::Preview;
use scimfleet_store::{ProviderRow, ResourceRow};
use serde_json::Value;

use super::objects::object;
use super::{Frame, Page, provider, render};
use crate::ConsoleState;
use crate::access::Viewer;
use crate::error::PageError;
use crate::grid::words;
use crate::insight::covered;

/// A preview as it is written on a page.
pub(super) struct Shown {
    pub(super) object: String,
    pub(super) provider: String,
    /// Name, and what it gives.
    pub(super) mappings: Vec<(String, String)>,
    pub(super) merged: Option<String>,
    /// The mapping to blame, and the words.
    pub(super) invalid: Option<(String, String)>,
    /// Path and broken rule.
    pub(super) violations: Vec<(String, String)>,
    pub(super) operation: String,
    /// Path, before, after.
    pub(super) changes: Vec<(String, String, String)>,
    /// Method with path, and body.
    pub(super) requests: Vec<(String, String)>,
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

impl Shown {
    /// Of a preview whose secrets are covered.
    pub(super) fn of(object: &ResourceRow, at: &ProviderRow, preview: Preview) -> Self {
        let text = |value: &Option<Value>| value.as_ref().map(words).unwrap_or_default();
        let part = |request: &Value, key: &str| request.get(key).map(words).unwrap_or_default();
        let mappings = preview.mappings.iter().map(|part| {
            let nothing = if part.payload.is_null() { "nothing to add".to_owned() } else { pretty(&part.payload) };
            (part.mapping.clone(), part.remark.clone().unwrap_or(nothing))
        });
        let changes = preview.changes.iter().map(|one| (one.path.clone(), text(&one.from), text(&one.to)));
        let requests = preview.requests.iter().map(|request| {
            let line = format!("{} {}", part(request, "method"), part(request, "path"));
            (line, request.get("body").filter(|body| !body.is_null()).map(pretty).unwrap_or_default())
        });
        let violations = preview.invalid.iter().flat_map(|data| &data.violations);
        Self {
            object: object.name().to_owned(),
            provider: at.settings.name.to_string(),
            mappings: mappings.collect(),
            merged: preview.merged.map(|merged| pretty(&Value::Object(merged))),
            violations: violations.map(|one| (one.path.clone(), one.rule.to_string())).collect(),
            invalid: preview
                .invalid
                .as_ref()
                .map(|data| (data.mapping.clone().unwrap_or_default(), data.message.clone())),
            operation: preview.operation,
            changes: changes.collect(),
            requests: requests.collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    frame: Frame,
    id: String,
    scope: &'static str,
    shown: Option<Shown>,
    /// Why there is nothing to see.
    trouble: String,
    object: String,
    provider: String,
}

pub(super) async fn show(
    State(state): State<ConsoleState>,
    viewer: Viewer,
    Path((id, name)): Path<(String, String)>,
) -> Page {
    let object = object(&state, &id).await?;
    let row = provider(&state.store, &name).await?;
    let insight = state.insight.as_deref().ok_or(PageError::Missing("evaluator"))?;
    let scope = insight.scope(&row, &object).await;
    let preview = insight.preview(&row, &object, None).await.map(covered);
    let trouble = [scope.as_ref().err(), preview.as_ref().err()].into_iter().flatten().map(ToString::to_string);
    render(&PreviewPage {
        trouble: trouble.collect::<Vec<_>>().join("; "),
        scope: scope.unwrap_or("no verdict"),
        shown: preview.ok().map(|preview| Shown::of(&object, &row, preview)),
        id: object.id.to_string(),
        object: object.name().to_owned(),
        provider: name,
        frame: viewer.frame(&state, None),
    })
}
