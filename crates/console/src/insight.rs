//! What the console asks of the other roles. It knows none of them: whoever wires the program passes it in.

use async_trait::async_trait;
use scimfleet_core::plan::Change;
use scimfleet_core::preview::{DryRun, Impact, Preview};
use scimfleet_core::provider::MappingText;
use scimfleet_store::{ProviderRow, ResourceRow};
use serde_json::{Map, Value};

use crate::settings::{cover, is_secret};

/// Why an answer could not be given.
#[derive(Debug, thiserror::Error)]
pub enum InsightError {
    /// The text that was asked about is wrong; says where, with the line and a caret below it.
    #[error("{0}")]
    Wrong(String),
    /// Something did not answer: the database, the evaluating child, the provider.
    #[error("{0}")]
    Failed(String),
}

/// What an examination of a provider showed.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// Flaws of what it announces.
    pub notes: Vec<String>,
    /// What was tried, with the result (`ok`, `wrong`, `not tried`) and words.
    pub findings: Vec<[String; 3]>,
    /// Values for `[provider.override]`.
    pub recommended: Map<String, Value>,
}

/// Answers that need the mappings evaluated, a scope judged, a provider asked, or a leaver handed over.
#[async_trait]
pub trait Insight: Send + Sync {
    /// What a provider's scope says of an object, in words.
    async fn scope(&self, provider: &ProviderRow, object: &ResourceRow) -> Result<&'static str, InsightError>;
    /// What would be sent of an object, with `draft` in place of the stored text of that mapping.
    async fn preview(
        &self,
        provider: &ProviderRow,
        object: &ResourceRow,
        draft: Option<&MappingText>,
    ) -> Result<Preview, InsightError>;
    /// Whether a mapping compiles.
    async fn check(&self, mapping: &MappingText) -> Result<(), InsightError>;
    /// Whether a scope's expression compiles.
    async fn check_scope(&self, expression: &str) -> Result<(), InsightError>;
    /// What `draft` would change at a provider that uses it.
    async fn impact(&self, provider: &ProviderRow, draft: &MappingText) -> Result<Impact, InsightError>;
    /// How many objects these settings' scope would let in, and how many put out.
    async fn movers(&self, provider: &ProviderRow) -> Result<(u64, u64), InsightError>;
    /// Examines a provider by harmless reads; one that answers is taken back into service.
    async fn probe(&self, provider: &ProviderRow) -> Result<Probe, InsightError>;
    /// What a whole sync of a provider would do, with the first `planned_max` writes; writes nothing anywhere.
    /// `looked_at` hears now and then how many more objects were looked at.
    async fn dry_run(
        &self,
        provider: &ProviderRow,
        planned_max: usize,
        looked_at: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<DryRun, InsightError>;
    /// Sends a user who was deactivated to every provider, to paused ones, too (R31).
    async fn offboard(&self, user: &ResourceRow) -> Result<(), InsightError>;
}

/// The same preview with what may be a secret covered.
pub(crate) fn covered(mut preview: Preview) -> Preview {
    for part in &mut preview.mappings {
        part.payload = cover(&part.payload);
    }
    if let Some(Value::Object(merged)) = preview.merged.take().map(|merged| cover(&Value::Object(merged))) {
        preview.merged = Some(merged);
    }
    cover_changes(&mut preview.changes);
    for request in &mut preview.requests {
        let operations = request.pointer_mut("/body/Operations").and_then(Value::as_array_mut);
        for operation in operations.into_iter().flatten() {
            let secret = operation.get("path").and_then(Value::as_str).is_some_and(is_secret);
            if let Some(value) = operation.get_mut("value").filter(|_| secret) {
                *value = Value::from("•••");
            }
        }
        *request = cover(request);
    }
    preview
}

/// Covers what may be a secret in the differences of an object.
pub(crate) fn cover_changes(changes: &mut [Change]) {
    for Change { path, from, to } in changes {
        for value in [from, to].into_iter().flatten() {
            *value = if is_secret(path) { Value::from("•••") } else { cover(value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_password_is_shown_in_a_preview() {
        let Value::Object(merged) = json!({ "userName": "anna", "password": "canary" }) else { panic!("an object") };
        let preview = Preview {
            mappings: Vec::new(),
            merged: Some(merged),
            invalid: None,
            warnings: Value::Null,
            operation: "patch".to_owned(),
            changes: vec![Change { path: "password".to_owned(), from: None, to: Some(json!("canary")) }],
            requests: vec![
                json!({ "method": "PATCH", "body": { "Operations": [{ "path": "password", "value": "canary" }] } }),
                json!({ "method": "POST", "body": { "password": "canary" } }),
            ],
        };
        let shown = serde_json::to_string(&covered(preview)).unwrap();
        assert!(shown.contains("anna") && !shown.contains("canary"), "{shown}");
    }
}
