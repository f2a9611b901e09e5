//! Linking a provider again by what it shows (R34), after its database came back from a backup. Reads only;
//! what would give access back is parked for a person, everything else is compared by the next run.

use std::collections::HashMap;

use scimfleet_core::drift::shown_members;
use scimfleet_core::ports::Coordination;
use scimfleet_core::{RemoteId, ResourceId, ResourceKind};
use scimfleet_scim_client::{Listing, Projection, ScimError};
use scimfleet_store::{LinkedAccount, Relink, ShownMember, Store, StoreError};
use serde::Serialize;
use serde_json::Value;

use crate::listing::Reader;
use crate::provider::Provider;
use crate::task::lookup::account_of;

/// Links that are judged at once.
const LINKS_AT_ONCE: i64 = 500;

/// What linking again came to.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Links that are compared with their account by the next run.
    pub linked: u64,
    /// Their account is gone since the backup; parked as `unsafe`.
    pub gone: u64,
    /// Their account was deactivated since the backup, while the directory says active; parked as `unsafe`.
    pub inactive: u64,
    /// Accounts that no link names: the next run adopts those that fit.
    pub unknown: u64,
}

/// Why a provider could not be linked again; nothing was changed then, or what was changed can be done again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not answer, or refuses.
    #[error(transparent)]
    Provider(#[from] ScimError),
    /// Absence means nothing in such a listing.
    #[error("the listing of {kind}s is incomplete ({reason}); nothing was changed")]
    Incomplete {
        /// Users or groups.
        kind: ResourceKind,
        /// What was wrong with it.
        reason: String,
    },
}

/// What the provider shows of each account: whether it is active, where that is known.
type Shown = HashMap<RemoteId, Option<bool>>;

/// Reads all users and groups and links them again. The provider takes part from then on. Each read waits for its
/// turn among the requests of all workers.
pub async fn reconcile(
    store: &Store,
    provider: &Provider,
    coordination: &dyn Coordination,
) -> Result<Reconciled, ReconcileError> {
    let reader = Reader::new(provider, coordination);
    let mut shown = HashMap::from([(ResourceKind::User, list(&reader, ResourceKind::User).await?)]);
    if provider.profile.groups {
        shown.insert(ResourceKind::Group, list(&reader, ResourceKind::Group).await?);
    }
    let mut outcome = Reconciled::default();
    let mut groups = Vec::new();
    let mut owners: HashMap<RemoteId, ResourceId> = HashMap::new();
    let mut after: Option<ResourceId> = None;
    loop {
        let links = store.linked_accounts(provider.row.id, after.as_ref(), LINKS_AT_ONCE).await?;
        let Some(last) = links.last() else { break };
        after = Some(last.resource_id.clone());
        let judged: Vec<Relink> =
            links.iter().filter_map(|link| Some(judge(link, shown.get(&link.kind)?, &mut outcome))).collect();
        store.relink(provider.row.id, &judged).await?;
        for link in links {
            match link.kind {
                ResourceKind::Group if shown_there(&shown, &link) => groups.push((link.resource_id, link.remote_id)),
                ResourceKind::Group => {}
                ResourceKind::User => _ = owners.insert(link.remote_id, link.resource_id),
            }
        }
    }
    relink_members(store, &reader, &groups, &owners).await?;
    let accounts = shown.values().map(HashMap::len).sum::<usize>();
    let known = outcome.linked + outcome.inactive;
    outcome.unknown = u64::try_from(accounts).unwrap_or(u64::MAX).saturating_sub(known);
    store.reconciled(provider.row.id).await?;
    Ok(outcome)
}

fn shown_there(shown: &HashMap<ResourceKind, Shown>, link: &LinkedAccount) -> bool {
    shown.get(&link.kind).is_some_and(|accounts| accounts.contains_key(&link.remote_id))
}

/// An account that is gone, or inactive, while an old directory wants it: somebody may have left since.
fn judge(link: &LinkedAccount, shown: &Shown, outcome: &mut Reconciled) -> Relink {
    let account = shown.get(&link.remote_id);
    let unsafe_because = match account {
        None if link.wanted => {
            outcome.gone += 1;
            Some("its account is gone since the backup of the database; `parked retry` creates it again")
        }
        Some(Some(false)) if link.wanted && link.active => {
            outcome.inactive += 1;
            Some("its account was deactivated since the backup of the database; `parked retry` activates it again")
        }
        _ => {
            outcome.linked += u64::from(account.is_some());
            None
        }
    };
    Relink { resource_id: link.resource_id.clone(), unsafe_because: unsafe_because.map(str::to_owned) }
}

async fn list(reader: &Reader<'_>, kind: ResourceKind) -> Result<Shown, ReconcileError> {
    let mut shown = Shown::new();
    let listing = reader.read_all(kind, Projection::Except("members"), |document| {
        if let Some(account) = account_of(kind, &document) {
            shown.insert(account.remote_id, document.get("active").and_then(Value::as_bool));
        }
    });
    match listing.await? {
        Some(Listing::Complete { .. }) => Ok(shown),
        Some(Listing::Incomplete(reason)) => Err(ReconcileError::Incomplete { kind, reason: reason.to_string() }),
        None => Err(ReconcileError::Incomplete { kind, reason: "it ended without a verdict".to_owned() }),
    }
}

/// What a group shows counts as sent: a member that was added since the backup can then be taken away again.
/// Where a provider shows no members, what is known stays.
async fn relink_members(
    store: &Store,
    reader: &Reader<'_>,
    groups: &[(ResourceId, RemoteId)],
    owners: &HashMap<RemoteId, ResourceId>,
) -> Result<(), ReconcileError> {
    let group_accounts = groups.iter().map(|(resource, remote)| (remote, resource));
    let nested: HashMap<&RemoteId, &ResourceId> = group_accounts.collect();
    for (group, account) in groups {
        let fetched = reader.get(ResourceKind::Group, account).await?;
        let Some(members) = fetched.document.as_ref().and_then(shown_members) else { continue };
        let shown: Vec<ShownMember> = members
            .into_iter()
            .filter_map(|member| RemoteId::parse(member).ok())
            .filter_map(|member| {
                let owner = owners.get(&member).or_else(|| nested.get(&member).copied())?;
                Some(ShownMember { group_id: group.clone(), member_id: owner.clone(), remote_id: member })
            })
            .collect();
        store.relink_members(reader.provider.row.id, std::slice::from_ref(group), &shown).await?;
    }
    Ok(())
}
