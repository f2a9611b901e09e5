//! Writing one resource at a time, as a service provider does: what is there is looked at, changed and
//! written in one transaction, together with its outbox row (R6), and only by its source (R2).

use std::collections::BTreeSet;
use std::fmt;

use scimfleet_core::directory::{Identity, Refusal};
use scimfleet_core::scim::resource::Document;
use scimfleet_core::{ResourceId, ResourceKind};

use super::change::{Change, write_outbox};
use super::desk::new_resource_id;
use super::import::{NewRow, bump, delete_within, put_rows, reports_to};
use super::membership::{Moves, claim_references};
use super::read::{COLUMNS, ResourceRow, resource_row};
use super::search::{GroupMember, group_member};
use crate::connect::Store;
use crate::error::StoreError;
use crate::lock::Lock;
use crate::password::{Password, keep};
use crate::pool::{Connection, Transaction};
use crate::signal::Signal;
use crate::sql::{Dialect, json, statement, word};

/// The source that anybody may write over (R2).
const OPEN_SOURCE: &str = "api";
/// Members that are looked at together when a condition says who leaves.
const MEMBERS_PER_PAGE: i64 = 1_000;

/// A resource that shall come into being.
#[derive(Debug)]
pub struct NewResource {
    /// User or group.
    pub kind: ResourceKind,
    /// All attributes, without `members`, `id`, `schemas`, `meta`.
    pub document: Document,
    /// Its members by id, for a group.
    pub members: Vec<String>,
    /// A password, to be delivered and erased.
    pub password: Option<Password>,
}

/// What becomes of a resource.
#[derive(Debug, Default)]
pub struct Edit {
    /// All attributes from now on; `None` leaves them.
    pub document: Option<Document>,
    /// Changes of its members, in their order.
    pub members: Vec<MemberEdit>,
    /// A new password, to be delivered and erased.
    pub password: Option<Password>,
}

/// One change of a group's members, by id. It costs as much as it names, whatever the size of the group.
pub enum MemberEdit {
    /// These join.
    Add(Vec<String>),
    /// These leave; who is no member does not matter.
    Remove(Vec<String>),
    /// Whoever this holds for leaves. Walks through all members.
    RemoveWhere(Box<dyn Fn(&GroupMember) -> bool + Send + Sync>),
    /// These and nobody else.
    Replace(Vec<String>),
}

impl fmt::Debug for MemberEdit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(ids) => out.debug_tuple("Add").field(ids).finish(),
            Self::Remove(ids) => out.debug_tuple("Remove").field(ids).finish(),
            Self::RemoveWhere(_) => out.write_str("RemoveWhere"),
            Self::Replace(ids) => out.debug_tuple("Replace").field(ids).finish(),
        }
    }
}

/// Why nothing was written. `E` is the caller's own reason.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such resource, or not any more.
    #[error("no such resource")]
    NotFound,
    /// Another source brought it (R2).
    #[error("it belongs to the source `{owner}`; only that source may change it")]
    Foreign {
        /// Whose it is.
        owner: String,
    },
    /// Another resource has this value.
    #[error("`{attribute}` is taken by another resource")]
    Taken {
        /// `userName` or `externalId`.
        attribute: &'static str,
    },
    /// A member that does not exist.
    #[error("there is no resource with the id `{id}`")]
    NoMember {
        /// The id, cut to 80 characters.
        id: String,
    },
    /// The document cannot be kept.
    #[error(transparent)]
    Refused(Refusal),
    /// What the caller said.
    #[error("refused by the caller")]
    Edit(E),
}

impl Store {
    /// Creates a resource. One of the same identity that was deleted and is not gone everywhere comes back
    /// with its id, so that its accounts are taken over (R3).
    pub async fn create_resource<E>(&self, source: &str, new: NewResource) -> Result<ResourceRow, WriteError<E>> {
        let identity = Identity::of(new.kind, &new.document).map_err(WriteError::Refused)?;
        let now = self.now_ms();
        let mut write = self.write().await?;
        write.assert_unique(new.kind, None, &identity).await?;
        let tombstone = write.tombstone(new.kind, &identity).await?;
        let id = tombstone.unwrap_or_else(new_resource_id);
        write.put(source, &id, new.kind, &identity, &new.document, now).await?;
        write.newly_named = true;
        write.changes.push(Change::new(id.clone(), new.kind, "created"));
        if !new.members.is_empty() {
            write.edit_members(&id, vec![MemberEdit::Add(new.members)]).await?;
        }
        write.keep_password(self, &id, new.password.as_ref(), now).await?;
        write.finish(self, &id, now).await
    }

    /// Changes a resource as `edit` says, which is given what is there. Nothing is written when nothing
    /// differs.
    pub async fn modify_resource<E>(
        &self,
        source: &str,
        kind: ResourceKind,
        id: &ResourceId,
        edit: impl FnOnce(&ResourceRow) -> Result<Edit, E> + Send,
    ) -> Result<ResourceRow, WriteError<E>> {
        let mut write = self.write().await?;
        let before = write.owned(self, source, kind, id).await?;
        let edit = edit(&before).map_err(WriteError::Edit)?;
        let now = self.now_ms();
        write.edit_members(id, edit.members).await?;
        if write.keep_password(self, id, edit.password.as_ref(), now).await? {
            write.changes.push(Change::new(id.clone(), kind, "password"));
        }
        if let Some(document) = edit.document.filter(|document| *document != before.document) {
            let identity = Identity::of(kind, &document).map_err(WriteError::Refused)?;
            write.assert_unique(kind, Some(id), &identity).await?;
            write.put(&before.source, id, kind, &identity, &document, now).await?;
            let named = Identity::of(kind, &before.document).ok().map(|named| (named.name_key, named.external_id));
            write.newly_named = named != Some((identity.name_key.clone(), identity.external_id.clone()));
            let leaves = before.active && !identity.active;
            write.changes.push(Change::new(id.clone(), kind, if leaves { "deactivated" } else { "modified" }));
        } else if !write.changes.is_empty() {
            bump(&mut write.tx, write.dialect, &[id], now).await?;
        }
        write.finish(self, id, now).await
    }

    /// Deletes a resource unless `check` objects: it becomes a tombstone until its accounts are gone (R3).
    pub async fn delete_resource<E>(
        &self,
        source: &str,
        kind: ResourceKind,
        id: &ResourceId,
        check: impl FnOnce(&ResourceRow) -> Result<(), E> + Send,
    ) -> Result<(), WriteError<E>> {
        let mut write = self.write().await?;
        let before = write.owned(self, source, kind, id).await?;
        if before.source != source && before.source != OPEN_SOURCE {
            return Err(WriteError::Foreign { owner: before.source });
        }
        check(&before).map_err(WriteError::Edit)?;
        let mut tx = write.tx;
        delete_within(&mut tx, write.dialect, std::slice::from_ref(id), self.now_ms()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.fire(Signal::Outbox).await?;
        Ok(())
    }

    async fn write(&self) -> Result<Write, StoreError> {
        let mut tx = self.begin().await?;
        Lock::Directory.take(&mut tx, self.dialect()).await?;
        Ok(Write { tx, dialect: self.dialect(), changes: Vec::new(), arrived: false, newly_named: false })
    }
}

/// A transaction that holds the directory's lock, and the changes that it made.
struct Write {
    tx: Transaction,
    dialect: Dialect,
    changes: Vec<Change>,
    /// A document was written: somebody may have waited for its names.
    arrived: bool,
    /// It is named as it was not before: somebody may have named it as manager.
    newly_named: bool,
}

impl Write {
    /// Writes the outbox, commits, and returns the resource as it is now.
    async fn finish<E>(mut self, store: &Store, id: &ResourceId, now: i64) -> Result<ResourceRow, WriteError<E>> {
        if self.arrived {
            let claimed = claim_references(&mut self.tx, self.dialect, std::slice::from_ref(id)).await?;
            let others: Vec<&ResourceId> = claimed.iter().map(Change::resource).filter(|group| *group != id).collect();
            bump(&mut self.tx, self.dialect, &others, now).await?;
            self.changes.extend(claimed);
        }
        if self.newly_named {
            self.changes.extend(reports_to(&mut self.tx, self.dialect, std::slice::from_ref(id)).await?);
        }
        write_outbox(&mut self.tx, self.dialect, &self.changes, now).await?;
        let sql = statement(format!("SELECT {COLUMNS} FROM resources r WHERE r.id = $1"));
        let row = sqlx::query(sql).bind(id.as_str()).fetch_one(&mut *self.tx).await.map_err(StoreError::from)?;
        let row = resource_row(&row)?;
        self.tx.commit().await.map_err(StoreError::from)?;
        if !self.changes.is_empty() {
            store.fire(Signal::Outbox).await?;
        }
        Ok(row)
    }

    /// The live resource, if this source may change it.
    async fn owned<E>(
        &mut self,
        store: &Store,
        source: &str,
        kind: ResourceKind,
        id: &ResourceId,
    ) -> Result<ResourceRow, WriteError<E>> {
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM resources r WHERE r.id = $1 AND r.kind = $2 AND r.deleted_at IS NULL"
        ));
        let query = sqlx::query(sql).bind(id.as_str()).bind(kind.as_str());
        let row = query.fetch_optional(&mut *self.tx).await.map_err(StoreError::from)?;
        let row = resource_row(&row.ok_or(WriteError::NotFound)?)?;
        if row.source != source && row.source != OPEN_SOURCE && !store.is_overlay(source) {
            return Err(WriteError::Foreign { owner: row.source });
        }
        Ok(row)
    }

    /// A user's name and everybody's externalId are theirs alone, within their kind.
    async fn assert_unique<E>(
        &mut self,
        kind: ResourceKind,
        id: Option<&ResourceId>,
        identity: &Identity,
    ) -> Result<(), WriteError<E>> {
        let name = (kind == ResourceKind::User).then_some(identity.name_key.as_str());
        let keys = [("userName", "name_key", name), ("externalId", "external_id", identity.external_id.as_deref())];
        for (attribute, column, value) in keys {
            let Some(value) = value else { continue };
            let sql = statement(format!(
                "SELECT id FROM resources WHERE kind = '{kind}' AND {column} = $1 AND id <> $2 AND deleted_at IS NULL LIMIT 1"
            ));
            let query = sqlx::query(sql).bind(value).bind(id.map_or("", ResourceId::as_str));
            if query.fetch_optional(&mut *self.tx).await.map_err(StoreError::from)?.is_some() {
                return Err(WriteError::Taken { attribute });
            }
        }
        Ok(())
    }

    /// Whoever was deleted last with this identity: by externalId, else by name among those without one.
    async fn tombstone(&mut self, kind: ResourceKind, identity: &Identity) -> Result<Option<ResourceId>, StoreError> {
        let (condition, key) = match &identity.external_id {
            Some(external_id) => ("external_id = $1", external_id),
            None => ("name_key = $1 AND external_id IS NULL", &identity.name_key),
        };
        let sql = statement(format!(
            "SELECT id FROM resources WHERE kind = '{kind}' AND {condition} AND deleted_at IS NOT NULL \
             ORDER BY updated_at DESC, id LIMIT 1"
        ));
        let row = sqlx::query(sql).bind(key.as_str()).fetch_optional(&mut *self.tx).await?;
        row.map(|row| word(&row, "resources", "id")).transpose()
    }

    async fn put(
        &mut self,
        source: &str,
        id: &ResourceId,
        kind: ResourceKind,
        identity: &Identity,
        document: &Document,
        now: i64,
    ) -> Result<(), StoreError> {
        self.arrived = true;
        put_rows(&mut self.tx, self.dialect, &[NewRow::new(id, kind, source, identity, document)], now).await
    }

    /// Returns whether a provider is to be sent it.
    async fn keep_password(
        &mut self,
        store: &Store,
        id: &ResourceId,
        password: Option<&Password>,
        now: i64,
    ) -> Result<bool, StoreError> {
        let list: Vec<_> = password.map(|password| (id, password)).into_iter().collect();
        keep(&mut self.tx, self.dialect, store.inner.sealer.as_ref(), &list, now).await
    }

    async fn edit_members<E>(&mut self, group: &ResourceId, edits: Vec<MemberEdit>) -> Result<(), WriteError<E>> {
        if edits.is_empty() {
            return Ok(());
        }
        let mut roll = Roll { group, joined: BTreeSet::new(), left: BTreeSet::new() };
        for edit in edits {
            match edit {
                MemberEdit::Add(ids) => roll.add(&mut self.tx, self.dialect, ids).await?,
                MemberEdit::Remove(ids) => roll.remove(&mut self.tx, self.dialect, ids).await?,
                MemberEdit::RemoveWhere(holds) => roll.remove_where(&mut self.tx, self.dialect, &*holds).await?,
                MemberEdit::Replace(ids) => roll.replace(&mut self.tx, self.dialect, ids).await?,
            }
        }
        let mut moves = Moves::default();
        moves.add(group, roll.joined.iter(), roll.left.iter());
        self.changes.extend(moves.write(&mut self.tx, self.dialect).await?);
        Ok(())
    }
}

/// Who joins and who leaves a group, against what the database holds.
struct Roll<'g> {
    group: &'g ResourceId,
    joined: BTreeSet<ResourceId>,
    left: BTreeSet<ResourceId>,
}

impl Roll<'_> {
    async fn add<E>(&mut self, tx: &mut Connection, dialect: Dialect, ids: Vec<String>) -> Result<(), WriteError<E>> {
        let ids = self.existing(tx, dialect, ids).await?;
        let members = self.members_among(tx, dialect, &ids).await?;
        for id in ids {
            if !self.left.remove(&id) && !members.contains(&id) {
                self.joined.insert(id);
            }
        }
        Ok(())
    }

    async fn remove(&mut self, tx: &mut Connection, dialect: Dialect, ids: Vec<String>) -> Result<(), StoreError> {
        let ids: BTreeSet<ResourceId> = ids.into_iter().filter_map(|id| ResourceId::parse(id).ok()).collect();
        let members = self.members_among(tx, dialect, &ids).await?;
        ids.iter().for_each(|id| self.leave(id, members.contains(id)));
        Ok(())
    }

    fn leave(&mut self, id: &ResourceId, is_member: bool) {
        if !self.joined.remove(id) && is_member {
            self.left.insert(id.clone());
        }
    }

    async fn remove_where(
        &mut self,
        tx: &mut Connection,
        dialect: Dialect,
        holds: &(dyn Fn(&GroupMember) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let sql = "SELECT r.id AS id, r.kind AS kind, r.document AS document FROM memberships m \
                 JOIN resources r ON r.id = m.member_id \
                 WHERE m.group_id = $1 AND m.member_id > $2 ORDER BY m.member_id LIMIT $3";
            let query = sqlx::query(sql).bind(self.group.as_str()).bind(after.as_str()).bind(MEMBERS_PER_PAGE);
            let page = query.fetch_all(&mut *tx).await?.iter().map(group_member).collect::<Result<Vec<_>, _>>()?;
            page.iter().filter(|member| holds(member)).for_each(|member| self.leave(&member.id, true));
            match page.last() {
                Some(last) => last.id.as_str().clone_into(&mut after),
                None => break,
            }
        }
        for id in self.joined.clone() {
            let texts = dialect.texts(1);
            let sql = statement(format!(
                "SELECT r.id AS id, r.kind AS kind, r.document AS document FROM {texts} JOIN resources r ON r.id = b.id"
            ));
            let row = sqlx::query(sql).bind(json(&[&id])).fetch_optional(&mut *tx).await?;
            if row.as_ref().map(group_member).transpose()?.is_some_and(|member| holds(&member)) {
                self.joined.remove(&id);
            }
        }
        Ok(())
    }

    async fn replace<E>(
        &mut self,
        tx: &mut Connection,
        dialect: Dialect,
        ids: Vec<String>,
    ) -> Result<(), WriteError<E>> {
        let wanted = self.existing(tx, dialect, ids).await?;
        let sql = "SELECT member_id FROM memberships WHERE group_id = $1";
        let rows = sqlx::query(sql).bind(self.group.as_str()).fetch_all(&mut *tx).await.map_err(StoreError::from)?;
        let members = rows
            .iter()
            .map(|row| word(row, "memberships", "member_id"))
            .collect::<Result<BTreeSet<ResourceId>, _>>()?;
        self.left = members.difference(&wanted).cloned().collect();
        self.joined = wanted.difference(&members).cloned().collect();
        // Who was named before arriving was in the list that is replaced.
        let sql = "DELETE FROM membership_references WHERE group_id = $1";
        sqlx::query(sql).bind(self.group.as_str()).execute(tx).await.map_err(StoreError::from)?;
        Ok(())
    }

    /// These ids, each of a live resource other than the group itself.
    async fn existing<E>(
        &self,
        tx: &mut Connection,
        dialect: Dialect,
        ids: Vec<String>,
    ) -> Result<BTreeSet<ResourceId>, WriteError<E>> {
        let unknown = |id: &str| WriteError::NoMember { id: id.chars().take(80).collect() };
        let mut wanted = BTreeSet::new();
        for id in ids {
            wanted.insert(ResourceId::parse(id).map_err(|refused| unknown(&refused.value))?);
        }
        let texts = dialect.texts(1);
        let sql = statement(format!(
            "SELECT r.id AS id FROM {texts} JOIN resources r ON r.id = b.id WHERE r.deleted_at IS NULL"
        ));
        let rows = sqlx::query(sql).bind(json(&wanted)).fetch_all(tx).await.map_err(StoreError::from)?;
        let mut live =
            rows.iter().map(|row| word(row, "resources", "id")).collect::<Result<BTreeSet<ResourceId>, _>>()?;
        live.remove(self.group);
        match wanted.difference(&live).next() {
            Some(missing) => Err(unknown(missing.as_str())),
            None => Ok(live),
        }
    }

    /// Which of these are members by what the database holds.
    async fn members_among(
        &self,
        tx: &mut Connection,
        dialect: Dialect,
        ids: &BTreeSet<ResourceId>,
    ) -> Result<BTreeSet<ResourceId>, StoreError> {
        let texts = dialect.texts(2);
        let sql = statement(format!(
            "SELECT m.member_id AS member_id FROM {texts} JOIN memberships m ON m.group_id = $1 AND m.member_id = b.id"
        ));
        let rows = sqlx::query(sql).bind(self.group.as_str()).bind(json(ids)).fetch_all(tx).await?;
        rows.iter().map(|row| word(row, "memberships", "member_id")).collect()
    }
}
