//! Accounts that are ours: changed by PATCH or PUT, deactivated, deleted (RFC 7644 §3.5, §3.6).

use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Idle, Operation, Plan};
use scimfleet_core::profile::Update;
use scimfleet_core::retry::Class;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::PatchOperation;
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_scim_client::Answer;

use super::Session;
use super::attempt::Attempt;
use super::lookup::{Look, LookError, Sought};
use super::send::idle;
use super::wire::{Call, Content, Failure, Halt, Write};

impl Session<'_> {
    /// PATCH or PUT of the attributes, then the members.
    pub(crate) async fn update(&self, attempt: &mut Attempt, plan: &Plan) -> Outcome {
        let Some(account) = attempt.account.remote_id.clone() else { return idle(plan) };
        if plan.operation.takes_away() && attempt.standing().baseline.is_none() {
            // A PUT of `active: false` alone would wipe the account; what it shows is kept.
            return self.show_first(attempt, &account).await;
        }
        let attributes = plan.changes.iter().map(|change| change.path.clone()).collect::<Vec<_>>();
        let sent = match &plan.operation {
            Operation::Nothing(why) if !attempt.members.differ() => {
                if *why == Idle::InSync {
                    note_desired_sent(attempt);
                }
                return idle(plan);
            }
            Operation::Nothing(why) => {
                // Of an account that was taken over nothing was sent, and a PUT of the members carries the rest as well.
                if *why == Idle::InSync {
                    note_desired_sent(attempt);
                }
                Ok(())
            }
            Operation::Patch { operations } => {
                let document = attempt.desired.as_ref().map(|desired| desired.document.clone());
                match self.with_others(attempt, &account, &plan.changes, operations).await {
                    Ok(operations) => self.patch(attempt, &account, &operations, document, "patch", attributes).await,
                    Err(halt) => Err(halt),
                }
            }
            Operation::Replace { document } => self.put(attempt, &account, document, "replace", attributes).await,
            Operation::Deactivate { operations, document } => {
                let document = document.clone();
                match self.provider.profile.update_of_active() {
                    Update::Patch => match self.with_others(attempt, &account, &plan.changes, operations).await {
                        Ok(operations) => {
                            self.patch(attempt, &account, &operations, Some(document), "deactivate", attributes).await
                        }
                        Err(halt) => Err(halt),
                    },
                    Update::Put => self.put(attempt, &account, &document, "deactivate", attributes).await,
                }
            }
            Operation::Create { .. } | Operation::Delete => return idle(plan),
        };
        match sent {
            Ok(()) => {}
            Err(Halt::Failed(failure)) => return self.update_failed(attempt, &failure).await,
            Err(Halt::NotNow(outcome)) => return outcome,
        }
        if let Some(outcome) = self.follow_name(attempt, plan).await {
            return outcome;
        }
        if attempt.members.differ()
            && let Err(outcome) = self.patch_members(attempt).await
        {
            return outcome;
        }
        match plan.operation {
            Operation::Nothing(Idle::NameFixed) => idle(plan),
            _ if plan.operation.takes_away() => Outcome::Deactivated,
            _ => Outcome::Updated,
        }
    }

    /// Reads what an account shows and plans again with that.
    async fn show_first(&self, attempt: &mut Attempt, account: &RemoteId) -> Outcome {
        match self.get(attempt, account).await {
            Ok(answer) => {
                let mut shown = answer.document.unwrap_or_default();
                for read_only in ["id", "meta", "groups"] {
                    shown.shift_remove(read_only);
                }
                attempt.account.version = answer.version;
                attempt.account.shown = Some(shown);
                match self.plan(attempt) {
                    Some(plan) => Box::pin(self.update(attempt, &plan)).await,
                    None => Outcome::Kept,
                }
            }
            Err(Halt::Failed(error)) if error.is_believable_not_found() => {
                attempt.has_lost_account();
                Outcome::Absent
            }
            Err(halt) => self.halted(&halt),
        }
    }

    async fn patch(
        &self,
        attempt: &mut Attempt,
        account: &RemoteId,
        operations: &[PatchOperation],
        document: Option<Document>,
        operation: &'static str,
        attributes: Vec<String>,
    ) -> Result<(), Halt> {
        let kind = attempt.link.kind;
        let write = Write { operation, attributes: attributes.clone(), removal: removal_of(operation, operations) };
        let content = Content::Patch(operations);
        let call = Call { kind, account: Some(account), content, version: self.if_match(attempt) };
        match self.deliver(attempt, &write, call).await {
            Ok(answer) => {
                self.note_answer(attempt, answer);
                if let Some(document) = document {
                    self.note_sent(attempt, &document);
                }
                Ok(())
            }
            Err(Halt::Failed(failure)) if failure.class() == Class::Unsupported => {
                self.remember_update(Update::Put).await;
                match document {
                    // The members of a group were not loaded whole: it is planned again.
                    Some(document) if kind == ResourceKind::User => {
                        self.put(attempt, account, &document, operation, attributes).await
                    }
                    _ => Err(Halt::Failed(failure)),
                }
            }
            Err(halt) => Err(halt),
        }
    }

    async fn put(
        &self,
        attempt: &mut Attempt,
        account: &RemoteId,
        document: &Document,
        operation: &'static str,
        attributes: Vec<String>,
    ) -> Result<(), Halt> {
        let kind = attempt.link.kind;
        let is_group = kind == ResourceKind::Group;
        let shown = self.read_before_put(attempt, account, document).await?;
        let body = self.merged(attempt, document, shown.as_ref());
        let write = Write { operation, attributes, removal: i64::from(operation == "deactivate") };
        let content = Content::Replace(&body);
        let call = Call { kind, account: Some(account), content, version: self.if_match(attempt) };
        match self.deliver(attempt, &write, call).await {
            Ok(answer) => {
                self.note_answer(attempt, answer);
                self.note_sent(attempt, document);
                // Where members go by PATCH, a PUT may leave them as they are.
                if is_group && self.provider.profile.update_of_members() == Update::Put {
                    attempt.settle_members_of_put();
                }
                Ok(())
            }
            Err(halt) => {
                if let Halt::Failed(failure) = &halt
                    && failure.class() == Class::Unsupported
                {
                    self.remember_update(Update::Patch).await;
                }
                Err(halt)
            }
        }
    }

    /// A failed update: a lost account is planned again, a missing method too.
    async fn update_failed(&self, attempt: &mut Attempt, failure: &Failure) -> Outcome {
        match failure.class() {
            Class::Gone => self.after_not_found(attempt, failure).await,
            Class::VersionMoved => {
                attempt.account.version = None;
                Outcome::Again(failure.to_string())
            }
            Class::Unsupported => Outcome::Again(failure.to_string()),
            // The name may be held by an account of ours that is about to let it go (R24).
            Class::Conflict if attempt.link.attempts < 5 => {
                Outcome::Retry { class: Class::Conflict, words: failure.to_string(), unknown: false }
            }
            Class::Conflict => {
                let kind = attempt.link.kind;
                let name_key = attempt.desired.as_ref().map(|desired| Sought::of(kind, &desired.document).name_key);
                self.name_taken(attempt, &name_key.unwrap_or_default(), None, failure.to_string()).await
            }
            _ => self.failed(failure),
        }
    }

    /// DELETE (RFC 7644 §3.6); a believable 404 is success (R30).
    pub(crate) async fn delete(&self, attempt: &mut Attempt) -> Outcome {
        let Some(account) = attempt.account.remote_id.clone() else { return Outcome::Absent };
        let write = Write { operation: "delete", attributes: Vec::new(), removal: 1 };
        let (kind, version) = (attempt.link.kind, self.if_match(attempt));
        let call = Call { kind, account: Some(&account), content: Content::Delete, version };
        match self.deliver(attempt, &write, call).await {
            Ok(_) => {
                attempt.has_lost_account();
                Outcome::Deleted
            }
            Err(Halt::Failed(error)) if error.is_believable_not_found() && !self.health.is_tripped() => {
                attempt.has_lost_account();
                Outcome::Deleted
            }
            Err(Halt::Failed(error)) if error.class() == Class::VersionMoved => {
                attempt.account.version = None;
                Outcome::Again(error.to_string())
            }
            Err(halt) => self.halted(&halt),
        }
    }

    /// 404 on an update is believed only when a get by id agrees with a SCIM error (R30).
    pub(crate) async fn after_not_found(&self, attempt: &mut Attempt, failure: &Failure) -> Outcome {
        let Some(account) = attempt.account.remote_id.clone() else { return Outcome::Again(failure.to_string()) };
        let doubted = || Outcome::Retry { class: Class::Transient, words: failure.to_string(), unknown: false };
        if !failure.is_believable_not_found() {
            return doubted();
        }
        match self.get(attempt, &account).await {
            Err(Halt::Failed(again)) if again.is_believable_not_found() => {
                if self.health.is_tripped() {
                    // So many are gone at once that none of it is believed.
                    return doubted();
                }
                if let Err(LookError::Halt(halt)) = self.look_around(attempt).await {
                    return self.halted(&halt);
                }
                attempt.has_lost_account();
                let words = "the account is gone there and is made again if it is still wanted";
                Outcome::Again(format!("{}; {words}", **failure))
            }
            Ok(_) => doubted(),
            Err(halt) => self.halted(&halt),
        }
    }

    /// Where the whole endpoint is gone, a look-up says so: then nothing of the object is concluded.
    async fn look_around(&self, attempt: &mut Attempt) -> Result<(), LookError> {
        let Some(desired) = &attempt.desired else { return Ok(()) };
        let sought = Sought::of(attempt.link.kind, &desired.document);
        self.look_up(attempt, &sought, Look::Live).await.map(drop)
    }

    pub(crate) fn if_match(&self, attempt: &Attempt) -> Option<String> {
        self.provider.profile.etag.then(|| attempt.account.version.clone()).flatten()
    }

    pub(crate) fn note_answer(&self, attempt: &mut Attempt, answer: Answer) {
        if self.provider.profile.id_follows_name && answer.remote_id.is_some() {
            attempt.account.remote_id = answer.remote_id;
        }
        attempt.account.version = answer.version;
        self.health.ok();
    }

    /// Remembers that the whole of what is desired is there, and what else was sent.
    pub(crate) fn note_sent(&self, attempt: &mut Attempt, document: &Document) {
        self.health.ok();
        let digest = match &attempt.desired {
            Some(desired) if desired.document == *document => desired.digest.clone(),
            _ => scimfleet_core::plan::digest(document),
        };
        attempt.has_sent(document, &digest);
    }
}

/// An adopted account that holds what it should counts as sent.
fn note_desired_sent(attempt: &mut Attempt) {
    if let Some(desired) = attempt.desired.take() {
        attempt.has_sent(&desired.document, &desired.digest);
        attempt.desired = Some(desired);
    }
}

/// What the guard counts of an update (R28): an account turned off, or attributes cleared.
fn removal_of(operation: &str, operations: &[PatchOperation]) -> i64 {
    let cleared = operations.iter().filter(|one| one.value.is_none()).count();
    i64::from(operation == "deactivate").max(i64::try_from(cleared).unwrap_or(i64::MAX))
}
