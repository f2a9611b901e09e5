//! Reading the directory.

use std::borrow::Cow;

use scimfleet_core::scim::resource::{Document, fold};
use scimfleet_core::{ResourceId, ResourceKind};
use serde::Deserialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{document, json, parsed, statement, unpack, word};

/// A resource of the directory.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceRow {
    /// Our id.
    pub id: ResourceId,
    /// User or group.
    pub kind: ResourceKind,
    /// `externalId`, if it has one.
    pub external_id: Option<String>,
    /// Whether it is active.
    pub active: bool,
    /// Belongs to a program.
    pub service_account: bool,
    /// All attributes, without members.
    pub document: Document,
    /// Who brought it (R2).
    pub source: String,
    /// Grows with every change.
    pub generation: i64,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub updated_at_ms: i64,
    /// A tombstone: it was deleted, its accounts may not be gone yet (R3).
    pub deleted: bool,
}

impl ResourceRow {
    /// `userName` or `displayName`.
    pub fn name(&self) -> &str {
        self.document.get(self.kind.naming_attribute()).and_then(serde_json::Value::as_str).unwrap_or_default()
    }
}

/// A group that a user is in, directly or through other groups.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    /// Who is in it.
    pub user_id: ResourceId,
    /// The group.
    pub group: ResourceRow,
}

pub(crate) const COLUMNS: &str = "r.id, r.kind, r.external_id, r.active, r.service_account, r.document, r.source, \
     r.generation, r.created_at, r.updated_at, r.deleted_at";

pub(crate) fn resource_row(row: &AnyRow) -> Result<ResourceRow, StoreError> {
    Ok(ResourceRow {
        id: word(row, "resources", "id")?,
        kind: word(row, "resources", "kind")?,
        external_id: row.try_get("external_id")?,
        active: row.try_get::<i64, _>("active")? != 0,
        service_account: row.try_get::<i64, _>("service_account")? != 0,
        document: document(row, "resources", "document")?,
        source: row.try_get("source")?,
        generation: row.try_get("generation")?,
        created_at_ms: row.try_get("created_at")?,
        updated_at_ms: row.try_get("updated_at")?,
        deleted: row.try_get::<Option<i64>, _>("deleted_at")?.is_some(),
    })
}

/// All columns but the document, for [`packed_resource`].
const PACKED: &str = "r.id, r.kind, r.external_id, r.active, r.service_account, r.source, r.generation, r.created_at, \
     r.updated_at, r.deleted_at";

/// The columns of [`PACKED`], in their order.
#[derive(Deserialize)]
struct Packed<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    Option<String>,
    i64,
    i64,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
);

fn packed_resource(row: &AnyRow) -> Result<ResourceRow, StoreError> {
    let text: String = row.try_get("packed")?;
    let Packed(id, kind, external_id, active, service, source, generation, created_at_ms, updated_at_ms, deleted_at) =
        unpack(&text, "resources")?;
    Ok(ResourceRow {
        id: parsed(&id, "resources")?,
        kind: parsed(&kind, "resources")?,
        external_id,
        active: active != 0,
        service_account: service != 0,
        document: document(row, "resources", "document")?,
        source,
        generation,
        created_at_ms,
        updated_at_ms,
        deleted: deleted_at.is_some(),
    })
}

impl Store {
    /// Resources by id, tombstones included, in no particular order; what does not exist is left out.
    pub async fn resources(&self, ids: &[ResourceId]) -> Result<Vec<ResourceRow>, StoreError> {
        let texts = self.dialect().texts(1);
        let packed = self.dialect().packed(PACKED);
        let sql = statement(format!(
            "SELECT {packed} AS packed, r.document AS document FROM {texts} JOIN resources r ON r.id = b.id"
        ));
        sqlx::query(sql).bind(json(ids)).fetch_all(self.read()).await?.iter().map(packed_resource).collect()
    }

    /// Finds a live resource by its id, else `externalId`, else `userName` or `displayName`. More than
    /// one hit means that the name is ambiguous; the caller says so.
    pub async fn find_resources(&self, reference: &str) -> Result<Vec<ResourceRow>, StoreError> {
        self.find_among("'user', 'group'", reference).await
    }

    /// The same among resources of some kinds, given as a list of SQL texts.
    async fn find_among(&self, kinds: &'static str, reference: &str) -> Result<Vec<ResourceRow>, StoreError> {
        // No text with U+0000 was ever let in (R5), and PostgreSQL refuses to be asked.
        if reference.contains('\0') {
            return Ok(Vec::new());
        }
        for condition in ["r.id = $1", "r.external_id = $1", "r.name_key = $1"] {
            let sql = statement(format!(
                "SELECT {COLUMNS} FROM resources r WHERE r.kind IN ({kinds}) AND {condition} AND r.deleted_at IS NULL \
                 ORDER BY r.kind DESC, r.id LIMIT 3"
            ));
            let key = if condition.contains("name_key") { fold(reference) } else { reference.to_owned() };
            let rows = sqlx::query(sql).bind(key).fetch_all(self.read()).await?;
            if !rows.is_empty() {
                return rows.iter().map(resource_row).collect();
            }
        }
        Ok(Vec::new())
    }

    /// Live resources of a kind in the order of their ids, after `after`.
    pub async fn resources_after(
        &self,
        kind: ResourceKind,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM resources r WHERE r.kind = $1 AND r.id > $2 AND r.deleted_at IS NULL \
             ORDER BY r.id LIMIT $3"
        ));
        let rows = sqlx::query(sql)
            .bind(kind.as_str())
            .bind(after.map_or("", ResourceId::as_str))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(resource_row).collect()
    }

    /// Ids of live resources that one source brought, in the order of their ids, after `after`.
    pub async fn ids_of_source(
        &self,
        source: &str,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<ResourceId>, StoreError> {
        let sql = "SELECT id FROM resources WHERE source = $1 AND id > $2 AND deleted_at IS NULL ORDER BY id LIMIT $3";
        let rows = sqlx::query(sql)
            .bind(source)
            .bind(after.map_or("", ResourceId::as_str))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|row| word(row, "resources", "id")).collect()
    }

    /// How many live resources of a kind there are.
    pub async fn count_resources(&self, kind: ResourceKind) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM resources WHERE kind = $1 AND deleted_at IS NULL";
        let count: i64 = sqlx::query_scalar(sql).bind(kind.as_str()).fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// The groups that these users are in, directly or through other groups.
    pub async fn groups_of(&self, users: &[ResourceId]) -> Result<Vec<GroupRow>, StoreError> {
        let texts = self.dialect().texts(1);
        let sql = statement(format!(
            "WITH RECURSIVE up(user_id, group_id) AS ( \
               SELECT m.member_id, m.group_id FROM {texts} JOIN memberships m ON m.member_id = b.id \
               UNION SELECT up.user_id, m.group_id FROM up JOIN memberships m ON m.member_id = up.group_id) \
             SELECT up.user_id AS user_id, {COLUMNS} FROM up CROSS JOIN resources r \
             WHERE r.id = up.group_id AND r.deleted_at IS NULL ORDER BY up.user_id, r.id"
        ));
        let rows = sqlx::query(sql).bind(json(users)).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| Ok(GroupRow { user_id: word(row, "memberships", "user_id")?, group: resource_row(row)? }))
            .collect()
    }

    /// These groups and every group inside them, by externalId or displayName; names that are unknown or
    /// not unique are returned as the second part.
    pub async fn group_closure(&self, names: &[String]) -> Result<(Vec<ResourceId>, Vec<String>), StoreError> {
        let mut roots = Vec::new();
        let mut unknown = Vec::new();
        for name in names {
            let mut groups = self.find_among("'group'", name).await?.into_iter();
            match (groups.next(), groups.next()) {
                (Some(group), None) => roots.push(group.id),
                _ => unknown.push(name.clone()),
            }
        }
        let texts = self.dialect().texts(1);
        let sql = statement(format!(
            "WITH RECURSIVE down(group_id) AS (SELECT b.id FROM {texts} UNION \
               SELECT m.member_id FROM down JOIN memberships m ON m.group_id = down.group_id \
               JOIN resources r ON r.id = m.member_id AND r.kind = 'group' AND r.deleted_at IS NULL) \
             SELECT group_id FROM down"
        ));
        let rows = sqlx::query(sql).bind(json(&roots)).fetch_all(self.read()).await?;
        let closure: Result<Vec<ResourceId>, _> = rows.iter().map(|row| word(row, "memberships", "group_id")).collect();
        Ok((closure?, unknown))
    }

    /// Users among these resources, and users inside those of them that are groups.
    pub async fn users_under(&self, resources: &[ResourceId]) -> Result<Vec<ResourceId>, StoreError> {
        let texts = self.dialect().texts(1);
        let sql = statement(format!(
            "WITH RECURSIVE down(id) AS (SELECT b.id FROM {texts} UNION \
               SELECT m.member_id FROM down JOIN memberships m ON m.group_id = down.id) \
             SELECT r.id AS id FROM down CROSS JOIN resources r WHERE r.id = down.id AND r.kind = 'user'"
        ));
        let rows = sqlx::query(sql).bind(json(resources)).fetch_all(self.read()).await?;
        rows.iter().map(|row| word(row, "resources", "id")).collect()
    }

    /// Which of these resources are direct members of one of these groups.
    pub async fn members_among(
        &self,
        resources: &[ResourceId],
        groups: &[ResourceId],
    ) -> Result<Vec<ResourceId>, StoreError> {
        let (members, wanted) = (self.dialect().texts(1), self.dialect().texts(2));
        let sql = statement(format!(
            "SELECT DISTINCT m.member_id AS member_id FROM {members} JOIN memberships m ON m.member_id = b.id \
             WHERE m.group_id IN (SELECT b.id FROM {wanted})"
        ));
        let rows = sqlx::query(sql).bind(json(resources)).bind(json(groups)).fetch_all(self.read()).await?;
        rows.iter().map(|row| word(row, "memberships", "member_id")).collect()
    }

    /// The members of a group in the order of their ids, after `after`: reference and id.
    pub async fn members_after(
        &self,
        group: &ResourceId,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<ResourceId>, StoreError> {
        let sql =
            "SELECT member_id FROM memberships WHERE group_id = $1 AND member_id > $2 ORDER BY member_id LIMIT $3";
        let rows = sqlx::query(sql)
            .bind(group.as_str())
            .bind(after.map_or("", ResourceId::as_str))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|row| word(row, "memberships", "member_id")).collect()
    }

    /// References of group members that nobody in the directory answers to yet.
    pub async fn count_unresolved_members(&self) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM membership_references";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// Some of them, with the group's name, for people.
    pub async fn unresolved_members(&self, limit: i64) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT r.document AS document, m.reference AS reference FROM membership_references m \
             JOIN resources r ON r.id = m.group_id ORDER BY m.group_id, m.reference LIMIT $1";
        let rows = sqlx::query(sql).bind(limit).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                let group: Document = document(row, "resources", "document")?;
                let name = group.get("displayName").and_then(serde_json::Value::as_str).unwrap_or_default();
                Ok((name.to_owned(), row.try_get("reference")?))
            })
            .collect()
    }
}
