//! Planning: from what should be, what was sent and what a provider can do, to one operation. Pure: the
//! worker performs the operation, the preview prints it.

pub mod change;
pub mod dialect;
pub mod digest;
pub mod doubt;
pub mod lists;
pub mod member;
pub mod take_over;

use serde_json::{Value, json};

use crate::identity::RemoteId;
use crate::profile::{Profile, Update};
use crate::provider::{LeaverAction, Leavers};
use crate::scim::message::{PatchOp, PatchOperation};
use crate::scim::{Document, ResourceKind};
use crate::state::Ownership;

pub use change::{Change, changes, operations};
pub use dialect::spoken;
pub use digest::digest;
pub use member::{Member, member_patches, member_value, member_values, members_per_create, removals_per_patch};

/// What a provider is known to hold of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing<'a> {
    /// The account, if one is known.
    pub remote_id: Option<&'a RemoteId>,
    /// How it came to be ours.
    pub ownership: Option<Ownership>,
    /// What was sent last or, for an account that was just adopted, what it shows.
    pub baseline: Option<&'a Document>,
    /// Digest of what was sent last; `None` for an account that was just adopted.
    pub sent_digest: Option<&'a str>,
}

/// What is to be done about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// POST (RFC 7644 §3.3).
    Create {
        /// The resource.
        document: Document,
    },
    /// PUT (RFC 7644 §3.5.1).
    Replace {
        /// The whole resource.
        document: Document,
    },
    /// PATCH (RFC 7644 §3.5.2).
    Patch {
        /// What changed.
        operations: Vec<PatchOperation>,
    },
    /// The account stays and cannot be used: `active` becomes false.
    Deactivate {
        /// By PATCH, if the provider can.
        operations: Vec<PatchOperation>,
        /// By PUT, if it cannot.
        document: Document,
    },
    /// DELETE (RFC 7644 §3.6).
    Delete,
    /// No request.
    Nothing(Idle),
}

/// Why there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// What we would send is what we sent.
    InSync,
    /// An inactive user who has no account gets none (R10).
    NoAccountNeeded,
    /// Left alone by policy (`"keep"`).
    Kept,
    /// Nothing is there that could be taken away.
    NeverThere,
    /// The provider does not let a group be renamed (`group_renames` of its profile).
    NameFixed,
}

impl Operation {
    /// The word in logs, previews and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Replace { .. } => "replace",
            Self::Patch { .. } => "patch",
            Self::Deactivate { .. } => "deactivate",
            Self::Delete => "delete",
            Self::Nothing(_) => "nothing",
        }
    }

    /// Whether it takes access away, which the guard counts (R28).
    pub const fn takes_away(&self) -> bool {
        matches!(self, Self::Deactivate { .. } | Self::Delete)
    }
}

/// One operation with the attribute changes that it makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to do.
    pub operation: Operation,
    /// What differs.
    pub changes: Vec<Change>,
}

impl Plan {
    fn nothing(why: Idle) -> Self {
        Self { operation: Operation::Nothing(why), changes: Vec::new() }
    }
}

/// Plans for an object that shall be at the provider.
pub fn plan_wanted(
    kind: ResourceKind,
    desired: &Document,
    standing: Standing<'_>,
    leavers: Leavers,
    profile: &Profile,
) -> Plan {
    let inactive = kind == ResourceKind::User && desired.get("active") == Some(&Value::Bool(false));
    let Some(_) = standing.remote_id else {
        if inactive {
            return Plan::nothing(Idle::NoAccountNeeded);
        }
        let changes = changes(&Document::new(), desired);
        return Plan { operation: Operation::Create { document: desired.clone() }, changes };
    };
    if inactive && leavers.disabled != LeaverAction::Deactivate {
        return plan_away(kind, leavers.disabled, standing, profile);
    }
    plan_update(kind, desired, standing, inactive, profile)
}

fn plan_update(
    kind: ResourceKind,
    desired: &Document,
    standing: Standing<'_>,
    inactive: bool,
    profile: &Profile,
) -> Plan {
    if standing.sent_digest.is_some_and(|sent| sent == digest(desired)) {
        return Plan::nothing(Idle::InSync);
    }
    let empty = Document::new();
    let baseline = standing.baseline.unwrap_or(&empty);
    let mut changes = changes(baseline, desired);
    if standing.sent_digest.is_none() {
        // Of an adopted account we only set what we have: what others put there is theirs.
        changes.retain_mut(|change| match &change.to {
            Some(to) => match lists::adopted(&change.path, to, change.from.as_ref(), profile) {
                Some(whole) => {
                    change.to = Some(whole);
                    true
                }
                None => false,
            },
            None => false,
        });
    }
    if changes.is_empty() {
        return Plan::nothing(Idle::InSync);
    }
    let is_rename = |change: &Change| change.path == kind.naming_attribute() && change.from.is_some();
    if kind == ResourceKind::Group && !profile.group_renames && changes.iter().any(is_rename) {
        return Plan { operation: Operation::Nothing(Idle::NameFixed), changes };
    }
    let touches_active = changes.iter().any(|change| change.path == "active");
    let turns_off = inactive && baseline.get("active") != Some(&Value::Bool(false));
    let operations = operations(&changes, profile, None);
    let document = desired.clone();
    let update = if touches_active { profile.update_of_active() } else { profile.update };
    let operation = match (turns_off, update) {
        (true, _) => Operation::Deactivate { operations, document },
        (false, Update::Patch) => Operation::Patch { operations },
        (false, Update::Put) => Operation::Replace { document },
    };
    Plan { operation, changes }
}

/// Plans for an object that shall not be at the provider any more: `action` comes from
/// [`leaver_action`].
pub fn plan_away(kind: ResourceKind, action: LeaverAction, standing: Standing<'_>, profile: &Profile) -> Plan {
    let Some(_) = standing.remote_id else { return Plan::nothing(Idle::NeverThere) };
    match action {
        LeaverAction::Keep => Plan::nothing(Idle::Kept),
        LeaverAction::Delete if kind == ResourceKind::Group || profile.delete_users => {
            Plan { operation: Operation::Delete, changes: Vec::new() }
        }
        LeaverAction::Delete | LeaverAction::Deactivate => deactivate(standing),
    }
}

fn deactivate(standing: Standing<'_>) -> Plan {
    let mut document = standing.baseline.cloned().unwrap_or_default();
    if document.get("active") == Some(&Value::Bool(false)) {
        return Plan::nothing(Idle::Kept);
    }
    let from = document.insert("active".to_owned(), json!(false));
    let operations =
        vec![PatchOperation { op: PatchOp::Replace, path: Some("active".to_owned()), value: Some(json!(false)) }];
    let changes = vec![Change { path: "active".to_owned(), from, to: Some(json!(false)) }];
    Plan { operation: Operation::Deactivate { operations, document }, changes }
}

/// How a resource leaves a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It left the scope.
    OutOfScope,
    /// It was deleted from the directory.
    Deleted,
}

/// The action for a leaver (R27): groups cannot be deactivated, adopted accounts are not deleted unless
/// the operator allowed it.
pub fn leaver_action(
    kind: ResourceKind,
    leaving: Leaving,
    ownership: Option<Ownership>,
    leavers: Leavers,
    delete_adopted: bool,
) -> LeaverAction {
    let wanted = match (kind, leaving) {
        (ResourceKind::Group, _) => leavers.groups,
        (ResourceKind::User, Leaving::OutOfScope) => leavers.out_of_scope,
        (ResourceKind::User, Leaving::Deleted) => leavers.deleted,
    };
    let adopted = ownership == Some(Ownership::Adopted) && !delete_adopted;
    match (kind, wanted) {
        (ResourceKind::User, LeaverAction::Delete) if adopted => LeaverAction::Deactivate,
        (ResourceKind::Group, LeaverAction::Delete) if adopted => LeaverAction::Keep,
        (ResourceKind::Group, LeaverAction::Deactivate) => LeaverAction::Keep,
        (_, wanted) => wanted,
    }
}

#[cfg(test)]
mod tests;
