//! References between users who are created in the same bulk request (RFC 7644 §3.7.2): what a provider made of
//! them is seen before it is relied on.

use scimfleet_core::RemoteId;
use scimfleet_core::plan::digest;
use scimfleet_core::scim::Document;

use super::Session;
use super::attempt::Attempt;
use super::learned::BULK_REFERENCES;
use crate::desire::Referring;

impl Session<'_> {
    /// After a create that carried a reference: what its account holds, if the reference stands for somebody.
    /// Without that the manager follows later, as always.
    pub(crate) async fn note_reference(&self, attempt: &mut Attempt, account: &RemoteId) -> Option<Document> {
        let carried = attempt.carried.take()?;
        let manager = carried.account?;
        if carried.by_bulk_id && !self.resolves(attempt, account, &manager).await {
            return None;
        }
        let desired = attempt.desired.as_mut()?;
        let referring = desired.referring.take()?;
        desired.document = referring.document(manager.as_str());
        desired.digest = digest(&desired.document);
        attempt.waits_for.retain(|needed| *needed != referring.to);
        Some(desired.document.clone())
    }

    /// Whether the provider resolves references. Asked for one account, once; then it is remembered.
    async fn resolves(&self, attempt: &mut Attempt, account: &RemoteId, manager: &RemoteId) -> bool {
        if self.provider.row.remembered.get(BULK_REFERENCES) == Some(&true.into()) {
            return true;
        }
        let seen = self.resolves.get_or_init(|| async {
            let Ok(answer) = self.get(attempt, account).await else { return false };
            let shown = answer.document.as_ref().and_then(Referring::shown_in);
            let resolves = shown == Some(manager.as_str());
            if !resolves {
                let provider = self.provider.row.name();
                tracing::warn!(%provider, "the provider does not resolve references in bulk requests; managers follow");
            }
            self.remember_bulk_references(resolves).await;
            resolves
        });
        *seen.await
    }
}
