//! Performs one object's plan: the only place that writes to a provider. What a failure means is decided
//! in one function, and nothing here acknowledges or records.

use std::time::Instant;

use scimfleet_core::adoption::Judgement;
use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Idle, Operation, Plan, plan_wanted};
use scimfleet_core::profile::Update;
use scimfleet_core::retry::{Class, clamp_retry_after};
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::PatchOperation;
use scimfleet_core::state::{Ownership, ParkReason};
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_scim_client::{Answer, ScimError};

use super::Session;
use super::attempt::{Attempt, Write};
use super::lookup::{Listed, Look, LookError, Sought};

impl Session<'_> {
    /// Performs what is planned. The outcome is left in the attempt.
    pub(crate) async fn perform(&self, attempt: &mut Attempt, listed: Option<&Listed>) {
        if attempt.is_suspect()
            && let Some(outcome) = self.confirm(attempt).await
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
        attempt.plan = Some(plan);
        attempt.outcome = Some(outcome);
    }

    /// A complete listing did not show the account. It is asked for by id before anything is concluded;
    /// `None`: it is there, and what was sent to it counts again.
    async fn confirm(&self, attempt: &mut Attempt) -> Option<Outcome> {
        let account = attempt.account.remote_id.clone()?;
        attempt.requests.request("GET", 1);
        match self.provider.client.get(attempt.link.kind, &account, &self.context).await {
            Ok(_) => {
                attempt.account.sent_digest = attempt.account.sent.as_ref().map(scimfleet_core::plan::digest);
                attempt.plan = self.plan(attempt);
                None
            }
            Err(error) if error.is_believable_not_found() => {
                attempt.has_lost_account();
                Some(Outcome::Again(format!("{error}; neither the listing nor a get by id shows the account")))
            }
            Err(error) => Some(self.failed(&error)),
        }
    }

    /// POST, after looking whether the account is there already (R16).
    async fn create(&self, attempt: &mut Attempt, document: &Document, listed: Option<&Listed>) -> Outcome {
        let sought = Sought::of(attempt.link.kind, document);
        let look = match listed {
            Some(listed) if !attempt.has_open_intent() => Look::Listed(listed),
            _ => Look::Live,
        };
        match self.look_up(attempt, &sought, look).await {
            Err(error) => self.cannot_look(&error),
            Ok(Judgement::Conflict(words)) => Outcome::Parked(ParkReason::Conflict, words),
            Ok(Judgement::Take(account)) => self.adopt(attempt, account).await,
            Ok(Judgement::Nobody) => self.post(attempt, document, &sought).await,
        }
    }

    async fn post(&self, attempt: &mut Attempt, document: &Document, sought: &Sought) -> Outcome {
        let with_members = attempt.link.kind == ResourceKind::Group && self.provider.profile.members_in_create;
        let body = if with_members { self.with_members(attempt, document) } else { document.clone() };
        let write = self.write("POST", "create", body.keys().cloned().collect());
        let result = self.provider.client.create(attempt.link.kind, &body, &self.context).await;
        attempt.log_write(&write, &result, 0);
        match result {
            Ok(answer) => self.created(attempt, answer, document, sought, with_members).await,
            Err(error) if error.class() == Class::Conflict => self.after_conflict(attempt, sought, &error).await,
            Err(error) => self.failed(&error),
        }
    }

    async fn created(
        &self,
        attempt: &mut Attempt,
        answer: Answer,
        document: &Document,
        sought: &Sought,
        with_members: bool,
    ) -> Outcome {
        let account = match answer.remote_id {
            Some(account) => account,
            None => match self.look_up(attempt, sought, Look::Live).await {
                Ok(Judgement::Take(account)) => account,
                Ok(_) => return unseen("the provider took the create and then did not show the account"),
                Err(error) => return self.cannot_look(&error),
            },
        };
        attempt.account.remote_id = Some(account);
        attempt.account.ownership = Some(Ownership::Created);
        attempt.account.version = answer.version;
        attempt.arrived = true;
        self.note_sent(attempt, document);
        if with_members {
            let whole = std::mem::take(&mut attempt.members.whole);
            attempt.remember_members(&whole);
            attempt.members.add.clear();
        }
        if attempt.members.differ()
            && let Err(outcome) = self.patch_members(attempt).await
        {
            return outcome;
        }
        Outcome::Created
    }

    /// A 409 means that somebody holds the name: perhaps our own earlier create.
    async fn after_conflict(&self, attempt: &mut Attempt, sought: &Sought, error: &ScimError) -> Outcome {
        match self.look_up(attempt, sought, Look::Live).await {
            Ok(Judgement::Take(account)) => self.adopt(attempt, account).await,
            Ok(Judgement::Conflict(words)) => Outcome::Parked(ParkReason::Conflict, words),
            Ok(Judgement::Nobody) => Outcome::Parked(
                ParkReason::Conflict,
                format!("{error}; no account that may be taken over was found by {}", self.match_words()),
            ),
            Err(error) => self.cannot_look(&error),
        }
    }

    fn match_words(&self) -> String {
        let settings = &self.provider.row.settings;
        let words: Vec<String> = settings.match_order.iter().map(|attribute| format!("{attribute:?}")).collect();
        words.join(", ")
    }

    /// Takes an account over: what it shows is compared with what it should hold, and only that is sent.
    async fn adopt(&self, attempt: &mut Attempt, account: RemoteId) -> Outcome {
        attempt.requests.request("GET", 1);
        let answer = match self.provider.client.get(attempt.link.kind, &account, &self.context).await {
            Ok(answer) => answer,
            Err(error) if error.class() == Class::Gone => return Outcome::Again(error.to_string()),
            Err(error) => return self.failed(&error),
        };
        // Our own create, whose answer was lost, is ours.
        let ours = attempt.has_open_intent() && self.shows_our_external_id(attempt, &answer);
        attempt.account.remote_id = Some(account);
        attempt.account.ownership = Some(if ours { Ownership::Created } else { Ownership::Adopted });
        attempt.account.version = answer.version;
        attempt.account.shown = answer.document;
        attempt.arrived = true;
        let Some(desired) = attempt.desired.take() else { return Outcome::Again("nothing desired".to_owned()) };
        let settings = &self.provider.row.settings;
        let kind = attempt.link.kind;
        let plan = plan_wanted(kind, &desired.document, attempt.standing(), settings.leavers, &self.provider.profile);
        let idle = matches!(plan.operation, Operation::Nothing(_)) && !attempt.members.differ();
        attempt.desired = Some(desired);
        match self.update(attempt, &plan).await {
            Outcome::Updated | Outcome::Unchanged | Outcome::Deactivated if ours => Outcome::Created,
            Outcome::Updated | Outcome::Unchanged => Outcome::Adopted(!idle),
            other => other,
        }
    }

    fn shows_our_external_id(&self, attempt: &Attempt, answer: &Answer) -> bool {
        let sent = attempt.desired.as_ref().and_then(|desired| desired.document.get("externalId"));
        let shown = answer.document.as_ref().and_then(|document| document.get("externalId"));
        sent.is_some() && sent == shown
    }

    /// PATCH or PUT of the attributes, then the members.
    async fn update(&self, attempt: &mut Attempt, plan: &Plan) -> Outcome {
        let Some(account) = attempt.account.remote_id.clone() else { return idle(plan) };
        if plan.operation.takes_away() && attempt.standing().baseline.is_none() {
            // A PUT of `active: false` alone would wipe the account; what it shows is kept.
            return self.show_first(attempt, &account).await;
        }
        let attributes = plan.changes.iter().map(|change| change.path.clone()).collect::<Vec<_>>();
        let sent = match &plan.operation {
            Operation::Nothing(why) if !attempt.members.differ() => {
                if *why == Idle::InSync {
                    self.note_desired_sent(attempt);
                }
                return idle(plan);
            }
            Operation::Nothing(_) => Ok(()),
            Operation::Patch { operations } => {
                let document = attempt.desired.as_ref().map(|desired| desired.document.clone());
                self.patch(attempt, &account, operations, document, "patch", attributes).await
            }
            Operation::Replace { document } => self.put(attempt, &account, document, "replace", attributes).await,
            Operation::Deactivate { operations, document } => {
                let document = document.clone();
                match self.provider.profile.update {
                    Update::Patch => {
                        self.patch(attempt, &account, operations, Some(document), "deactivate", attributes).await
                    }
                    Update::Put => self.put(attempt, &account, &document, "deactivate", attributes).await,
                }
            }
            Operation::Create { .. } | Operation::Delete => return idle(plan),
        };
        if let Err(error) = sent {
            return self.update_failed(attempt, &error).await;
        }
        if attempt.members.differ()
            && let Err(outcome) = self.patch_members(attempt).await
        {
            return outcome;
        }
        if plan.operation.takes_away() { Outcome::Deactivated } else { Outcome::Updated }
    }

    /// Reads what an account shows and plans again with that.
    async fn show_first(&self, attempt: &mut Attempt, account: &RemoteId) -> Outcome {
        attempt.requests.request("GET", 1);
        match self.provider.client.get(attempt.link.kind, account, &self.context).await {
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
            Err(error) if error.is_believable_not_found() => {
                attempt.has_lost_account();
                Outcome::Absent
            }
            Err(error) => self.failed(&error),
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
    ) -> Result<(), ScimError> {
        let write = self.write("PATCH", operation, attributes.clone());
        let version = self.if_match(attempt);
        let kind = attempt.link.kind;
        let result = self.provider.client.patch(kind, account, operations, version.as_deref(), &self.context).await;
        let removal = removal_of(operation, operations);
        attempt.log_write(&write, &result, removal);
        match result {
            Ok(answer) => {
                self.note_answer(attempt, answer);
                if let Some(document) = document {
                    self.note_sent(attempt, &document);
                }
                Ok(())
            }
            Err(error) if error.class() == Class::Unsupported => {
                self.remember_update(Update::Put).await;
                match document {
                    // The members of a group were not loaded whole: it is planned again.
                    Some(document) if kind == ResourceKind::User => {
                        self.put(attempt, account, &document, operation, attributes).await
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn put(
        &self,
        attempt: &mut Attempt,
        account: &RemoteId,
        document: &Document,
        operation: &'static str,
        attributes: Vec<String>,
    ) -> Result<(), ScimError> {
        let is_group = attempt.link.kind == ResourceKind::Group;
        let body = if is_group { self.with_members(attempt, document) } else { document.clone() };
        let write = self.write("PUT", operation, attributes);
        let version = self.if_match(attempt);
        let kind = attempt.link.kind;
        let result = self.provider.client.replace(kind, account, &body, version.as_deref(), &self.context).await;
        attempt.log_write(&write, &result, i64::from(operation == "deactivate"));
        match result {
            Ok(answer) => {
                self.note_answer(attempt, answer);
                self.note_sent(attempt, document);
                if is_group {
                    attempt.settle_members_of_put();
                }
                Ok(())
            }
            Err(error) => {
                if error.class() == Class::Unsupported {
                    self.remember_update(Update::Patch).await;
                }
                Err(error)
            }
        }
    }

    /// A failed update: a lost account is planned again, a missing method too.
    async fn update_failed(&self, attempt: &mut Attempt, error: &ScimError) -> Outcome {
        match error.class() {
            Class::Gone => self.after_not_found(attempt, error).await,
            Class::VersionMoved => {
                attempt.account.version = None;
                Outcome::Again(error.to_string())
            }
            Class::Unsupported => Outcome::Again(error.to_string()),
            // The name may be held by an account of ours that is about to let it go (R24).
            Class::Conflict if attempt.link.attempts < 5 => {
                Outcome::Retry { class: Class::Conflict, words: error.to_string(), unknown: false }
            }
            Class::Conflict => Outcome::Parked(ParkReason::Conflict, error.to_string()),
            _ => self.failed(error),
        }
    }

    /// DELETE (RFC 7644 §3.6); a believable 404 is success (R30).
    async fn delete(&self, attempt: &mut Attempt) -> Outcome {
        let Some(account) = attempt.account.remote_id.clone() else { return Outcome::Absent };
        let write = self.write("DELETE", "delete", Vec::new());
        let version = self.if_match(attempt);
        let kind = attempt.link.kind;
        let result = self.provider.client.delete(kind, &account, version.as_deref(), &self.context).await;
        attempt.log_write(&write, &result, 1);
        match result {
            Ok(_) => {
                attempt.has_lost_account();
                Outcome::Deleted
            }
            Err(error) if error.is_believable_not_found() => {
                attempt.has_lost_account();
                Outcome::Deleted
            }
            Err(error) if error.class() == Class::VersionMoved => {
                attempt.account.version = None;
                Outcome::Again(error.to_string())
            }
            Err(error) => self.failed(&error),
        }
    }

    /// 404 on an update is believed only when a get by id agrees with a SCIM error (R30).
    pub(crate) async fn after_not_found(&self, attempt: &mut Attempt, error: &ScimError) -> Outcome {
        let Some(account) = attempt.account.remote_id.clone() else { return Outcome::Again(error.to_string()) };
        if !error.is_believable_not_found() {
            return Outcome::Retry { class: Class::Transient, words: error.to_string(), unknown: false };
        }
        attempt.requests.request("GET", 1);
        match self.provider.client.get(attempt.link.kind, &account, &self.context).await {
            Err(again) if again.is_believable_not_found() => {
                attempt.has_lost_account();
                Outcome::Again(format!("{error}; the account is gone there and is made again if it is still wanted"))
            }
            Ok(_) => Outcome::Retry { class: Class::Transient, words: error.to_string(), unknown: false },
            Err(other) => self.failed(&other),
        }
    }

    /// What any other failure means for the object and the provider.
    pub(crate) fn failed(&self, error: &ScimError) -> Outcome {
        let class = error.class();
        let words = error.to_string();
        match class {
            Class::Throttled => {
                let wait = clamp_retry_after(error.retry_after());
                self.note_throttled(wait);
                Outcome::Throttled(wait)
            }
            Class::Transient | Class::Unknown | Class::Credentials | Class::Gone | Class::Unsupported => {
                self.note_failure(class, &words);
                Outcome::Retry { class, words, unknown: error.may_have_been_applied() }
            }
            Class::Refused | Class::Permanent => Outcome::Parked(ParkReason::Refused, words),
            Class::Conflict => Outcome::Parked(ParkReason::Conflict, words),
            Class::VersionMoved => Outcome::Again(words),
        }
    }

    fn cannot_look(&self, error: &LookError) -> Outcome {
        match error {
            LookError::Scim(error) => self.failed(error),
            LookError::Store(_) => Outcome::NotBegun,
            LookError::Undecided(_) => {
                Outcome::Retry { class: Class::Unknown, words: error.to_string(), unknown: true }
            }
        }
    }

    fn if_match(&self, attempt: &Attempt) -> Option<String> {
        self.provider.profile.etag.then(|| attempt.account.version.clone()).flatten()
    }

    pub(crate) fn write(&self, method: &'static str, operation: &'static str, attributes: Vec<String>) -> Write<'_> {
        Write { method, operation, attributes, task: self.task, began: Instant::now() }
    }

    fn note_answer(&self, attempt: &mut Attempt, answer: Answer) {
        attempt.account.version = answer.version;
        self.health.ok();
    }

    /// Remembers that the whole of what is desired is there, and what else was sent.
    fn note_sent(&self, attempt: &mut Attempt, document: &Document) {
        self.health.ok();
        let digest = match &attempt.desired {
            Some(desired) if desired.document == *document => desired.digest.clone(),
            _ => scimfleet_core::plan::digest(document),
        };
        attempt.has_sent(document, &digest);
    }

    /// An adopted account that holds what it should counts as sent.
    fn note_desired_sent(&self, attempt: &mut Attempt) {
        if let Some(desired) = attempt.desired.take() {
            attempt.has_sent(&desired.document, &desired.digest);
            attempt.desired = Some(desired);
        }
    }
}

fn idle(plan: &Plan) -> Outcome {
    match plan.operation {
        Operation::Nothing(Idle::NoAccountNeeded | Idle::NeverThere) => Outcome::Absent,
        Operation::Nothing(Idle::Kept) => Outcome::Kept,
        _ => Outcome::Unchanged,
    }
}

fn unseen(words: &str) -> Outcome {
    Outcome::Retry { class: Class::Unknown, words: words.to_owned(), unknown: true }
}

/// What the guard counts of an update (R28): an account turned off, or attributes cleared.
fn removal_of(operation: &str, operations: &[PatchOperation]) -> i64 {
    let cleared = operations.iter().filter(|one| one.value.is_none()).count();
    i64::from(operation == "deactivate").max(i64::try_from(cleared).unwrap_or(i64::MAX))
}
