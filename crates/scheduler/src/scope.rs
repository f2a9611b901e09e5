//! Who shall be at a provider (R10–R12): memberships as sets in SQL, expressions in batches in the jailed
//! child. An error is no verdict: the previous one stays.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use scimfleet_core::provider::Scope;
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_expression::{Evaluator, EvaluatorError, GroupView, ObjectView, ProviderView};
use scimfleet_store::{ProviderRow, ResourceRow, Store, StoreError, Verdict, Wanted};
use serde_json::Value;

use crate::{Scheduler, SchedulerError};

/// Resources judged in one go.
const PAGE: i64 = 500;

/// The scope of one provider with its group names resolved.
pub struct Scopes<'a> {
    store: &'a Store,
    evaluator: &'a Evaluator,
    scope: &'a Scope,
    view: ProviderView,
    /// Groups whose members are in scope, nested ones too; `None`: membership does not matter.
    members_of: Option<Vec<ResourceId>>,
    /// Groups that are sent; `None`: all.
    push: Option<HashSet<ResourceId>>,
    /// Names that the directory does not know, or knows twice.
    pub unknown: Vec<String>,
    /// Objects on which there was no verdict, and why.
    unjudged: Mutex<Vec<(ResourceId, ResourceKind, String)>>,
}

/// Why a scope could not be evaluated at all.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The evaluator.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
}

impl From<ScopeError> for SchedulerError {
    fn from(error: ScopeError) -> Self {
        match error {
            ScopeError::Store(error) => Self::Store(error),
            ScopeError::Evaluator(error) => Self::Evaluator(error),
        }
    }
}

impl<'a> Scopes<'a> {
    /// Resolves the names of groups.
    pub async fn of(store: &'a Store, evaluator: &'a Evaluator, provider: &'a ProviderRow) -> Result<Self, ScopeError> {
        let scope = &provider.settings.scope;
        let mut unknown = Vec::new();
        let members_of = if scope.members_of.is_empty() {
            None
        } else {
            let (closure, missing) = store.group_closure(&scope.members_of).await?;
            unknown.extend(missing);
            Some(closure)
        };
        let push = match &scope.push_groups {
            None => None,
            Some(names) => {
                let mut groups = HashSet::new();
                for name in names {
                    let found = store.find_resources(name).await?;
                    let mut found = found.into_iter().filter(|row| row.kind == ResourceKind::Group);
                    match (found.next(), found.next()) {
                        (Some(group), None) => drop(groups.insert(group.id)),
                        _ => unknown.push(name.clone()),
                    }
                }
                Some(groups)
            }
        };
        let view =
            ProviderView { name: provider.settings.name.to_string(), base_url: provider.settings.base_url.clone() };
        Ok(Self { store, evaluator, scope, view, members_of, push, unknown, unjudged: Mutex::default() })
    }

    /// The objects on which there was no verdict since the last time this was asked, and why.
    pub(crate) fn take_unjudged(&self) -> Vec<(ResourceId, ResourceKind, String)> {
        std::mem::take(&mut self.unjudged.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Verdicts on these resources; those without one (R11) are left out.
    pub async fn judge(&self, rows: Vec<ResourceRow>, changed: bool) -> Result<Vec<Verdict>, ScopeError> {
        let ids: Vec<ResourceId> = rows.iter().map(|row| row.id.clone()).collect();
        let members: Option<HashSet<ResourceId>> = match &self.members_of {
            None => None,
            Some(groups) => Some(self.store.members_among(&ids, groups).await?.into_iter().collect()),
        };
        let mut verdicts = Vec::with_capacity(rows.len());
        let mut asked = Vec::new();
        for row in rows {
            let simple = self.simple(&row, members.as_ref());
            if simple == Some(Wanted::Yes) && row.kind == ResourceKind::User && self.scope.users.is_some() {
                asked.push(row);
            } else if let Some(wanted) = simple {
                verdicts.push(Verdict { resource_id: row.id, kind: row.kind, wanted, changed });
            }
        }
        verdicts.extend(self.ask(asked, changed).await?);
        Ok(verdicts)
    }

    /// The verdict but for the expression; `None` where a group is unknown (R11).
    fn simple(&self, row: &ResourceRow, members: Option<&HashSet<ResourceId>>) -> Option<Wanted> {
        if row.deleted {
            return Some(Wanted::Deleted);
        }
        let inside = match row.kind {
            ResourceKind::User => {
                let excluded = self.scope.exclude_service_accounts && row.service_account;
                members.is_none_or(|members| members.contains(&row.id)) && !excluded
            }
            ResourceKind::Group => self.push.as_ref().is_none_or(|groups| groups.contains(&row.id)),
        };
        match inside {
            true => Some(Wanted::Yes),
            false if self.unknown.is_empty() => Some(Wanted::OutOfScope),
            false => None,
        }
    }

    async fn ask(&self, rows: Vec<ResourceRow>, changed: bool) -> Result<Vec<Verdict>, ScopeError> {
        let Some(expression) = self.scope.users.as_deref().filter(|_| !rows.is_empty()) else {
            return Ok(Vec::new());
        };
        let views = self.views(&rows, expression).await?;
        let answers = self.evaluator.evaluate_scope(&expression.into(), &self.view, views).await?;
        let mut verdicts = Vec::with_capacity(rows.len());
        for (row, answer) in rows.into_iter().zip(answers) {
            match answer {
                Ok(inside) => {
                    let wanted = if inside { Wanted::Yes } else { Wanted::OutOfScope };
                    verdicts.push(Verdict { resource_id: row.id, kind: row.kind, wanted, changed });
                }
                Err(error) => {
                    tracing::warn!(provider = self.view.name, object = %row.id, error = %error,
                        "the scope gave no verdict; the previous one stays");
                    let mut unjudged = self.unjudged.lock().unwrap_or_else(PoisonError::into_inner);
                    unjudged.push((row.id, row.kind, error.to_string()));
                }
            }
        }
        Ok(verdicts)
    }

    async fn views<'r>(&self, rows: &'r [ResourceRow], expression: &str) -> Result<Vec<ObjectView<'r>>, StoreError> {
        let mut views: Vec<ObjectView<'r>> = rows
            .iter()
            .map(|row| ObjectView {
                kind: row.kind,
                id: row.id.to_string(),
                external_id: row.external_id.clone(),
                document: Cow::Borrowed(&row.document),
                service_account: row.service_account,
                groups: Vec::new(),
            })
            .collect();
        if expression.contains("group") || expression.contains("getattr") {
            let ids: Vec<ResourceId> = rows.iter().map(|row| row.id.clone()).collect();
            for found in self.store.groups_of(&ids).await? {
                let attributes = found.group.document.get("attributes").and_then(Value::as_object).cloned();
                let group = GroupView {
                    id: found.group.id.to_string(),
                    external_id: found.group.external_id.clone(),
                    display_name: found.group.name().to_owned(),
                    attributes: attributes.unwrap_or_default(),
                };
                if let Some(view) = views.iter_mut().find(|view| view.id == found.user_id.as_str()) {
                    view.groups.push(group);
                }
            }
        }
        Ok(views)
    }
}

/// The objects in scope of a provider, of the whole directory: for dry runs, nothing is stored.
pub async fn wanted(
    store: &Store,
    evaluator: &Evaluator,
    provider: &ProviderRow,
) -> Result<HashSet<ResourceId>, ScopeError> {
    let scopes = Scopes::of(store, evaluator, provider).await?;
    let mut wanted = HashSet::new();
    for kind in [ResourceKind::User, ResourceKind::Group] {
        let mut after: Option<ResourceId> = None;
        loop {
            let rows = store.resources_after(kind, after.as_ref(), PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id.clone());
            let inside = scopes.judge(rows, false).await?;
            let inside = inside.into_iter().filter(|verdict| verdict.wanted == Wanted::Yes);
            wanted.extend(inside.map(|verdict| verdict.resource_id));
        }
    }
    Ok(wanted)
}

/// How many objects a provider's scope would let in, and how many that are wanted now it would put out.
pub async fn count_movers(
    store: &Store,
    evaluator: &Evaluator,
    provider: &ProviderRow,
) -> Result<(u64, u64), ScopeError> {
    let inside = wanted(store, evaluator, provider).await?;
    let (mut linked, mut leavers) = (0, 0);
    let mut after: Option<ResourceId> = None;
    loop {
        let links = store.links(provider.id, None, after.as_ref(), PAGE).await?;
        let Some(last) = links.last() else { break };
        after = Some(last.resource_id.clone());
        for link in links.iter().filter(|link| link.wanted == Wanted::Yes) {
            if inside.contains(&link.resource_id) {
                linked += 1;
            } else {
                leavers += 1;
            }
        }
    }
    Ok((inside.len() as u64 - linked, leavers))
}

impl Scheduler {
    /// Judges the whole directory for a provider, page by page.
    pub(crate) async fn judge_everything(&self, provider: &ProviderRow) -> Result<(), SchedulerError> {
        if provider.settings.scope.is_everything() {
            self.store.want_everything(provider.id).await?;
            return Ok(self.store.scope_is_current(provider.id).await?);
        }
        let scopes = Scopes::of(&self.store, &self.evaluator, provider).await?;
        for name in &scopes.unknown {
            tracing::warn!(provider = %provider.settings.name, group = name,
                "the scope names a group that the directory does not know, or knows twice; nobody leaves because of it");
        }
        for kind in [ResourceKind::User, ResourceKind::Group] {
            let mut after: Option<ResourceId> = None;
            loop {
                let rows = self.store.resources_after(kind, after.as_ref(), PAGE).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.id.clone());
                let verdicts = scopes.judge(rows, false).await?;
                self.store.apply_verdicts(provider.id, &verdicts).await?;
                self.store.park_unjudged(provider.id, &scopes.take_unjudged()).await?;
            }
        }
        self.store.want_no_tombstones(provider.id).await?;
        Ok(self.store.scope_is_current(provider.id).await?)
    }
}
