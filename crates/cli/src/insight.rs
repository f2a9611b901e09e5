//! What the console asks of the scheduler, the worker and the evaluator, put together here because roles do not
//! know each other.

use async_trait::async_trait;
use scimfleet_console::{Insight, InsightError, Probe};
use scimfleet_core::preview::{DryRun, Impact, Preview};
use scimfleet_core::provider::MappingText;
use scimfleet_core::state::ProviderState;
use scimfleet_expression::Expression;
use scimfleet_scheduler::{Scheduler, Scopes};
use scimfleet_store::{ProviderRow, ResourceRow, Wanted};
use scimfleet_worker::examine::examine;
use scimfleet_worker::{Providers, impact, preview};
use serde_json::Value;

use crate::command::offboard::hand_over;

/// Objects compared before a mapping is saved: a person waits for the answer.
const COMPARED_MAX: u64 = 20_000;

/// The wired answers.
pub(crate) struct Wired {
    pub(crate) scheduler: Scheduler,
    pub(crate) providers: Providers,
}

fn failed(error: impl ToString) -> InsightError {
    InsightError::Failed(error.to_string())
}

#[async_trait]
impl Insight for Wired {
    async fn scope(&self, provider: &ProviderRow, object: &ResourceRow) -> Result<&'static str, InsightError> {
        let Scheduler { store, evaluator, .. } = &self.scheduler;
        let scopes = Scopes::of(store, evaluator, provider).await.map_err(failed)?;
        let verdict = scopes.judge(vec![object.clone()], false).await.map_err(failed)?;
        Ok(scope_words(verdict.first().map(|verdict| verdict.wanted)))
    }

    async fn preview(
        &self,
        provider: &ProviderRow,
        object: &ResourceRow,
        draft: Option<&MappingText>,
    ) -> Result<Preview, InsightError> {
        let Scheduler { store, evaluator, .. } = &self.scheduler;
        let known = self.providers.offline_with(provider.clone(), draft).await.map_err(failed)?;
        let links = store.links_at(provider.id, std::slice::from_ref(&object.id)).await.map_err(failed)?;
        preview::preview(store, evaluator, &known, object, links.first()).await.map_err(failed)
    }

    async fn check(&self, mapping: &MappingText) -> Result<(), InsightError> {
        let source = mapping.expression.as_str().into();
        let expression = Expression { name: mapping.name.clone(), kind: mapping.resource, source };
        let checked = self.scheduler.evaluator.check(&expression).await;
        checked.map_err(|error| InsightError::Wrong(error.to_string()))
    }

    async fn check_scope(&self, expression: &str) -> Result<(), InsightError> {
        let checked = self.scheduler.evaluator.check_scope(expression).await;
        checked.map_err(|error| InsightError::Wrong(format!("scope.users: {error}")))
    }

    async fn impact(&self, provider: &ProviderRow, draft: &MappingText) -> Result<Impact, InsightError> {
        let Scheduler { store, evaluator, .. } = &self.scheduler;
        let now = self.providers.offline(provider.clone()).await.map_err(failed)?;
        let then = self.providers.offline_with(provider.clone(), Some(draft)).await.map_err(failed)?;
        impact(store, evaluator, &now, &then, draft.resource, COMPARED_MAX).await.map_err(failed)
    }

    async fn movers(&self, provider: &ProviderRow) -> Result<(u64, u64), InsightError> {
        let Scheduler { store, evaluator, .. } = &self.scheduler;
        scimfleet_scheduler::count_movers(store, evaluator, provider).await.map_err(failed)
    }

    async fn probe(&self, provider: &ProviderRow) -> Result<Probe, InsightError> {
        let known = self.providers.discover(provider.clone()).await.map_err(failed)?;
        if matches!(provider.state, ProviderState::Degraded | ProviderState::Quarantined) {
            let store = &self.scheduler.store;
            let reason = Some("a probe got through");
            store.set_provider_state(provider.id, ProviderState::Active, reason).await.map_err(failed)?;
        }
        let notes = known.row.announced.as_ref().and_then(|announced| announced.get("notes"));
        let notes = notes.and_then(Value::as_array).into_iter().flatten();
        let notes = notes.filter_map(Value::as_str).map(str::to_owned).collect();
        let found = examine(&known, &*self.scheduler.coordination, false).await;
        let findings = found.findings.into_iter();
        let findings = findings.map(|one| [one.check.to_owned(), one.result.to_owned(), one.words]).collect();
        Ok(Probe { notes, findings, recommended: found.recommended })
    }

    async fn dry_run(
        &self,
        provider: &ProviderRow,
        planned_max: usize,
        looked_at: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<DryRun, InsightError> {
        let Scheduler { store, evaluator, coordination, .. } = &self.scheduler;
        let known = self.providers.look_at(provider.clone()).await.map_err(failed)?;
        let inside = scimfleet_scheduler::wanted(store, evaluator, provider).await.map_err(failed)?;
        preview::dry_run(store, evaluator, &known, &**coordination, &inside, planned_max, looked_at)
            .await
            .map_err(failed)
    }

    async fn offboard(&self, user: &ResourceRow) -> Result<(), InsightError> {
        let providers = self.scheduler.store.providers().await.map_err(failed)?;
        hand_over(&self.scheduler, &providers, user).await.map_err(failed)
    }
}

/// What a scope says of an object, as people read it.
pub(crate) fn scope_words(wanted: Option<Wanted>) -> &'static str {
    match wanted {
        Some(Wanted::Yes) => "in scope",
        Some(Wanted::OutOfScope) => "out of scope",
        Some(Wanted::Deleted) => "deleted",
        None => "no verdict: the scope raised, or names a group that is unknown; the previous one stays",
    }
}
