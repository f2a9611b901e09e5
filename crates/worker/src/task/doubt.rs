//! Writes of which nobody knows whether they were applied (R20), where what is planned now does not settle it:
//! the edit was taken back, or the object was, before its write was told of. The account is looked at first.

use scimfleet_core::RemoteId;
use scimfleet_core::adoption::Judgement;
use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Idle, Operation, digest, doubt::as_shown};
use scimfleet_core::retry::Class;
use scimfleet_core::scim::Document;
use scimfleet_store::{ResourceRow, Wanted};

use super::attempt::{ACCOUNT_PATH, Attempt};
use super::create::shows_external_id;
use super::lookup::{Look, Sought};
use super::wire::Halt;
use super::{Session, TaskError};
use crate::desire::{Desire, desires, identity_of};

/// A create that is not seen is looked for this often before it counts as never applied: some providers show
/// a new account only seconds later. A name that is refused and that nobody seems to have is tried as often.
pub(super) const LOOKS: u32 = 2;

impl Session<'_> {
    /// What an object is recognised by that shall have no account, while its create may have been applied.
    pub(crate) async fn identify_orphans(&self, attempts: &mut [Attempt]) -> Result<(), TaskError> {
        let orphans: Vec<usize> = (0..attempts.len()).filter(|index| is_orphan(&attempts[*index])).collect();
        let rows: Vec<&ResourceRow> = orphans.iter().filter_map(|index| attempts[*index].resource.as_ref()).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let (store, evaluator) = (&self.worker.store, &self.worker.evaluator);
        let verdicts = desires(store, evaluator, &self.provider, self.task.kind, &rows).await?;
        let of_rows: Vec<Document> = rows.iter().map(|row| named_identity(row)).collect();
        let identities = verdicts.into_iter().zip(of_rows).map(|(desire, of_row)| match desire {
            Desire::Wanted(desired) => desired.document,
            Desire::Skip | Desire::Invalid(_) => of_row,
        });
        for (index, identity) in orphans.into_iter().zip(identities) {
            attempts[index].orphan = Some(identity);
        }
        Ok(())
    }

    /// Looks what became of the write, and plans again with that. `None`: it is known now.
    pub(crate) async fn resolve(&self, attempt: &mut Attempt) -> Option<Outcome> {
        if let Some(identity) = attempt.orphan.take() {
            return self.find_orphan(attempt, &identity).await;
        }
        let account = attempt.account.remote_id.clone()?;
        match self.get(attempt, &account).await {
            Ok(answer) => {
                let shown = answer.document.unwrap_or_default();
                let sent = attempt.account.sent.clone().unwrap_or_default();
                // It is there: that is settled.
                attempt.doubts.retain(|path| path != ACCOUNT_PATH);
                let baseline = as_shown(&sent, &shown, &attempt.doubts);
                attempt.account.version = answer.version;
                attempt.account.sent_digest = Some(digest(&baseline));
                attempt.account.sent = Some(baseline);
                self.resolved(attempt);
                None
            }
            Err(Halt::Failed(error)) if error.is_believable_not_found() => {
                attempt.has_lost_account();
                Some(Outcome::Again(error.to_string()))
            }
            Err(halt) => Some(self.halted(&halt)),
        }
    }

    async fn find_orphan(&self, attempt: &mut Attempt, identity: &Document) -> Option<Outcome> {
        let sought = Sought::of(attempt.link.kind, identity);
        match self.look_up(attempt, &sought, Look::Live).await {
            Ok(Judgement::Take(account)) => self.own_orphan(attempt, identity, account).await,
            Ok(Judgement::Nobody) if attempt.link.attempts < LOOKS => Some(Outcome::Retry {
                class: Class::Unknown,
                words: "its create may have been applied; the account is not shown yet".to_owned(),
                unknown: true,
            }),
            Ok(Judgement::Nobody | Judgement::Conflict(_) | Judgement::Owned { .. }) => {
                attempt.resolved = true;
                None
            }
            Err(error) => Some(self.cannot_look(&error)),
        }
    }

    async fn own_orphan(&self, attempt: &mut Attempt, identity: &Document, account: RemoteId) -> Option<Outcome> {
        match self.get(attempt, &account).await {
            Ok(answer) => {
                let ours = shows_external_id(identity, &answer);
                attempt.has_found(account, ours, answer);
                attempt.arrived = true;
                self.resolved(attempt);
                None
            }
            Err(halt) => Some(self.halted(&halt)),
        }
    }

    fn resolved(&self, attempt: &mut Attempt) {
        attempt.doubts.clear();
        attempt.resolved = true;
        attempt.plan = self.plan(attempt);
    }
}

fn named_identity(row: &ResourceRow) -> Document {
    let mut identity = identity_of(row);
    identity.insert(row.kind.naming_attribute().to_owned(), row.name().into());
    identity
}

fn is_orphan(attempt: &Attempt) -> bool {
    let none = attempt
        .plan
        .as_ref()
        .is_some_and(|plan| matches!(plan.operation, Operation::Nothing(Idle::NeverThere | Idle::NoAccountNeeded)));
    none && attempt.has_lost_create() && attempt.outcome.is_none() && attempt.resource.is_some()
}

/// Paths of an open intent that the plan neither sets nor makes void. Of somebody who is leaving only `active`
/// matters.
pub(crate) fn doubts_of(attempt: &Attempt) -> Vec<String> {
    let Some(plan) = attempt.plan.as_ref().filter(|plan| plan.operation != Operation::Delete) else {
        return Vec::new();
    };
    if !attempt.has_open_intent() || attempt.account.remote_id.is_none() {
        return Vec::new();
    }
    let mut paths = attempt.intended_paths();
    paths.retain(|path| !plan.changes.iter().any(|change| change.path == *path));
    if attempt.link.wanted != Wanted::Yes {
        paths.retain(|path| path == "active");
    }
    paths
}
