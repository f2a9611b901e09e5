//! Performs one object's plan, and says what a failure means. Nothing here acknowledges or records.

use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Idle, Operation, Plan};
use scimfleet_core::retry::{Class, clamp_retry_after};
use scimfleet_core::state::ParkReason;

use super::Session;
use super::attempt::{Account, Attempt};
use super::lookup::Listed;
use super::wire::{Failure, Halt};
use crate::planted::{Defect, is_planted};

impl Session<'_> {
    /// Performs what is planned. The outcome is left in the attempt.
    pub(crate) async fn perform(&self, attempt: &mut Attempt, listed: Option<&Listed>) {
        if attempt.is_suspect()
            && let Some(outcome) = self.confirm(attempt).await
        {
            attempt.outcome = Some(outcome);
            return;
        }
        if attempt.in_doubt()
            && let Some(outcome) = self.resolve(attempt).await
        {
            attempt.outcome = Some(outcome);
            return;
        }
        if attempt.repairs
            && let Some(outcome) = self.compare(attempt).await
        {
            attempt.outcome = Some(outcome);
            return;
        }
        let Some(plan) = attempt.plan.take() else { return };
        let outcome = match &plan.operation {
            Operation::Create { document } => self.create(attempt, document, listed).await,
            Operation::Delete => self.delete(attempt).await,
            Operation::Replace { .. }
            | Operation::Patch { .. }
            | Operation::Deactivate { .. }
            | Operation::Nothing(_) => self.update(attempt, &plan).await,
        };
        let outcome = self.send_password(attempt, outcome).await;
        attempt.plan = Some(plan);
        attempt.outcome = Some(outcome);
    }

    /// A complete listing did not show the account. It is asked for by id before anything is concluded;
    /// `None`: it is there, and what was sent to it counts again.
    async fn confirm(&self, attempt: &mut Attempt) -> Option<Outcome> {
        let account = attempt.account.remote_id.clone()?;
        if is_planted(Defect::IncompleteIsAbsent) {
            attempt.has_lost_account();
            return Some(Outcome::Again("the listing does not show the account".to_owned()));
        }
        match self.get(attempt, &account).await {
            Ok(_) => {
                attempt.account.sent_digest = attempt.account.sent.as_ref().map(scimfleet_core::plan::digest);
                attempt.plan = self.plan(attempt);
                None
            }
            Err(Halt::Failed(error)) if error.is_believable_not_found() => {
                attempt.has_lost_account();
                Some(Outcome::Again(format!("{}; neither the listing nor a get by id shows the account", *error)))
            }
            Err(halt) => Some(self.halted(&halt)),
        }
    }

    /// Somebody changed the account: what it shows now is the baseline of the next plan, so that what
    /// differs is sent again, once (R22).
    async fn compare(&self, attempt: &mut Attempt) -> Option<Outcome> {
        let account = attempt.account.remote_id.clone()?;
        match self.get(attempt, &account).await {
            Ok(answer) => {
                let before = attempt.account.clone();
                attempt.account.version = answer.version.clone();
                attempt.account.shown = answer.document;
                attempt.account.sent = None;
                attempt.account.sent_digest = None;
                attempt.plan = self.plan(attempt);
                attempt.compared = true;
                attempt.account = Account { version: answer.version, ..before };
                None
            }
            Err(Halt::Failed(error)) if error.is_believable_not_found() => {
                attempt.has_lost_account();
                Some(Outcome::Again(error.to_string()))
            }
            Err(halt) => Some(self.halted(&halt)),
        }
    }

    /// What a failure means for the object and the provider, if it means nothing special.
    pub(crate) fn failed(&self, failure: &Failure) -> Outcome {
        let class = failure.class();
        let words = failure.to_string();
        match class {
            Class::Throttled => {
                let wait = clamp_retry_after(failure.retry_after());
                if !failure.counted {
                    self.note_throttled(wait);
                }
                Outcome::Throttled(wait)
            }
            Class::Transient | Class::Unknown | Class::Credentials | Class::Gone | Class::Unsupported => {
                if !failure.counted {
                    self.note_failure(class, &words);
                }
                Outcome::Retry { class, words, unknown: failure.may_have_been_applied() }
            }
            Class::Refused | Class::Permanent => Outcome::Parked(ParkReason::Refused, words),
            Class::Conflict => Outcome::Parked(ParkReason::Conflict, words),
            Class::VersionMoved => Outcome::Again(words),
        }
    }
}

pub(crate) fn idle(plan: &Plan) -> Outcome {
    match plan.operation {
        Operation::Nothing(Idle::NoAccountNeeded | Idle::NeverThere) => Outcome::Absent,
        Operation::Nothing(Idle::Kept) => Outcome::Kept,
        Operation::Nothing(Idle::NameFixed) => Outcome::Parked(
            ParkReason::Refused,
            "the provider does not let a group be renamed; rename it there by hand, then `parked retry`".to_owned(),
        ),
        _ => Outcome::Unchanged,
    }
}
