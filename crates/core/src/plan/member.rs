//! Memberships as PATCH operations: differences only, in chunks of the profile's size.

use serde_json::{Value, json};

use crate::identity::RemoteId;
use crate::profile::{MemberRemoval, MemberType, Profile};
use crate::scim::ResourceKind;
use crate::scim::message::{PatchOp, PatchOperation};

/// An account that is a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub account: RemoteId,
    /// What it is.
    pub kind: ResourceKind,
}

/// The value of `members` for these accounts (RFC 7643 §4.2).
pub fn member_values<'a>(members: impl IntoIterator<Item = &'a Member>, profile: &Profile) -> Value {
    members.into_iter().map(|Member { account, kind }| member_value(account.as_str(), *kind, profile)).collect()
}

/// One of them, by its account or by whatever stands for that (RFC 7644 §3.7.2).
pub fn member_value(reference: &str, kind: ResourceKind, profile: &Profile) -> Value {
    let kind = kind.resource_type();
    match profile.member_type {
        MemberType::Absent => json!({ "value": reference }),
        MemberType::Capitalised => json!({ "value": reference, "type": kind }),
        MemberType::Lower => json!({ "value": reference, "type": kind.to_ascii_lowercase() }),
    }
}

/// Members that one POST may carry.
pub fn members_per_create(profile: &Profile) -> usize {
    match usize::try_from(profile.members_per_create) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(most) => most,
    }
}

/// PATCH requests that add and remove these accounts, each within the profile's limit of members.
/// Removals come first: a provider with a limit on the size of a group then has room.
pub fn member_patches(add: &[Member], remove: &[Member], profile: &Profile) -> Vec<Vec<PatchOperation>> {
    let chunk = members_per_patch(profile);
    let fewer = removals_per_patch(profile);
    let removals = remove.chunks(fewer).map(|members| removal(members, profile));
    let additions = add.chunks(chunk).map(|members| {
        vec![PatchOperation {
            op: PatchOp::Add,
            path: Some("members".to_owned()),
            value: Some(member_values(members, profile)),
        }]
    });
    let mut patches: Vec<Vec<PatchOperation>> = removals.collect();
    patches.extend(additions);
    join_small(patches, remove.len() <= fewer && remove.len() + add.len() <= chunk && fewer == chunk)
}

fn members_per_patch(profile: &Profile) -> usize {
    usize::try_from(profile.members_per_patch.max(1)).unwrap_or(usize::MAX)
}

/// Members that one PATCH may remove.
pub fn removals_per_patch(profile: &Profile) -> usize {
    match usize::try_from(profile.removals_per_patch) {
        Ok(0) | Err(_) => members_per_patch(profile),
        Ok(own) => own.min(members_per_patch(profile)),
    }
}

/// What fits into one request travels in one.
fn join_small(patches: Vec<Vec<PatchOperation>>, fits: bool) -> Vec<Vec<PatchOperation>> {
    if fits && patches.len() > 1 { vec![patches.into_iter().flatten().collect()] } else { patches }
}

fn removal(members: &[Member], profile: &Profile) -> Vec<PatchOperation> {
    match profile.member_removal {
        MemberRemoval::ValuePath => members
            .iter()
            .map(|Member { account, .. }| PatchOperation {
                op: PatchOp::Remove,
                // A JSON string is what RFC 7644 §3.4.2.2 demands of a filter's value, escapes included.
                path: Some(format!("members[value eq {}]", Value::from(account.as_str()))),
                value: None,
            })
            .collect(),
        MemberRemoval::ValueList => vec![PatchOperation {
            op: PatchOp::Remove,
            path: Some("members".to_owned()),
            value: Some(member_values(members, profile)),
        }],
    }
}
