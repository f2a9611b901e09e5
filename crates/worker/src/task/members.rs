//! The members of a group: what to add, to remove, to wait for, and sending the differences (R21, R24).

use std::collections::{HashMap, HashSet};

use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::{member_patches, member_values, removals_per_patch};
use scimfleet_core::profile::{NestedGroups, Update};
use scimfleet_core::retry::Class;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::PatchOperation;
use scimfleet_core::state::LinkState;
use scimfleet_core::{RemoteId, ResourceId, ResourceKind};
use scimfleet_store::{MemberRow, MembershipChange, MembershipDelta, StoreError, Wanted};
use serde_json::Value;

use super::Session;
use super::attempt::{Attempt, Members};
use super::wire::{Call, Content, Halt, Write};

impl Session<'_> {
    /// Loads what these groups lack and have too many, of the members that are noted as owed: what it costs does
    /// not depend on the size of a group (R1). All members are compared of a group that was never compared, that
    /// has no account, or whose members are the users of other groups; all are read where a whole list is sent.
    pub(crate) async fn load_members(&self, attempts: &mut [Attempt]) -> Result<(), StoreError> {
        let flat = self.provider.profile.nested_groups == NestedGroups::Flatten;
        let open = |attempt: &&mut Attempt| attempt.outcome.is_none();
        let (mut fresh, mut whole, mut owed) = (HashSet::new(), Vec::new(), Vec::new());
        for attempt in attempts.iter_mut().filter(open) {
            attempt.members.compared = attempt.link.members_whole || attempt.account.remote_id.is_none();
            if is_fresh(attempt) {
                fresh.insert(attempt.id().clone());
                continue;
            }
            let list = if flat || attempt.members.compared { &mut whole } else { &mut owed };
            list.push(attempt.id().clone());
        }
        let mut by_group: HashMap<ResourceId, Members> = HashMap::new();
        let groups: Vec<ResourceId> = fresh.iter().chain(&whole).chain(&owed).cloned().collect();
        self.load_owed(&groups, &mut by_group).await?;
        for delta in self.differences(&whole, &owed).await? {
            self.sort_delta(delta, &mut by_group);
        }
        self.load_doubted(attempts, &mut by_group).await?;
        let profile = &self.provider.profile;
        let puts = profile.update == Update::Put || profile.update_of_members() == Update::Put;
        let wanting: Vec<ResourceId> = attempts
            .iter_mut()
            .filter(open)
            .filter(|attempt| puts || attempt.account.remote_id.is_none())
            .map(|attempt| attempt.id().clone())
            .collect();
        self.load_whole(&wanting, &fresh, &mut by_group).await?;
        for attempt in attempts.iter_mut().filter(open) {
            // What flattened groups hold changes with other groups, too: they stay compared as a whole.
            let compared = attempt.members.compared && !flat;
            attempt.members = Members { compared, ..by_group.remove(attempt.id()).unwrap_or_default() };
            attempt.waits_for.clone_from(&attempt.members.waiting);
        }
        Ok(())
    }

    /// Notes what is owed before the differences are read: what is noted after that stays.
    async fn load_owed(
        &self,
        groups: &[ResourceId],
        by_group: &mut HashMap<ResourceId, Members>,
    ) -> Result<(), StoreError> {
        if groups.is_empty() {
            return Ok(());
        }
        for one in self.worker.store.owed_members(self.provider.row.id, groups).await? {
            by_group.entry(one.group_id.clone()).or_default().owed.push(one);
        }
        Ok(())
    }

    async fn differences(&self, whole: &[ResourceId], owed: &[ResourceId]) -> Result<Vec<MembershipDelta>, StoreError> {
        let (store, provider) = (&self.worker.store, self.provider.row.id);
        let mut differences = Vec::with_capacity(2);
        if !whole.is_empty() {
            differences.push(match self.provider.profile.nested_groups {
                NestedGroups::Flatten => store.flattened_delta(provider, whole).await?,
                NestedGroups::Members | NestedGroups::Omit => store.membership_delta(provider, whole).await?,
            });
        }
        if !owed.is_empty() {
            differences.push(store.owed_delta(provider, owed).await?);
        }
        Ok(differences)
    }

    /// What a write of unknown outcome may have changed is settled again, where nothing differs by now (R20).
    async fn load_doubted(
        &self,
        attempts: &[Attempt],
        by_group: &mut HashMap<ResourceId, Members>,
    ) -> Result<(), StoreError> {
        let uncertain = |attempt: &&Attempt| attempt.outcome.is_none() && attempt.has_open_intent();
        let groups: Vec<ResourceId> = attempts.iter().filter(uncertain).map(|attempt| attempt.id().clone()).collect();
        if groups.is_empty() {
            return Ok(());
        }
        let (store, provider) = (&self.worker.store, self.provider.row.id);
        let doubted = match self.provider.profile.nested_groups {
            NestedGroups::Flatten => store.doubted_flattened(provider, &groups).await?,
            NestedGroups::Members | NestedGroups::Omit => store.doubted_members(provider, &groups).await?,
        };
        for one in doubted {
            let members = by_group.entry(one.group_id).or_default();
            note_kind(members, one.kind, &one.member_id);
            let list = if one.belongs { &mut members.add } else { &mut members.suspect };
            list.push((one.member_id, one.remote_id));
        }
        Ok(())
    }

    fn sort_delta(&self, delta: MembershipDelta, by_group: &mut HashMap<ResourceId, Members>) {
        for row in delta.missing.into_iter().filter(|row| self.counts(row)) {
            sort_in(by_group.entry(row.group_id.clone()).or_default(), row);
        }
        for (group, member, account) in delta.surplus {
            by_group.entry(group).or_default().remove.push((member, account));
        }
        let known = self.provider.profile.delete_leaves_groups;
        for (group, member, account) in delta.vanished {
            let members = by_group.entry(group).or_default();
            let list = if known { &mut members.vanished } else { &mut members.dangling };
            list.push((member, account));
        }
        for (group, member) in delta.left_out {
            by_group.entry(group).or_default().left_out.push(member);
        }
    }

    /// Whether the provider takes such a member at all.
    fn counts(&self, row: &MemberRow) -> bool {
        self.provider.profile.nested_groups != NestedGroups::Omit || row.kind != ResourceKind::Group
    }

    /// Every member of these groups; of `fresh` ones all are missing.
    async fn load_whole(
        &self,
        groups: &[ResourceId],
        fresh: &HashSet<ResourceId>,
        by_group: &mut HashMap<ResourceId, Members>,
    ) -> Result<(), StoreError> {
        if groups.is_empty() {
            return Ok(());
        }
        let (store, provider) = (&self.worker.store, self.provider.row.id);
        let rows = match self.provider.profile.nested_groups {
            NestedGroups::Flatten => store.flattened_at(provider, groups).await?,
            NestedGroups::Members | NestedGroups::Omit => store.members_at(provider, groups).await?,
        };
        for row in rows.into_iter().filter(|row| self.counts(row)) {
            let is_fresh = fresh.contains(&row.group_id);
            let members = by_group.entry(row.group_id.clone()).or_default();
            if let (Some(Wanted::Yes), Some(account)) = (row.wanted, &row.remote_id) {
                note_kind(members, row.kind, &row.member_id);
                members.whole.push((row.member_id.clone(), account.clone()));
            }
            if is_fresh {
                sort_in(members, row);
            }
        }
        Ok(())
    }

    /// A group's document with every member that has an account; `shown`: what the provider holds, of which
    /// members that others added are kept (R23).
    pub(crate) fn with_members(&self, attempt: &Attempt, document: &Document, shown: Option<&Document>) -> Document {
        let mut body = document.clone();
        let members = &attempt.members;
        let mut values = member_values(&members.sent(&members.whole), &self.provider.profile);
        let there = shown.and_then(|shown| shown.get("members")).and_then(Value::as_array);
        if let (Some(there), Value::Array(list)) = (there, &mut values) {
            let ours = [&members.whole, &members.remove, &members.dangling, &members.vanished, &members.suspect];
            let known: HashSet<&str> = ours.into_iter().flatten().map(|(_, account)| account.as_str()).collect();
            let id = |member: &Value| {
                member.get("value").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned))
            };
            let others = there.iter().filter(|member| id(member).is_some_and(|id| !known.contains(id.as_str())));
            list.extend(others.filter_map(id).map(|id| serde_json::json!({ "value": id })));
        }
        if values != Value::Array(Vec::new()) || attempt.account.remote_id.is_some() {
            body.insert("members".to_owned(), values);
        }
        body
    }

    /// Sends the differences, chunk by chunk. What was sent before a failure is remembered.
    pub(crate) async fn patch_members(&self, attempt: &mut Attempt) -> Result<(), Outcome> {
        let Some(account) = attempt.account.remote_id.clone() else { return Ok(()) };
        if self.provider.profile.update_of_members() == Update::Put {
            return self.put_members(attempt, &account).await;
        }
        let (add, remove) = (attempt.members.sent(&attempt.members.add), attempt.members.sent(&attempt.members.remove));
        for operations in member_patches(&add, &remove, &self.provider.profile) {
            let (added, removed) = touched(&operations);
            let write = of_members("patch", removed.len());
            match self.deliver(attempt, &write, patch_of(&account, &operations)).await {
                Ok(answer) => {
                    attempt.account.version = answer.version;
                    self.health.ok();
                    attempt.remember_chunk(&added, &removed);
                }
                // Some answer 404 when the one to be removed is no member any more.
                Err(Halt::Failed(failure))
                    if failure.is_believable_not_found() && added.is_empty() && removed.len() == 1 =>
                {
                    if self.get(attempt, &account).await.is_err() {
                        return Err(self.members_halted(attempt, &Halt::Failed(failure)).await);
                    }
                    attempt.remember_chunk(&added, &removed);
                }
                Err(halt) => return Err(self.members_halted(attempt, &halt).await),
            }
        }
        self.remove_dangling(attempt, &account).await?;
        // Whether they are there nobody knows, so each is taken out by itself, and need not be there.
        while let Some(member) = attempt.members.suspect.last().cloned() {
            self.take_out(attempt, &account, &[member]).await?;
            attempt.members.suspect.pop();
        }
        Ok(())
    }

    /// Takes members out whose accounts are gone. A provider that does not list them any more says so by
    /// `noTarget` or the like (RFC 7644 §3.5.2.2): then they are out, and the next ones are not asked about.
    async fn remove_dangling(&self, attempt: &mut Attempt, account: &RemoteId) -> Result<(), Outcome> {
        let dangling = std::mem::take(&mut attempt.members.dangling);
        for members in dangling.chunks(removals_per_patch(&self.provider.profile)) {
            if !self.take_out(attempt, account, members).await? {
                // One of them is not listed, and a PATCH is applied whole or not at all.
                let mut listed = false;
                for member in members.iter().filter(|_| members.len() > 1) {
                    listed |= self.take_out(attempt, account, std::slice::from_ref(member)).await?;
                }
                if !listed {
                    self.remember_delete_leaves_groups().await;
                }
            }
            attempt.members.vanished.extend_from_slice(members);
        }
        Ok(())
    }

    /// Removes these members; false when the provider says that one of them is not there.
    async fn take_out(
        &self,
        attempt: &mut Attempt,
        account: &RemoteId,
        members: &[(ResourceId, RemoteId)],
    ) -> Result<bool, Outcome> {
        let gone = attempt.members.sent(members);
        for operations in member_patches(&[], &gone, &self.provider.profile) {
            match self.deliver(attempt, &of_members("patch", 0), patch_of(account, &operations)).await {
                Ok(answer) => attempt.account.version = answer.version,
                Err(Halt::Failed(failure))
                    if failure.class() == Class::Permanent || failure.is_believable_not_found() =>
                {
                    return Ok(false);
                }
                Err(halt) => return Err(self.members_halted(attempt, &halt).await),
            }
        }
        Ok(true)
    }

    async fn members_halted(&self, attempt: &mut Attempt, halt: &Halt) -> Outcome {
        let Halt::Failed(failure) = halt else { return self.halted(halt) };
        match failure.class() {
            Class::Unsupported => {
                self.remember_update(Update::Put).await;
                Outcome::Again(failure.to_string())
            }
            Class::Gone => self.after_not_found(attempt, failure).await,
            _ => self.failed(failure),
        }
    }

    /// For a provider that only takes the whole group.
    async fn put_members(&self, attempt: &mut Attempt, account: &RemoteId) -> Result<(), Outcome> {
        let desired = attempt.desired.as_ref().map(|desired| &desired.document);
        let Some(document) = attempt.account.sent.as_ref().or(desired).cloned() else { return Ok(()) };
        let shown = match self.read_before_put(attempt, account, &document).await {
            Ok(shown) => shown,
            Err(halt) => return Err(self.members_halted(attempt, &halt).await),
        };
        let body = self.merged(attempt, &document, shown.as_ref());
        let write = of_members("replace", attempt.members.remove.len());
        let content = Content::Replace(&body);
        let call = Call { kind: ResourceKind::Group, account: Some(account), content, version: None };
        match self.deliver(attempt, &write, call).await {
            Ok(answer) => {
                attempt.account.version = answer.version;
                attempt.settle_members_of_put();
                Ok(())
            }
            Err(halt) => Err(self.halted(&halt)),
        }
    }
}

fn of_members(operation: &'static str, removed: usize) -> Write {
    let removal = i64::try_from(removed).unwrap_or(i64::MAX);
    Write { operation, attributes: vec!["members".to_owned()], removal }
}

fn patch_of<'a>(account: &'a RemoteId, operations: &'a [PatchOperation]) -> Call<'a> {
    let content = Content::Patch(operations);
    Call { kind: ResourceKind::Group, account: Some(account), content, version: None }
}

/// Nothing was ever sent of it, so that there is nothing to compare: what it should hold is what is missing.
fn is_fresh(attempt: &Attempt) -> bool {
    attempt.account.remote_id.is_none() && !attempt.has_open_intent()
}

/// Who is added, who is waited for, who is left out (R24): members out of scope, inactive ones without
/// an account and parked ones are not waited for.
fn sort_in(members: &mut Members, row: MemberRow) {
    note_kind(members, row.kind, &row.member_id);
    match (row.wanted, row.remote_id) {
        (Some(Wanted::Yes), Some(account)) => members.add.push((row.member_id, account)),
        (Some(Wanted::Yes), None) => {
            let comes = !matches!(row.state, Some(LinkState::Parked | LinkState::Gone | LinkState::Kept));
            let comes = comes && !(row.inactive && row.kind == ResourceKind::User);
            let list = if comes { &mut members.waiting } else { &mut members.left_out };
            list.push(row.member_id);
        }
        _ => members.left_out.push(row.member_id),
    }
}

fn note_kind(members: &mut Members, kind: ResourceKind, id: &ResourceId) {
    if kind == ResourceKind::Group {
        members.groups.insert(id.clone());
    }
}

/// The accounts that these operations add and remove.
fn touched(operations: &[PatchOperation]) -> (Vec<String>, Vec<String>) {
    use scimfleet_core::scim::message::PatchOp;
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for operation in operations {
        let list = if operation.op == PatchOp::Add { &mut added } else { &mut removed };
        match (&operation.value, &operation.path) {
            (Some(Value::Array(values)), _) => {
                list.extend(values.iter().filter_map(|value| value.get("value")?.as_str().map(str::to_owned)));
            }
            (_, Some(path)) => list.extend(quoted(path)),
            _ => {}
        }
    }
    (added, removed)
}

/// The value in `members[value eq "x"]`.
fn quoted(path: &str) -> Option<String> {
    let text = path.strip_prefix("members[value eq ")?.strip_suffix(']')?;
    serde_json::from_str(text).ok()
}

impl Attempt {
    /// These members are there now.
    pub(crate) fn remember_members(&mut self, members: &[(ResourceId, RemoteId)]) {
        let group = self.id().clone();
        self.sent_members.extend(members.iter().map(|(member, account)| MembershipChange {
            group_id: group.clone(),
            member_id: member.clone(),
            remote_id: Some(account.clone()),
        }));
    }

    fn forget_members(&mut self, members: &[ResourceId]) {
        let group = self.id().clone();
        self.sent_members.extend(members.iter().map(|member| MembershipChange {
            group_id: group.clone(),
            member_id: member.clone(),
            remote_id: None,
        }));
    }

    fn remember_chunk(&mut self, added: &[String], removed: &[String]) {
        let done = take_named(&mut self.members.add, added);
        self.remember_members(&done);
        let done = take_named(&mut self.members.remove, removed);
        let gone: Vec<ResourceId> = done.into_iter().map(|(member, _)| member).collect();
        self.forget_members(&gone);
    }

    /// What a POST carried of the members is there; the rest still differs.
    pub(crate) fn settle_members_of_post(&mut self) {
        let whole = std::mem::take(&mut self.members.whole);
        let sent: HashSet<&ResourceId> = whole.iter().map(|(id, _)| id).collect();
        self.members.add.retain(|(id, _)| !sent.contains(id));
        self.remember_members(&whole);
    }

    /// A PUT of the whole group settled every difference at once.
    pub(crate) fn settle_members_of_put(&mut self) {
        let whole = std::mem::take(&mut self.members.whole);
        self.remember_members(&whole);
        let removed = std::mem::take(&mut self.members.remove);
        let dangling = std::mem::take(&mut self.members.dangling);
        let gone: Vec<ResourceId> = removed.into_iter().chain(dangling).map(|(member, _)| member).collect();
        self.forget_members(&gone);
        self.members.add.clear();
        self.members.suspect.clear();
    }

    /// Members whose accounts are gone need no request, only forgetting.
    pub(crate) fn forget_vanished(&mut self) {
        let vanished = std::mem::take(&mut self.members.vanished).into_iter().map(|(member, _)| member);
        self.forget_members(&vanished.collect::<Vec<_>>());
    }
}

/// Takes out the members with these accounts: a chunk of many thousands.
fn take_named(members: &mut Vec<(ResourceId, RemoteId)>, accounts: &[String]) -> Vec<(ResourceId, RemoteId)> {
    let named: HashSet<&str> = accounts.iter().map(String::as_str).collect();
    members.extract_if(.., |(_, account)| named.contains(account.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_path_gives_its_account_back() {
        assert_eq!(quoted(r#"members[value eq "a\"b"]"#).as_deref(), Some("a\"b"));
        assert_eq!(quoted("members"), None);
    }
}
