//! References between objects that are created in the same bulk request (RFC 7644 §3.7.2): what a provider made of
//! them is seen before it is relied on.

use std::collections::{HashMap, HashSet};

use scimfleet_core::plan::{Operation, digest, member_value, members_per_create};
use scimfleet_core::profile::{NestedGroups, Profile};
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::BulkOperation;
use scimfleet_core::{RemoteId, ResourceId, ResourceKind};
use scimfleet_scim_client::{Answer, ScimError};
use serde_json::Value;

use super::Session;
use super::attempt::Attempt;
use super::bulk::{Queued, bytes_of};
use super::learned::BULK_REFERENCES;
use crate::referring::Referring;

/// Room for a reference in an operation, in bytes. An account whose id is longer is not referred to.
const REFERENCE_BYTES: usize = 64;
/// Before the name of another operation of the same request (RFC 7644 §3.7.2).
const BY_BULK_ID: &str = "bulkId:";

/// A reference that an operation carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried {
    /// To whom.
    pub(crate) to: ResourceId,
    /// The name of another operation in the same request, which the provider had to resolve; `None`: an account.
    pub(crate) by_bulk_id: Option<String>,
    /// The account that it stands for, if that is there now.
    pub(crate) account: Option<RemoteId>,
}

/// How an operation names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// By the account that is there since an earlier request.
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

/// What an operation can refer to now.
pub(super) type References = Vec<(ResourceId, Reference)>;

/// What each operation of a request can refer to.
pub(super) fn references(
    batch: &[Queued],
    accounts: &HashMap<ResourceId, RemoteId>,
    profile: &Profile,
) -> Vec<References> {
    let by_object: HashMap<&ResourceId, (usize, &String)> = batch
        .iter()
        .enumerate()
        .filter(|_| profile.bulk_references)
        .filter_map(|(place, one)| Some((&one.object, (place, one.operation.bulk_id.as_ref()?))))
        .collect();
    let reference = |to: &ResourceId| {
        if let Some(account) = accounts.get(to) {
            return Some(Reference::Account(account.clone())).filter(|one| one.text().len() <= REFERENCE_BYTES);
        }
        by_object.get(to).map(|(place, name)| Reference::Operation(*place, (*name).clone()))
    };
    let found = |to: &ResourceId| Some((to.clone(), reference(to)?));
    batch.iter().map(|one| one.referring.iter().flat_map(|one| &one.to).filter_map(found).collect()).collect()
}

/// The operation as it travels.
pub(super) fn with_references(queued: &Queued, references: &References) -> BulkOperation {
    let mut operation = queued.operation.clone();
    if let (Some(referring), false) = (&queued.referring, references.is_empty()) {
        let texts: Vec<String> = references.iter().map(|(_, reference)| reference.text()).collect();
        operation.data = Some(Value::Object(referring.document(texts.iter().map(String::as_str))));
    }
    operation
}

pub(super) fn bytes_at_most(operation: &BulkOperation, referring: &Referring) -> usize {
    let longest = "x".repeat(REFERENCE_BYTES);
    let document = referring.document(referring.to.iter().map(|_| longest.as_str()));
    bytes_of(&BulkOperation { data: Some(Value::Object(document)), ..operation.clone() })
}

pub(super) fn carried(references: References, results: &[Result<Answer, ScimError>]) -> Vec<Carried> {
    let carried = |(to, reference): (ResourceId, Reference)| match reference {
        Reference::Operation(place, _) => {
            let created = results.get(place).and_then(|result| result.as_ref().ok());
            let account = created.and_then(|answer| answer.remote_id.clone());
            Carried { to, by_bulk_id: Some(reference.text()), account }
        }
        Reference::Account(account) => Carried { to, by_bulk_id: None, account: Some(account) },
    };
    references.into_iter().map(carried).collect()
}

impl Session<'_> {
    /// Whether one of them can name somebody in a bulk request, which it could not in a request of its own.
    pub(super) fn refers(&self, batch: &[Queued]) -> bool {
        let state = self.bulk.state();
        let references = references(batch, &state.accounts, &self.provider.profile);
        state.room.is_some() && references.iter().any(|one| !one.is_empty())
    }

    /// Whom others of this task may refer to, once they are created.
    pub(super) fn to_create(&self, attempts: &[&mut Attempt]) -> HashSet<ResourceId> {
        let is_create = |attempt: &&&mut Attempt| {
            let plan = attempt.plan.as_ref();
            plan.is_some_and(|plan| matches!(plan.operation, Operation::Create { .. }))
        };
        let may_refer = self.provider.profile.bulk_references;
        attempts.iter().filter(|_| may_refer).filter(is_create).map(|attempt| attempt.id().clone()).collect()
    }

    /// A new group as it is sent together with new groups inside of it. Where a group does not show its members, nobody
    /// could see what became of them.
    pub(super) fn refer_to_members(&self, attempt: &mut Attempt, body: &Document) {
        let profile = &self.provider.profile;
        let takes = profile.nested_groups == NestedGroups::Members && profile.members_readable;
        let room = members_per_create(profile).saturating_sub(attempt.members.whole.len());
        let members = &attempt.members;
        let is_other = |id: &&ResourceId| members.groups.contains(*id) && *id != attempt.id();
        let groups: Vec<ResourceId> =
            members.waiting.iter().filter(|_| takes).filter(is_other).take(room).cloned().collect();
        if let (Some(desired), false) = (attempt.desired.as_mut(), groups.is_empty()) {
            let like = member_value("", ResourceKind::Group, profile);
            desired.referring = Some(Referring::to_members(groups, body.clone(), like));
        }
    }

    /// After a create that carried references: what its account holds, if that is more than what was desired.
    /// Who is not seen to be referred to follows later, as always.
    pub(super) async fn note_references(&self, attempt: &mut Attempt, account: &RemoteId) -> Option<Document> {
        let carried = std::mem::take(&mut attempt.carried);
        if carried.is_empty() {
            return None;
        }
        let referring = attempt.desired.as_mut()?.referring.take()?;
        let asked = carried.iter().find(|one| one.by_bulk_id.is_some() && one.account.is_some());
        let resolves = match asked.and_then(|one| one.account.as_ref()) {
            Some(other) => self.resolves(attempt, account, &referring, other).await,
            None => false,
        };
        let (held, kept): (Vec<Carried>, Vec<Carried>) =
            carried.into_iter().partition(|one| one.account.is_some() && (resolves || one.by_bulk_id.is_none()));
        let held: Vec<(ResourceId, RemoteId)> =
            held.into_iter().filter_map(|one| Some((one.to, one.account?))).collect();
        attempt.waits_for.retain(|needed| !held.iter().any(|(to, _)| to == needed));
        if attempt.link.kind == ResourceKind::Group {
            attempt.holds_referred(&held, kept);
            return None;
        }
        let (_, manager) = held.first()?;
        let desired = attempt.desired.as_mut()?;
        desired.document = referring.document([manager.as_str()]);
        desired.digest = digest(&desired.document);
        Some(desired.document.clone())
    }

    /// Whether the provider resolves references. Asked for one account, once; then it is remembered.
    async fn resolves(
        &self,
        attempt: &mut Attempt,
        account: &RemoteId,
        referring: &Referring,
        other: &RemoteId,
    ) -> bool {
        if self.provider.row.remembered.get(BULK_REFERENCES) == Some(&true.into()) {
            return true;
        }
        let seen = self.resolves.get_or_init(|| async {
            let Ok(answer) = self.get(attempt, account).await else { return false };
            let resolves = answer.document.is_some_and(|shown| referring.is_shown(&shown, other.as_str()));
            if !resolves {
                let provider = self.provider.row.name();
                tracing::warn!(%provider, "the provider does not resolve references in bulk requests; they follow");
            }
            self.remember_bulk_references(resolves).await;
            resolves
        });
        *seen.await
    }

    /// A create that was refused with a reference and taken without: it is the reference that is not taken, if the
    /// other one is there.
    pub(super) async fn note_refused_reference(&self, refused: &[Carried]) {
        if refused.iter().any(|one| one.by_bulk_id.is_some() && one.account.is_some()) {
            self.remember_bulk_references(false).await;
        }
    }
}

impl Attempt {
    /// Groups inside of this one that travelled with it. What was not put in place of its name may stand there as a
    /// text, and is taken out again.
    fn holds_referred(&mut self, held: &[(ResourceId, RemoteId)], kept: Vec<Carried>) {
        self.members.waiting.retain(|member| !held.iter().any(|(to, _)| to == member));
        self.remember_members(held);
        let as_text = |one: Carried| Some((one.to, RemoteId::parse(one.by_bulk_id?).ok()?));
        self.members.suspect.extend(kept.into_iter().filter_map(as_text));
    }
}
