//! Searching the directory by what an index or the database itself can answer: conditions, order and pages.
//! Conditions on other attributes are evaluated by the caller, over pages.

use std::collections::HashMap;

use scimfleet_core::scim::resource::{Document, fold};
use scimfleet_core::{ResourceId, ResourceKind};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};

use super::read::{COLUMNS, ResourceRow, resource_row};
use crate::connect::Store;
use crate::error::StoreError;
use crate::sql::{document, json, statement, word};

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Equal.
    Equal,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

impl Compare {
    const fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// What the database is asked about a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Its id.
    Id(String),
    /// Its externalId, with regard to case.
    ExternalId(String),
    /// It has one.
    HasExternalId,
    /// userName or displayName, without regard to case.
    Name(Compare, String),
    /// userName or displayName begins so, without regard to case.
    NameBegins(String),
    /// A user's displayName, without regard to case.
    Display(Compare, String),
    /// A user's displayName begins so, without regard to case.
    DisplayBegins(String),
    /// Whether it is active.
    Active(bool),
    /// When it was created, in milliseconds since 1970.
    Created(Compare, i64),
    /// When it was last changed, in milliseconds since 1970.
    Updated(Compare, i64),
    /// A group with this direct member, by id.
    HasMember(String),
    /// A group with any member.
    HasMembers,
    /// A direct member of this group, by id.
    MemberOf(String),
    /// Always or never.
    Constant(bool),
    /// Not so.
    Not(Box<Condition>),
    /// All of these.
    All(Vec<Condition>),
    /// Any of these.
    Any(Vec<Condition>),
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// By id: the order in which pages cost the same wherever they begin.
    Id,
    /// By userName or displayName, without regard to case.
    Name,
    /// By externalId; those without one come last.
    ExternalId,
    /// By the time of creation.
    Created,
    /// By the time of the last change.
    Updated,
}

/// Which resources, in which order. Equal ones stand in the order of their ids.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Users or groups; tombstones never.
    pub kind: ResourceKind,
    /// What holds for them.
    pub condition: Condition,
    /// The order.
    pub sort: SortKey,
    /// The other way round.
    pub descending: bool,
}

/// A member of a group as a directory shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub id: ResourceId,
    /// User or group.
    pub kind: ResourceKind,
    /// displayName, else userName.
    pub display: String,
}

pub(crate) fn group_member(row: &AnyRow) -> Result<GroupMember, StoreError> {
    let document: Document = document(row, "resources", "document")?;
    let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
    Ok(GroupMember {
        id: word(row, "resources", "id")?,
        kind: word(row, "resources", "kind")?,
        display: text("displayName").or_else(|| text("userName")).unwrap_or_default().to_owned(),
    })
}

/// A value that travels as a parameter.
enum Bind {
    Text(String),
    Int(i64),
}

/// The text of a condition, with its parameters.
#[derive(Default)]
struct Where {
    sql: String,
    binds: Vec<Bind>,
}

impl Where {
    /// The condition over live resources of a kind. The kind stands in the text: partial indices need to
    /// see it there.
    fn of(selection: &Selection) -> Self {
        let mut this =
            Self { sql: format!("r.kind = '{}' AND r.deleted_at IS NULL", selection.kind), binds: Vec::new() };
        if selection.condition != Condition::Constant(true) {
            this.sql.push_str(" AND ");
            this.push(&selection.condition);
        }
        this
    }

    fn bind(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    fn compare(&mut self, column: &str, compare: Compare, value: Bind) {
        let place = self.bind(value);
        self.sql += &format!("{column} {} {place}", compare.sql());
    }

    fn text(&mut self, column: &str, compare: Compare, text: &str) {
        // No text with U+0000 was ever let in (R5), and PostgreSQL refuses to be asked.
        if text.contains('\0') {
            return self.sql.push_str("1 = 0");
        }
        self.compare(column, compare, Bind::Text(text.to_owned()));
    }

    fn members(&mut self, select: &str, id: &str) {
        self.sql += &format!("r.id IN (SELECT {select} ");
        self.text("", Compare::Equal, id);
        self.sql.push(')');
    }

    fn push(&mut self, condition: &Condition) {
        match condition {
            Condition::Id(id) => self.text("r.id", Compare::Equal, id),
            Condition::ExternalId(id) => self.text("r.external_id", Compare::Equal, id),
            Condition::HasExternalId => self.sql.push_str("r.external_id IS NOT NULL"),
            Condition::Name(compare, name) => self.text("r.name_key", *compare, &fold(name)),
            Condition::NameBegins(name) => self.begins("r.name_key", &fold(name)),
            Condition::Display(compare, name) => self.text("r.display_key", *compare, &fold(name)),
            Condition::DisplayBegins(name) => self.begins("r.display_key", &fold(name)),
            Condition::Active(active) => self.compare("r.active", Compare::Equal, Bind::Int(i64::from(*active))),
            Condition::Created(compare, at) => self.compare("r.created_at", *compare, Bind::Int(*at)),
            Condition::Updated(compare, at) => self.compare("r.updated_at", *compare, Bind::Int(*at)),
            Condition::HasMember(id) => self.members("m.group_id FROM memberships m WHERE m.member_id", id),
            Condition::MemberOf(id) => self.members("m.member_id FROM memberships m WHERE m.group_id", id),
            Condition::HasMembers => {
                self.sql.push_str("EXISTS (SELECT 1 FROM memberships m WHERE m.group_id = r.id)");
            }
            Condition::Constant(holds) => self.sql.push_str(if *holds { "1 = 1" } else { "1 = 0" }),
            Condition::Not(inner) => {
                // What is unknown (a missing externalId) does not hold, so that its opposite does.
                self.sql.push_str("NOT COALESCE((");
                self.push(inner);
                self.sql.push_str("), FALSE)");
            }
            Condition::All(list) => self.join(list, " AND ", "1 = 1"),
            Condition::Any(list) => self.join(list, " OR ", "1 = 0"),
        }
    }

    /// A range, since an index by bytes knows no prefixes.
    fn begins(&mut self, column: &str, prefix: &str) {
        if prefix.contains('\0') {
            return self.sql.push_str("1 = 0");
        }
        self.compare(&format!("({column}"), Compare::AtLeast, Bind::Text(prefix.to_owned()));
        self.compare(&format!(" AND {column}"), Compare::Less, Bind::Text(format!("{prefix}\u{10ffff}")));
        self.sql.push(')');
    }

    fn join(&mut self, list: &[Condition], word: &str, empty: &str) {
        if list.is_empty() {
            return self.sql.push_str(empty);
        }
        self.sql.push('(');
        for (index, condition) in list.iter().enumerate() {
            if index > 0 {
                self.sql.push_str(word);
            }
            self.push(condition);
        }
        self.sql.push(')');
    }
}

fn bind_all(mut query: Query<'_, Any, AnyArguments>, binds: Vec<Bind>) -> Query<'_, Any, AnyArguments> {
    for bind in binds {
        query = match bind {
            Bind::Text(text) => query.bind(text),
            Bind::Int(number) => query.bind(number),
        };
    }
    query
}

impl Selection {
    fn order(&self) -> String {
        let word = if self.descending { "DESC" } else { "ASC" };
        let column = match self.sort {
            SortKey::Id => return format!("r.id {word}"),
            SortKey::Name => "r.name_key",
            SortKey::ExternalId => {
                let nulls = if self.descending { "FIRST" } else { "LAST" };
                return format!("r.external_id {word} NULLS {nulls}, r.id {word}");
            }
            SortKey::Created => "r.created_at",
            SortKey::Updated => "r.updated_at",
        };
        format!("{column} {word}, r.id {word}")
    }
}

impl Store {
    /// How many there are.
    pub async fn count_selected(&self, selection: &Selection) -> Result<u64, StoreError> {
        let condition = Where::of(selection);
        let sql = statement(format!("SELECT CAST(count(*) AS BIGINT) AS n FROM resources r WHERE {}", condition.sql));
        let row = bind_all(sqlx::query(sql), condition.binds).fetch_one(self.read()).await?;
        Ok(row.try_get::<i64, _>("n")?.unsigned_abs())
    }

    /// A page by position. Positions are counted in the index, documents are read for the page only.
    pub async fn select_page(
        &self,
        selection: &Selection,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let mut condition = Where::of(selection);
        let (limit, offset) = (condition.bind(Bind::Int(limit)), condition.bind(Bind::Int(offset)));
        let order = selection.order();
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM (SELECT r.id AS id FROM resources r WHERE {} ORDER BY {order} \
             LIMIT {limit} OFFSET {offset}) p JOIN resources r ON r.id = p.id ORDER BY {order}",
            condition.sql
        ));
        let rows = bind_all(sqlx::query(sql), condition.binds).fetch_all(self.read()).await?;
        rows.iter().map(resource_row).collect()
    }

    /// A page in the order of the ids, after `after`; the selection's own order is not looked at.
    pub async fn select_after(
        &self,
        selection: &Selection,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        let mut condition = Where::of(selection);
        let after = condition.bind(Bind::Text(after.map_or("", ResourceId::as_str).to_owned()));
        let limit = condition.bind(Bind::Int(limit));
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM resources r WHERE {} AND r.id > {after} ORDER BY r.id LIMIT {limit}",
            condition.sql
        ));
        let rows = bind_all(sqlx::query(sql), condition.binds).fetch_all(self.read()).await?;
        rows.iter().map(resource_row).collect()
    }

    /// The live resource of a kind with this id.
    pub async fn live_resource(&self, kind: ResourceKind, id: &ResourceId) -> Result<Option<ResourceRow>, StoreError> {
        let rows = self.resources(std::slice::from_ref(id)).await?;
        Ok(rows.into_iter().find(|row| row.kind == kind && !row.deleted))
    }

    /// The groups that these resources are directly in: member and group.
    pub async fn direct_groups(
        &self,
        members: &[ResourceId],
    ) -> Result<HashMap<ResourceId, Vec<GroupMember>>, StoreError> {
        let texts = self.dialect().texts(1);
        let sql = statement(format!(
            "SELECT m.member_id AS member_id, m.group_id AS group_id FROM {texts} \
             JOIN memberships m ON m.member_id = b.id ORDER BY m.member_id, m.group_id"
        ));
        let mut pairs = Vec::<(ResourceId, ResourceId)>::new();
        for row in &sqlx::query(sql).bind(json(members)).fetch_all(self.read()).await? {
            pairs.push((word(row, "memberships", "member_id")?, word(row, "memberships", "group_id")?));
        }
        // Each group is read once, however many of these are in it.
        let ids: std::collections::BTreeSet<&ResourceId> = pairs.iter().map(|(_, group)| group).collect();
        let sql = statement(format!(
            "SELECT r.id AS id, r.kind AS kind, r.document AS document FROM {texts} JOIN resources r ON r.id = b.id \
             WHERE r.deleted_at IS NULL"
        ));
        let mut groups = HashMap::new();
        for row in &sqlx::query(sql).bind(json(&ids)).fetch_all(self.read()).await? {
            let group = group_member(row)?;
            groups.insert(group.id.clone(), group);
        }
        let mut found = HashMap::<ResourceId, Vec<GroupMember>>::new();
        for (member, group) in &pairs {
            found.entry(member.clone()).or_default().extend(groups.get(group).cloned());
        }
        Ok(found)
    }

    /// The direct members of a group in the order of their ids, after `after`.
    pub async fn group_members_after(
        &self,
        group: &ResourceId,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<GroupMember>, StoreError> {
        let sql = "SELECT r.id AS id, r.kind AS kind, r.document AS document FROM memberships m \
             JOIN resources r ON r.id = m.member_id \
             WHERE m.group_id = $1 AND m.member_id > $2 ORDER BY m.member_id LIMIT $3";
        let query = sqlx::query(sql).bind(group.as_str()).bind(after.map_or("", ResourceId::as_str)).bind(limit);
        query.fetch_all(self.read()).await?.iter().map(group_member).collect()
    }

    /// How many direct members each of these groups has, counted up to `limit`.
    pub async fn count_members(
        &self,
        groups: &[ResourceId],
        limit: i64,
    ) -> Result<HashMap<ResourceId, i64>, StoreError> {
        let mut counts = HashMap::with_capacity(groups.len());
        for group in groups {
            let sql = "SELECT CAST(count(*) AS BIGINT) FROM \
                 (SELECT 1 AS one FROM memberships WHERE group_id = $1 LIMIT $2) m";
            let count: i64 = sqlx::query_scalar(sql).bind(group.as_str()).bind(limit).fetch_one(self.read()).await?;
            counts.insert(group.clone(), count);
        }
        Ok(counts)
    }
}
