//! References between users who are created in the same bulk request (RFC 7644 §3.7.2): what a provider made of
//! them is seen before it is relied on.

use std::collections::{HashMap, HashSet};

use scimfleet_core::plan::{Operation, digest};
use scimfleet_core::profile::Profile;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::BulkOperation;
use scimfleet_core::{RemoteId, ResourceId};
use scimfleet_scim_client::{Answer, ScimError};
use serde_json::Value;

use super::Session;
use super::attempt::Attempt;
use super::bulk::{Queued, bytes_of};
use super::learned::BULK_REFERENCES;
use crate::desire::Referring;

/// Room for a reference in an operation, in bytes. An account whose id is longer is not referred to.
const REFERENCE_BYTES: usize = 64;
/// Before the name of another operation of the same request (RFC 7644 §3.7.2).
const BY_BULK_ID: &str = "bulkId:";

/// A reference that an operation carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    /// By the name of another operation in the same request, which the provider had to resolve.
    pub(crate) by_bulk_id: bool,
    /// The account that it stands for, if that is there now.
    pub(crate) account: Option<RemoteId>,
}

/// How an operation names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// By the account that an earlier request created.
    Account(RemoteId),
    /// By the operation of the same request that creates it: its place, and its `bulkId`.
    Operation(usize, String),
}

impl Reference {
    fn text(&self) -> String {
        match self {
            Self::Account(account) => account.as_str().to_owned(),
            Self::Operation(_, name) => format!("{BY_BULK_ID}{name}"),
        }
    }
}

/// What each operation of a request can refer to.
pub(super) fn references(
    batch: &[Queued],
    created: &HashMap<ResourceId, RemoteId>,
    profile: &Profile,
) -> Vec<Option<Reference>> {
    let by_object: HashMap<&ResourceId, (usize, &String)> = batch
        .iter()
        .enumerate()
        .filter(|_| profile.bulk_references)
        .filter_map(|(place, one)| Some((&one.object, (place, one.operation.bulk_id.as_ref()?))))
        .collect();
    let reference = |one: &Queued| {
        let to = &one.referring.as_ref()?.to;
        if let Some(account) = created.get(to) {
            return Some(Reference::Account(account.clone())).filter(|one| one.text().len() <= REFERENCE_BYTES);
        }
        by_object.get(to).map(|(place, name)| Reference::Operation(*place, (*name).clone()))
    };
    batch.iter().map(reference).collect()
}

/// The operation as it travels.
pub(super) fn with_reference(queued: &Queued, reference: Option<&Reference>) -> BulkOperation {
    let mut operation = queued.operation.clone();
    if let (Some(referring), Some(reference)) = (&queued.referring, reference) {
        operation.data = Some(Value::Object(referring.document(&reference.text())));
    }
    operation
}

pub(super) fn bytes_at_most(operation: &BulkOperation, referring: &Referring) -> usize {
    let longest = Value::Object(referring.document(&"x".repeat(REFERENCE_BYTES)));
    bytes_of(&BulkOperation { data: Some(longest), ..operation.clone() })
}

pub(super) fn carried(reference: Reference, results: &[Result<Answer, ScimError>]) -> Carried {
    match reference {
        Reference::Account(account) => Carried { by_bulk_id: false, account: Some(account) },
        Reference::Operation(place, _) => {
            let created = results.get(place).and_then(|result| result.as_ref().ok());
            Carried { by_bulk_id: true, account: created.and_then(|answer| answer.remote_id.clone()) }
        }
    }
}

impl Session<'_> {
    /// Whom others of this task may refer to, once they are created.
    pub(super) fn to_create(&self, attempts: &[&mut Attempt]) -> HashSet<ResourceId> {
        let is_create = |attempt: &&&mut Attempt| {
            let plan = attempt.plan.as_ref();
            plan.is_some_and(|plan| matches!(plan.operation, Operation::Create { .. }))
        };
        let may_refer = self.provider.profile.bulk_references;
        attempts.iter().filter(|_| may_refer).filter(is_create).map(|attempt| attempt.id().clone()).collect()
    }

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
