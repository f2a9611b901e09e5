//! Drift (R22): what a listing shows of accounts that are ours, against what it showed after our last
//! write. Nothing is sent here: what is to be repaired is marked, and the next task repairs it.

use std::collections::HashMap;

use scimfleet_core::drift::{Drifted, Shown, shown_members};
use scimfleet_core::provider::Drift;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::path::member;
use scimfleet_core::{RemoteId, ResourceId, ResourceKind};
use scimfleet_runtime::metrics::DRIFTED_TOTAL;
use scimfleet_store::{Linked, ShownRow, StoreError};
use serde_json::Value;

use crate::task::Session;

/// What a page says of accounts that are ours.
#[derive(Default)]
struct Findings {
    fresh: Vec<ShownRow>,
    drifted: Vec<(ShownRow, Drifted)>,
    back: Vec<ResourceId>,
}

impl Session<'_> {
    /// Compares a page that was asked for at `asked_at_ms` with the baselines of the accounts on it. Where
    /// nothing moved this costs one digest an account, and no statement.
    pub(crate) async fn compare_page(
        &self,
        page: &[Document],
        linked: &HashMap<RemoteId, Linked>,
        asked_at_ms: i64,
    ) -> Result<(), StoreError> {
        let mut findings = Findings::default();
        let mut moved: HashMap<ResourceId, (&Document, Option<Shown>)> = HashMap::new();
        for document in page {
            let Some((link, document)) = link_of(document, linked).map(|link| (link, document)) else { continue };
            match link.shown.as_deref().and_then(|text| text.parse::<Shown>().ok()) {
                Some(baseline) if is_same_version(link, document) || baseline.is_still(document) => {
                    if link.drift.is_some() {
                        findings.back.push(link.resource_id.clone());
                    }
                }
                baseline => drop(moved.insert(link.resource_id.clone(), (document, baseline))),
            }
        }
        self.look_closer(moved, &mut findings).await?;
        self.note_findings(page, linked, findings, asked_at_ms).await
    }

    /// Which of the accounts that show something new were changed in what we send.
    async fn look_closer(
        &self,
        moved: HashMap<ResourceId, (&Document, Option<Shown>)>,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        if moved.is_empty() {
            return Ok(());
        }
        let ids: Vec<ResourceId> = moved.keys().cloned().collect();
        for link in self.worker.store.links_at(self.provider.row.id, &ids).await? {
            let sent = link.sent_document.as_deref().and_then(|text| serde_json::from_str::<Document>(text).ok());
            let (Some(sent), Some((document, baseline))) = (sent, moved.get(&link.resource_id)) else { continue };
            let now = Shown::of(document, &sent);
            let row = ShownRow { resource_id: link.resource_id, shown: now.to_string() };
            match baseline.as_ref().map(|baseline| baseline.moved_to(&now)) {
                Some(drifted) if drifted.is_any() => findings.drifted.push((row, drifted)),
                _ => findings.fresh.push(row),
            }
        }
        Ok(())
    }

    async fn note_findings(
        &self,
        page: &[Document],
        linked: &HashMap<RemoteId, Linked>,
        findings: Findings,
        asked_at_ms: i64,
    ) -> Result<(), StoreError> {
        let (store, provider) = (&self.worker.store, self.provider.row.id);
        let repair = self.provider.row.settings.drift == Drift::Repair;
        store.keep_shown(provider, &findings.fresh, asked_at_ms).await?;
        store.forget_drift(provider, &findings.back).await?;
        if repair && self.task.kind == ResourceKind::Group {
            for (row, drifted) in &findings.drifted {
                if drifted.members {
                    self.forget_lost_members(&row.resource_id, page, linked).await?;
                }
            }
        }
        let rows: Vec<ShownRow> = findings.drifted.into_iter().map(|(row, _)| row).collect();
        let news = store.note_drift(provider, &rows, asked_at_ms, repair).await?;
        self.tell(&news, repair).await
    }

    /// Members that a group has lost at the provider count as not sent: the next task adds them again.
    async fn forget_lost_members(
        &self,
        group: &ResourceId,
        page: &[Document],
        linked: &HashMap<RemoteId, Linked>,
    ) -> Result<(), StoreError> {
        let is_it = |document: &&Document| link_of(document, linked).is_some_and(|link| link.resource_id == *group);
        let Some(shown) = page.iter().find(is_it).and_then(shown_members) else { return Ok(()) };
        let store = &self.worker.store;
        let sent = store.sent_members(self.provider.row.id, group).await?;
        let lost = sent.into_iter().filter(|(_, account)| !shown.contains(&account.as_str()));
        let lost: Vec<ResourceId> = lost.map(|(member, _)| member).collect();
        store.forget_sent_members(self.provider.row.id, group, &lost).await
    }

    async fn tell(&self, news: &[ResourceId], repair: bool) -> Result<(), StoreError> {
        if news.is_empty() {
            return Ok(());
        }
        let (name, kind) = (self.provider.row.name(), self.task.kind);
        metrics::counter!(DRIFTED_TOTAL, "provider" => name.to_string(), "kind" => kind.as_str())
            .increment(news.len() as u64);
        let then = if repair { "what we sent is sent again" } else { "it is only reported" };
        tracing::warn!(provider = %name, kind = %kind, objects = news.len(), "accounts were changed at the provider; {then}");
        if repair {
            // The repair itself is logged, as every write is.
            return Ok(());
        }
        let entries: Vec<_> = news.iter().map(|id| self.drift_entry(id)).collect();
        self.worker.store.append_log(self.provider.row.id, &entries).await
    }

    fn drift_entry(&self, id: &ResourceId) -> scimfleet_store::LogEntry {
        scimfleet_store::LogEntry {
            id: scimfleet_store::LogEntry::key(),
            resource_id: id.clone(),
            kind: self.task.kind,
            operation: "drift".to_owned(),
            outcome: "reported".to_owned(),
            removal: 0,
            remote_id: None,
            attributes: "[]".to_owned(),
            status: None,
            detail: Some("somebody changed the account at the provider; `drift = \"repair\"` would mend it".to_owned()),
            cause: self.task.cause.as_str().to_owned(),
            run_id: self.task.run.map(|run| run.to_string()),
            task_id: Some(self.task.task.to_string()),
            duration_ms: 0,
        }
    }
}

fn link_of<'a>(document: &Document, linked: &'a HashMap<RemoteId, Linked>) -> Option<&'a Linked> {
    linked.get(&RemoteId::parse(document.get("id")?.as_str()?).ok()?)
}

/// Where versions are offered, one that did not move needs no digest.
fn is_same_version(link: &Linked, document: &Document) -> bool {
    let shown = member(document, "meta").and_then(Value::as_object).and_then(|meta| member(meta, "version"));
    link.version.is_some() && shown.and_then(Value::as_str) == link.version.as_deref()
}
