//! Accounts that are not ours yet: looked for, created, or taken over (R16, R20, R26).

use scimfleet_core::RemoteId;
use scimfleet_core::adoption::Judgement;
use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{Operation, members_per_create, plan_wanted};
use scimfleet_core::retry::Class;
use scimfleet_core::scim::{Document, ResourceKind};
use scimfleet_core::state::{Ownership, ParkReason};
use scimfleet_scim_client::Answer;

use super::Session;
use super::attempt::Attempt;
use super::doubt::LOOKS;
use super::lookup::{Listed, Look, LookError, Sought};
use super::wire::{Call, Content, Failure, Halt, Write};
use crate::planted::{Defect, is_planted};

/// How often a create is sent whose name is taken and that nobody seems to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Posts {
    Once,
    /// Once more: it may have come free in between.
    AgainIfFree,
}

impl Session<'_> {
    /// POST, after looking whether the account is there already (R16).
    pub(crate) async fn create(&self, attempt: &mut Attempt, document: &Document, listed: Option<&Listed>) -> Outcome {
        let sought = Sought::of(attempt.link.kind, document);
        if is_planted(Defect::NoLookUp) {
            return self.post(attempt, document, &sought, Posts::Once).await;
        }
        let look = match listed {
            Some(listed) if !attempt.has_open_intent() => Look::Listed(listed),
            _ => Look::Live,
        };
        match self.seek(attempt, &sought, look).await {
            Err(outcome) => outcome,
            Ok(Some(account)) => self.adopt(attempt, account).await,
            Ok(None) => self.post(attempt, document, &sought, Posts::AgainIfFree).await,
        }
    }

    async fn post(&self, attempt: &mut Attempt, document: &Document, sought: &Sought, posts: Posts) -> Outcome {
        let kind = attempt.link.kind;
        let with_members = kind == ResourceKind::Group && self.provider.profile.members_in_create;
        attempt.members.whole.truncate(members_per_create(&self.provider.profile));
        let body = if with_members { self.with_members(attempt, document, None) } else { document.clone() };
        let body = attempt.with_password(body);
        let write = Write { operation: "create", attributes: body.keys().cloned().collect(), removal: 0 };
        if with_members {
            self.refer_to_members(attempt, &body);
        }
        let referring = attempt.desired.as_ref().and_then(|desired| desired.referring.clone());
        let call = |referring| Call { kind, account: None, content: Content::Create(&body, referring), version: None };
        let mut delivered = self.deliver(attempt, &write, call(referring.as_ref())).await;
        if !attempt.carried.is_empty() && delivered.as_ref().is_err_and(is_refusal) {
            // Perhaps only because of whom it refers to.
            let refused = std::mem::take(&mut attempt.carried);
            delivered = self.deliver(attempt, &write, call(None)).await;
            if delivered.is_ok() {
                self.note_refused_reference(&refused).await;
            }
        }
        match delivered {
            Ok(answer) => {
                attempt.create_delivered();
                self.created(attempt, answer, document, sought, with_members).await
            }
            Err(Halt::Failed(failure)) if failure.class() == Class::Conflict => {
                self.after_conflict(attempt, (document, sought, posts), &failure).await
            }
            Err(halt) => self.halted(&halt),
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
            None => match self.look_up(attempt, sought, Look::Fresh).await {
                Ok(Judgement::Take(account)) => account,
                Ok(_) => return unseen("the provider took the create and then did not show the account"),
                Err(error) => return self.cannot_look(&error),
            },
        };
        attempt.name_created(&account);
        let referred = self.note_references(attempt, &account).await;
        attempt.account.remote_id = Some(account);
        attempt.account.ownership = Some(Ownership::Created);
        attempt.account.version = answer.version;
        attempt.arrived = true;
        self.note_sent(attempt, referred.as_ref().unwrap_or(document));
        if with_members {
            attempt.settle_members_of_post();
        }
        if attempt.members.differ()
            && let Err(outcome) = self.patch_members(attempt).await
        {
            return outcome;
        }
        Outcome::Created
    }

    /// A 409 means that somebody holds the name: perhaps our own earlier create, perhaps one of ours that is about
    /// to let it go, or did so by now.
    async fn after_conflict(
        &self,
        attempt: &mut Attempt,
        (document, sought, posts): (&Document, &Sought, Posts),
        failure: &Failure,
    ) -> Outcome {
        match self.seek(attempt, sought, Look::Live).await {
            Err(outcome) => outcome,
            Ok(Some(account)) => self.adopt(attempt, account).await,
            Ok(None) if posts == Posts::AgainIfFree => {
                Box::pin(self.post(attempt, document, sought, Posts::Once)).await
            }
            Ok(None) => {
                let tried = self.match_words();
                let words = format!("{}; no account that may be taken over was found by {tried}", **failure);
                if attempt.link.attempts < LOOKS {
                    // Who has it may be hidden, and about to let it go, or have done so a moment ago.
                    return Outcome::Retry { class: Class::Conflict, words, unknown: false };
                }
                self.name_taken(attempt, &sought.name_key, None, words).await
            }
        }
    }

    /// The account that is to be taken over, if there is one; the outcome where somebody else has the name. That parks
    /// nobody before it was seen twice: one of ours may have let the name go since, most of all since the listing of a run.
    async fn seek(&self, attempt: &mut Attempt, sought: &Sought, look: Look<'_>) -> Result<Option<RemoteId>, Outcome> {
        let first = self.seek_once(attempt, sought, look).await;
        if !matches!(first, Err(Outcome::Parked(..))) {
            return first;
        }
        self.seek_once(attempt, sought, Look::Live).await
    }

    async fn seek_once(
        &self,
        attempt: &mut Attempt,
        sought: &Sought,
        look: Look<'_>,
    ) -> Result<Option<RemoteId>, Outcome> {
        let (owner, words) = match self.look_up(attempt, sought, look).await {
            Err(error) => return Err(self.cannot_look(&error)),
            Ok(Judgement::Take(account)) => return Ok(Some(account)),
            Ok(Judgement::Nobody) => return Ok(None),
            Ok(Judgement::Conflict(words)) => (None, words),
            Ok(Judgement::Owned { by, words }) => (Some(by), words),
        };
        Err(self.name_taken(attempt, &sought.name_key, owner.as_deref(), words).await)
    }

    /// Somebody there has the name: one of ours lets it go, sooner or later (R24); of others nobody knows. `owner`:
    /// the externalId that the account shows.
    pub(crate) async fn name_taken(
        &self,
        attempt: &Attempt,
        name_key: &str,
        owner: Option<&str>,
        words: String,
    ) -> Outcome {
        let (provider, kind) = (self.provider.row.id, attempt.link.kind);
        match self.worker.store.may_let_go_of(provider, kind, (name_key, owner), attempt.id()).await {
            Ok(true) => Outcome::Retry { class: Class::Conflict, words, unknown: false },
            Ok(false) => Outcome::Parked(ParkReason::Conflict, words),
            Err(error) => self.cannot_look(&LookError::Store(error)),
        }
    }

    fn match_words(&self) -> String {
        let settings = &self.provider.row.settings;
        let words: Vec<String> = settings.match_order.iter().map(|attribute| format!("{attribute:?}")).collect();
        words.join(", ")
    }

    /// Takes an account over: what it shows is compared with what it should hold, and only that is sent.
    async fn adopt(&self, attempt: &mut Attempt, account: RemoteId) -> Outcome {
        let answer = match self.get(attempt, &account).await {
            Ok(answer) => answer,
            Err(Halt::Failed(error)) if error.class() == Class::Gone => return Outcome::Again(error.to_string()),
            Err(halt) => return self.halted(&halt),
        };
        // Our own create, whose answer was lost, is ours.
        let sent = attempt.desired.as_ref().is_some_and(|desired| shows_external_id(&desired.document, &answer));
        let ours = attempt.has_open_intent() && sent;
        attempt.has_found(account, ours, answer);
        if ours {
            attempt.has_sent_what_it_shows();
        }
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

    pub(crate) fn cannot_look(&self, error: &LookError) -> Outcome {
        match error {
            LookError::Halt(halt) => self.halted(halt),
            LookError::Store(error) => {
                tracing::debug!(error = %error, "it could not be said whose account it is");
                Outcome::NotBegun
            }
            LookError::Undecided(reason) => unseen(&format!(
                "a create may have been applied, and the provider can neither filter nor list everybody: {reason}"
            )),
        }
    }
}

fn is_refusal(halt: &Halt) -> bool {
    matches!(halt, Halt::Failed(failure)
        if matches!(failure.class(), Class::Permanent | Class::Conflict | Class::Refused | Class::Gone))
}

/// Whether the account shows the externalId that this document has.
pub(crate) fn shows_external_id(document: &Document, answer: &Answer) -> bool {
    let sent = document.get("externalId");
    let shown = answer.document.as_ref().and_then(|document| document.get("externalId"));
    sent.is_some() && sent == shown
}

fn unseen(words: &str) -> Outcome {
    Outcome::Retry { class: Class::Unknown, words: words.to_owned(), unknown: true }
}
