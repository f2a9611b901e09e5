//! Passwords on their last way: with the create, or as a write of their own; then the store erases them
//! (mission point 7). A password is in no document that is kept, compared, logged or shown.

use scimfleet_core::ResourceId;
use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::Operation;
use scimfleet_core::profile::Update;
use scimfleet_core::scim::message::{PatchOp, PatchOperation};
use scimfleet_core::scim::{Document, ResourceKind};
use scimfleet_store::{DeliveredPassword, PendingPassword, StoreError};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::Session;
use super::attempt::Attempt;
use super::wire::{Call, Content, Halt, Write};

/// The attribute (RFC 7643 §4.1.1).
pub(crate) const PASSWORD: &str = "password";

impl Session<'_> {
    /// Loads the passwords that these users' accounts lack, where the provider takes them.
    pub(crate) async fn load_passwords(&self, attempts: &mut [Attempt]) -> Result<(), StoreError> {
        let (settings, profile) = (&self.provider.row.settings, &self.provider.profile);
        let takes = settings.passwords && profile.change_password && !settings.dry_run;
        if !takes || self.task.kind != ResourceKind::User {
            return Ok(());
        }
        let wanting: Vec<ResourceId> =
            attempts.iter().filter(|attempt| may_have_one(attempt)).map(|attempt| attempt.id().clone()).collect();
        if wanting.is_empty() {
            return Ok(());
        }
        let mut pending = self.worker.store.pending_passwords(self.provider.row.id, &wanting).await?;
        for attempt in attempts.iter_mut().filter(|attempt| may_have_one(attempt)) {
            attempt.password = pending.remove(attempt.id());
        }
        Ok(())
    }

    /// Sends a password that the create did not carry.
    pub(crate) async fn send_password(&self, attempt: &mut Attempt, outcome: Outcome) -> Outcome {
        let arrived = matches!(outcome, Outcome::Created | Outcome::Adopted(_) | Outcome::Updated | Outcome::Unchanged);
        let (Some(account), Some(password)) = (attempt.account.remote_id.clone(), attempt.password.take()) else {
            return outcome;
        };
        if !arrived {
            return outcome;
        }
        let value = Value::from(password.secret.expose_secret());
        let write = Write { operation: "password", attributes: vec![PASSWORD.to_owned()], removal: 0 };
        let (kind, version) = (attempt.link.kind, self.if_match(attempt));
        let sent = match (self.provider.profile.update, attempt.account.sent.clone()) {
            (Update::Put, Some(mut document)) => {
                document.insert(PASSWORD.to_owned(), value);
                let call = Call { kind, account: Some(&account), content: Content::Replace(&document), version };
                self.deliver(attempt, &write, call).await
            }
            _ => {
                let path = Some(PASSWORD.to_owned());
                let operations = [PatchOperation { op: PatchOp::Replace, path, value: Some(value) }];
                let call = Call { kind, account: Some(&account), content: Content::Patch(&operations), version };
                self.deliver(attempt, &write, call).await
            }
        };
        match sent {
            Ok(answer) => {
                self.note_answer(attempt, answer);
                attempt.has_delivered(password);
                if outcome == Outcome::Unchanged { Outcome::Updated } else { outcome }
            }
            Err(Halt::NotNow(outcome)) => outcome,
            Err(halt) => self.halted(&halt),
        }
    }
}

/// Nobody who is leaving, or is not active, needs one.
fn may_have_one(attempt: &Attempt) -> bool {
    let active = attempt.desired.as_ref().is_some_and(|desired| desired.document.get("active") != Some(&false.into()));
    attempt.outcome.is_none() && active
}

impl Attempt {
    /// The body of a create with the password, if there is one.
    pub(crate) fn with_password(&self, mut body: Document) -> Document {
        if let Some(password) = &self.password {
            body.insert(PASSWORD.to_owned(), Value::from(password.secret.expose_secret()));
        }
        body
    }

    /// The provider took the create that carried it.
    pub(crate) fn create_delivered(&mut self) {
        if let Some(password) = self.password.take() {
            self.has_delivered(password);
        }
    }

    fn has_delivered(&mut self, password: PendingPassword) {
        let resource_id = self.id().clone();
        self.delivered.push(DeliveredPassword { resource_id, version: password.version });
    }

    /// An account that exists and lacks a password.
    pub(crate) fn owes_password(&self) -> bool {
        let creates = self.plan.as_ref().is_some_and(|plan| matches!(plan.operation, Operation::Create { .. }));
        self.password.is_some() && (self.account.remote_id.is_some() || creates)
    }
}
