//! Reading before writing: where a provider cannot be told which values are ours, what others added is read
//! first and sent along (R23); where ids follow names, the id is read again after a rename (R25).

use scimfleet_core::RemoteId;
use scimfleet_core::ResourceKind;
use scimfleet_core::adoption::Judgement;
use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Change, Plan, lists, operations};
use scimfleet_core::profile::MultiValued;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::PatchOperation;

use super::Session;
use super::attempt::Attempt;
use super::lookup::{Look, Sought};
use super::wire::Halt;

impl Session<'_> {
    /// The operations of a PATCH, with what others added to the lists that it rewrites.
    pub(crate) async fn with_others(
        &self,
        attempt: &mut Attempt,
        account: &RemoteId,
        changes: &[Change],
        planned: &[PatchOperation],
    ) -> Result<Vec<PatchOperation>, Halt> {
        let profile = &self.provider.profile;
        if !lists::must_be_read(changes, profile) {
            return Ok(planned.to_vec());
        }
        let shown = self.read(attempt, account).await?;
        Ok(operations(changes, profile, Some(&shown)))
    }

    /// What the account holds, where a PUT would wipe what others added.
    pub(crate) async fn read_before_put(
        &self,
        attempt: &mut Attempt,
        account: &RemoteId,
        document: &Document,
    ) -> Result<Option<Document>, Halt> {
        let profile = &self.provider.profile;
        let sent = attempt.account.sent.as_ref();
        let has_lists = lists::must_be_read_for_put(document, profile)
            || sent.is_some_and(|sent| lists::must_be_read_for_put(sent, profile));
        let is_group = attempt.link.kind == ResourceKind::Group;
        let has_members = is_group && profile.members_readable && profile.multi_valued == MultiValued::Merge;
        if !has_lists && !has_members {
            return Ok(None);
        }
        match &attempt.account.shown {
            Some(shown) if !is_group => Ok(Some(shown.clone())),
            _ => self.read(attempt, account).await.map(Some),
        }
    }

    async fn read(&self, attempt: &mut Attempt, account: &RemoteId) -> Result<Document, Halt> {
        let answer = self.get(attempt, account).await?;
        Ok(answer.document.unwrap_or_default())
    }

    /// The body of a PUT.
    pub(crate) fn merged(&self, attempt: &Attempt, document: &Document, shown: Option<&Document>) -> Document {
        let none = Document::new();
        let body = match shown {
            Some(shown) => {
                let sent = attempt.account.sent.as_ref().unwrap_or(&none);
                lists::with_others(document, sent, shown, &self.provider.profile)
            }
            None => document.clone(),
        };
        match attempt.link.kind {
            ResourceKind::Group => self.with_members(attempt, &body, shown),
            ResourceKind::User => body,
        }
    }

    /// After a rename where ids follow names, and the answer named none: the account is looked up again.
    pub(crate) async fn follow_name(&self, attempt: &mut Attempt, plan: &Plan) -> Option<Outcome> {
        let kind = attempt.link.kind;
        let renamed = plan.changes.iter().any(|change| change.path == kind.naming_attribute() && change.from.is_some());
        if !self.provider.profile.id_follows_name || !renamed {
            return None;
        }
        let document = attempt.desired.as_ref()?.document.clone();
        match self.look_up(attempt, &Sought::of(kind, &document), Look::Fresh).await {
            Ok(Judgement::Take(account)) => {
                attempt.account.remote_id = Some(account);
                None
            }
            Ok(_) => {
                Some(Outcome::Again("the id followed the name, and the account is not shown by it yet".to_owned()))
            }
            Err(error) => Some(self.cannot_look(&error)),
        }
    }
}
