//! Whoever is to lose access and still has it.

use std::fmt;
use std::str::FromStr;

use scimfleet_core::state::LinkState;
use scimfleet_core::{ProviderId, ResourceId, ResourceKind};
use sqlx::Row;

use crate::connect::Store;
use crate::directory::change::{Change, write_outbox};
use crate::directory::read::{ResourceRow, resource_row};
use crate::error::StoreError;
use crate::signal::Signal;
use crate::sql::word;

/// Somebody whose access is not taken away yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    /// Where.
    pub provider_id: ProviderId,
    /// Who.
    pub resource_id: ResourceId,
    /// User or group.
    pub kind: ResourceKind,
    /// What people call them, folded.
    pub name: String,
    /// The state of the link.
    pub state: LinkState,
    /// Since when it is owed, milliseconds since 1970.
    pub since_ms: i64,
    /// Not before this time, milliseconds since 1970.
    pub due_at_ms: i64,
    /// Withheld by the guard.
    pub held: bool,
    /// What the provider said last.
    pub last_error: Option<String>,
}

/// Where a leaver stands in the list of all: the next page begins after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaverPlace {
    /// Since when it is owed, milliseconds since 1970.
    pub since_ms: i64,
    /// Where.
    pub provider_id: ProviderId,
    /// Who.
    pub resource_id: ResourceId,
}

impl Leaver {
    /// Its place in the list of all.
    pub fn place(&self) -> LeaverPlace {
        let Self { since_ms, provider_id, .. } = *self;
        LeaverPlace { since_ms, provider_id, resource_id: self.resource_id.clone() }
    }
}

impl fmt::Display for LeaverPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.since_ms, self.provider_id, self.resource_id)
    }
}

impl FromStr for LeaverPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "this is not the `next` of a page";
        let mut parts = text.splitn(3, '.');
        let (since, provider, resource) = (parts.next(), parts.next(), parts.next());
        Ok(Self {
            since_ms: since.and_then(|text| text.parse().ok()).ok_or(WRONG)?,
            provider_id: provider.and_then(|text| text.parse().ok()).ok_or(WRONG)?,
            resource_id: resource.and_then(|text| ResourceId::parse(text).ok()).ok_or(WRONG)?,
        })
    }
}

/// Leavers of one provider that are owed and not withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaverFigure {
    /// Where.
    pub provider_id: ProviderId,
    /// How many.
    pub waiting: u64,
    /// Since when the oldest waits, milliseconds since 1970.
    pub since_ms: i64,
}

impl Store {
    /// How many leavers each provider owes an answer for, and since when; providers without any are left out.
    pub async fn leaver_figures(&self) -> Result<Vec<LeaverFigure>, StoreError> {
        let sql = "SELECT l.provider_id AS provider_id, CAST(count(*) AS BIGINT) AS waiting, \
             min(l.marked_at) AS since FROM links l JOIN resources r ON r.id = l.resource_id \
             WHERE l.dirty = 1 AND l.held_by IS NULL AND l.remote_id IS NOT NULL \
             AND (l.wanted <> 'yes' OR r.active = 0) GROUP BY l.provider_id";
        let rows = sqlx::query(sql).fetch_all(self.read()).await?;
        rows.iter()
            .map(|row| {
                Ok(LeaverFigure {
                    provider_id: word(row, "links", "provider_id")?,
                    waiting: row.try_get::<i64, _>("waiting")?.unsigned_abs(),
                    since_ms: row.try_get("since")?,
                })
            })
            .collect()
    }

    /// Leavers that are owed, the oldest first: those of at least this age, at one provider if given, after
    /// the one at `after` if given.
    pub async fn leavers(
        &self,
        older_than_ms: i64,
        provider: Option<ProviderId>,
        after: Option<&LeaverPlace>,
        limit: i64,
    ) -> Result<Vec<Leaver>, StoreError> {
        let sql = "SELECT l.provider_id AS provider_id, l.resource_id AS resource_id, l.kind AS kind, \
             r.name_key AS name, l.state AS state, l.marked_at AS marked_at, l.due_at AS due_at, \
             l.held_by AS held_by, l.last_error AS last_error FROM links l JOIN resources r ON r.id = l.resource_id \
             WHERE (l.dirty = 1 OR l.held_by IS NOT NULL) AND l.remote_id IS NOT NULL AND l.marked_at <= $1 \
             AND (l.wanted <> 'yes' OR r.active = 0) AND ($2 = '' OR l.provider_id = $2) \
             AND (l.marked_at, l.provider_id, l.resource_id) > ($3, $4, $5) \
             ORDER BY l.marked_at, l.provider_id, l.resource_id LIMIT $6";
        let rows = sqlx::query(sql)
            .bind(self.now_ms() - older_than_ms)
            .bind(provider.map(|id| id.to_string()).unwrap_or_default())
            .bind(after.map_or(-1, |place| place.since_ms))
            .bind(after.map(|place| place.provider_id.to_string()).unwrap_or_default())
            .bind(after.map_or("", |place| place.resource_id.as_str()))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Leaver {
                    provider_id: word(row, "links", "provider_id")?,
                    resource_id: word(row, "links", "resource_id")?,
                    kind: word(row, "links", "kind")?,
                    name: row.try_get("name")?,
                    state: word(row, "links", "state")?,
                    since_ms: row.try_get("marked_at")?,
                    due_at_ms: row.try_get("due_at")?,
                    held: row.try_get::<Option<String>, _>("held_by")?.is_some(),
                    last_error: row.try_get("last_error")?,
                })
            })
            .collect()
    }

    /// Deactivates a user in the directory, whoever brought them: the emergency of `offboard` (R31). What
    /// their source says next time counts again.
    pub async fn deactivate_user(&self, user: &ResourceId) -> Result<Option<ResourceRow>, StoreError> {
        let mut tx = self.begin().await?;
        let select = "SELECT id, kind, external_id, active, service_account, document, source, generation, created_at, \
             updated_at, deleted_at FROM resources WHERE id = $1 AND kind = 'user' AND deleted_at IS NULL";
        let Some(row) = sqlx::query(select).bind(user.as_str()).fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        let mut resource = resource_row(&row)?;
        if resource.active {
            resource.document.insert("active".to_owned(), serde_json::Value::Bool(false));
            resource.active = false;
            resource.generation += 1;
            let now = self.now_ms();
            let sql = "UPDATE resources SET active = 0, document = $2, generation = generation + 1, updated_at = $3 \
                 WHERE id = $1";
            sqlx::query(sql)
                .bind(user.as_str())
                .bind(crate::sql::json(&resource.document))
                .bind(now)
                .execute(&mut *tx)
                .await?;
            let change = Change::new(user.clone(), ResourceKind::User, "deactivated");
            write_outbox(&mut tx, self.dialect(), &[change], now).await?;
        }
        tx.commit().await?;
        self.fire(Signal::Outbox).await?;
        Ok(Some(resource))
    }
}
