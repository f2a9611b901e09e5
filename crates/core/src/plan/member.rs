//! Memberships as PATCH operations: differences only, in chunks of the profile's size.

use serde_json::{Value, json};

use crate::identity::RemoteId;
use crate::profile::{MemberRemoval, Profile};
use crate::scim::message::{PatchOp, PatchOperation};

/// The value of `members` for these accounts (RFC 7643 §4.2).
pub fn member_values<'a>(accounts: impl IntoIterator<Item = &'a RemoteId>) -> Value {
    accounts.into_iter().map(|account| json!({ "value": account.as_str() })).collect()
}

/// PATCH requests that add and remove these accounts, each within the profile's limit of members.
/// Removals come first: a provider with a limit on the size of a group then has room.
pub fn member_patches(add: &[RemoteId], remove: &[RemoteId], profile: &Profile) -> Vec<Vec<PatchOperation>> {
    let chunk = usize::try_from(profile.members_per_patch.max(1)).unwrap_or(usize::MAX);
    let removals = remove.chunks(chunk).map(|accounts| removal(accounts, profile.member_removal));
    let additions = add.chunks(chunk).map(|accounts| {
        vec![PatchOperation {
            op: PatchOp::Add,
            path: Some("members".to_owned()),
            value: Some(member_values(accounts)),
        }]
    });
    let mut patches: Vec<Vec<PatchOperation>> = removals.collect();
    patches.extend(additions);
    join_small(patches, remove.len() + add.len() <= chunk)
}

/// What fits into one request travels in one.
fn join_small(patches: Vec<Vec<PatchOperation>>, fits: bool) -> Vec<Vec<PatchOperation>> {
    if fits && patches.len() > 1 { vec![patches.into_iter().flatten().collect()] } else { patches }
}

fn removal(accounts: &[RemoteId], style: MemberRemoval) -> Vec<PatchOperation> {
    match style {
        MemberRemoval::ValuePath => accounts
            .iter()
            .map(|account| PatchOperation {
                op: PatchOp::Remove,
                // A JSON string is what RFC 7644 §3.4.2.2 demands of a filter's value, escapes included.
                path: Some(format!("members[value eq {}]", Value::from(account.as_str()))),
                value: None,
            })
            .collect(),
        MemberRemoval::ValueList => vec![PatchOperation {
            op: PatchOp::Remove,
            path: Some("members".to_owned()),
            value: Some(member_values(accounts)),
        }],
    }
}
