//! What the guard withheld, until a person decides (R28, R29). An approval executes exactly what was
//! listed and has not moved since; it never adds anything.

use scimfleet_core::state::HoldState;
use scimfleet_core::{ProviderId, ResourceId, ResourceKind, RunId};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::signal::Signal;
use crate::sql::{Column, document, json, optional_word, statement, word};

/// One object that was withheld.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldItem {
    /// The object.
    pub resource_id: ResourceId,
    /// Its kind.
    pub kind: ResourceKind,
    /// What people call it.
    pub name: String,
    /// What it would lose: `delete`, `deactivate`, or members.
    pub operation: String,
    /// The marks of its link when it was withheld.
    pub marked: i64,
}

/// A hold as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// Its id.
    pub id: String,
    /// The provider.
    pub provider_id: ProviderId,
    /// The run, if one met it.
    pub run_id: Option<RunId>,
    /// `waiting`, `approved`, `rejected` or `expired`.
    pub state: HoldState,
    /// Why it was withheld.
    pub reason: String,
    /// What was withheld.
    pub items: Vec<HoldItem>,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub decided_at_ms: Option<i64>,
    /// Who decided.
    pub decided_by: Option<String>,
}

/// A hold that nobody decided upon expires after this long (R29).
const EXPIRES_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

pub(crate) const COLUMNS: &str = "id, provider_id, run_id, state, reason, items, created_at, decided_at, decided_by";

pub(crate) fn hold_row(row: &AnyRow) -> Result<HoldRow, StoreError> {
    Ok(HoldRow {
        id: row.try_get("id")?,
        provider_id: word(row, "holds", "provider_id")?,
        run_id: optional_word(row, "holds", "run_id")?,
        state: word(row, "holds", "state")?,
        reason: row.try_get("reason")?,
        items: document(row, "holds", "items")?,
        created_at_ms: row.try_get("created_at")?,
        decided_at_ms: row.try_get("decided_at")?,
        decided_by: row.try_get("decided_by")?,
    })
}

impl Store {
    /// Withholds objects: into the provider's waiting hold, if it has one, else into a new one. Their
    /// links rest until a person decides or they change.
    pub async fn withhold(
        &self,
        provider: ProviderId,
        run: Option<RunId>,
        reason: &str,
        items: &[HoldItem],
    ) -> Result<String, StoreError> {
        let now = self.now_ms();
        let mut tx = self.begin().await?;
        let waiting = "UPDATE holds SET state = state WHERE provider_id = $1 AND state = 'waiting' RETURNING id, items";
        let hold = match sqlx::query(waiting).bind(provider.to_string()).fetch_optional(&mut *tx).await? {
            Some(row) => {
                let id: String = row.try_get("id")?;
                let mut all: Vec<HoldItem> = document(&row, "holds", "items")?;
                all.retain(|known| !items.iter().any(|item| item.resource_id == known.resource_id));
                all.extend_from_slice(items);
                let sql = "UPDATE holds SET items = $2, reason = $3 WHERE id = $1";
                let query = sqlx::query(sql).bind(id.as_str()).bind(json(&all)).bind(reason);
                query.execute(&mut *tx).await?;
                id
            }
            None => insert_hold(&mut tx, self.new_key().to_string(), provider, run, reason, items, now).await?,
        };
        let texts = self.dialect().texts(2);
        let sql = statement(format!(
            "UPDATE links SET held_by = $3, dirty = 0, queued_at = NULL WHERE provider_id = $1 \
             AND resource_id IN (SELECT b.id FROM {texts})"
        ));
        let ids: Vec<&ResourceId> = items.iter().map(|item| &item.resource_id).collect();
        sqlx::query(sql).bind(provider.to_string()).bind(json(&ids)).bind(hold.as_str()).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(hold)
    }

    /// The newest holds, of one provider if given.
    pub async fn holds(&self, provider: Option<ProviderId>, limit: i64) -> Result<Vec<HoldRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {COLUMNS} FROM holds WHERE ($1 = '' OR provider_id = $1) ORDER BY created_at DESC LIMIT $2"
        ));
        let provider = provider.map(|id| id.to_string()).unwrap_or_default();
        sqlx::query(sql).bind(provider).bind(limit).fetch_all(self.read()).await?.iter().map(hold_row).collect()
    }

    /// One hold by id.
    pub async fn hold(&self, id: &str) -> Result<Option<HoldRow>, StoreError> {
        let sql = statement(format!("SELECT {COLUMNS} FROM holds WHERE id = $1"));
        sqlx::query(sql).bind(id).fetch_optional(self.read()).await?.as_ref().map(hold_row).transpose()
    }

    /// Objects that wait for a person at a provider.
    pub async fn count_held(&self, provider: ProviderId) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM links WHERE provider_id = $1 AND held_by IS NOT NULL";
        let count: i64 = sqlx::query_scalar(sql).bind(provider.to_string()).fetch_one(self.read()).await?;
        Ok(count.unsigned_abs())
    }

    /// Decides a waiting hold. `None`: it does not wait. Of an approved one the items that moved since are
    /// returned: they are not executed (R29).
    pub async fn decide_hold(
        &self,
        id: &str,
        decision: HoldState,
        by: &str,
    ) -> Result<Option<Vec<HoldItem>>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE holds SET state = $2, decided_at = $3, decided_by = $4 WHERE id = $1 AND state = 'waiting' \
             RETURNING provider_id, items";
        let row = sqlx::query(sql)
            .bind(id)
            .bind(decision.as_str())
            .bind(self.now_ms())
            .bind(by)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let items: Vec<HoldItem> = document(&row, "holds", "items")?;
        let provider: ProviderId = word(&row, "holds", "provider_id")?;
        let dirty = i64::from(decision == HoldState::Approved);
        let batch = self.dialect().batch(2, &[Column::Text("resource_id"), Column::Int("marked")]);
        let sql = statement(format!(
            "UPDATE links SET held_by = NULL, dirty = $3, due_at = 0, \
             approved_mark = CASE WHEN $3 = 1 THEN links.marked ELSE NULL END \
             FROM {batch} WHERE links.provider_id = $1 AND links.resource_id = b.resource_id \
             AND links.marked = b.marked AND links.held_by = $4 RETURNING links.resource_id AS resource_id"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(json(&items))
            .bind(dirty)
            .bind(id)
            .fetch_all(&mut *tx)
            .await?;
        let taken: Vec<ResourceId> =
            rows.iter().map(|row| word(row, "links", "resource_id")).collect::<Result<_, _>>()?;
        tx.commit().await?;
        self.fire(Signal::Outbox).await?;
        Ok(Some(items.into_iter().filter(|item| !taken.contains(&item.resource_id)).collect()))
    }

    /// Ends holds that nobody decided upon in time.
    pub async fn expire_holds(&self) -> Result<u64, StoreError> {
        let sql = "SELECT id FROM holds WHERE state = 'waiting' AND created_at <= $1";
        let rows = sqlx::query(sql).bind(self.now_ms() - EXPIRES_AFTER_MS).fetch_all(self.read()).await?;
        for row in &rows {
            let id: String = row.try_get("id")?;
            self.decide_hold(&id, HoldState::Expired, "time").await?;
        }
        Ok(rows.len() as u64)
    }

    /// Whether a person approved anything that a provider still owes, or owned once.
    pub async fn has_approved(&self, provider: ProviderId) -> Result<bool, StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) FROM links WHERE provider_id = $1 AND approved_mark IS NOT NULL";
        let count: i64 = sqlx::query_scalar(sql).bind(provider.to_string()).fetch_one(self.read()).await?;
        Ok(count > 0)
    }

    /// Of a provider without any account of ours: users in scope, accounts there, and users in scope whom
    /// one of these fits by externalId or name.
    pub async fn first_match(
        &self,
        provider: ProviderId,
        by_external_id: bool,
        by_name: bool,
    ) -> Result<(u64, u64, u64), StoreError> {
        let sql = "SELECT CAST(count(*) AS BIGINT) AS scope, \
             (SELECT CAST(count(*) AS BIGINT) FROM remote_resources WHERE provider_id = $1 AND kind = 'user') AS accounts, \
             CAST(COALESCE(sum(CASE WHEN \
               ($2 = 1 AND EXISTS (SELECT 1 FROM remote_resources c WHERE c.provider_id = $1 AND c.kind = 'user' \
                 AND c.external_id = COALESCE(r.external_id, r.id))) OR \
               ($3 = 1 AND EXISTS (SELECT 1 FROM remote_resources c WHERE c.provider_id = $1 AND c.kind = 'user' \
                 AND c.name_key = r.name_key)) THEN 1 ELSE 0 END), 0) AS BIGINT) AS matched \
             FROM links l JOIN resources r ON r.id = l.resource_id \
             WHERE l.provider_id = $1 AND l.kind = 'user' AND l.wanted = 'yes' AND r.active = 1";
        let row = sqlx::query(sql)
            .bind(provider.to_string())
            .bind(i64::from(by_external_id))
            .bind(i64::from(by_name))
            .fetch_one(self.read())
            .await?;
        let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        Ok((count("scope")?, count("accounts")?, count("matched")?))
    }

    /// Users who are to get an account at a provider.
    pub async fn newcomers(&self, provider: ProviderId, limit: i64) -> Result<Vec<HoldItem>, StoreError> {
        let sql = "SELECT l.resource_id AS resource_id, l.kind AS kind, l.marked AS marked, 'create' AS wanted, \
             r.name_key AS name FROM links l JOIN resources r ON r.id = l.resource_id \
             WHERE l.provider_id = $1 AND l.kind = 'user' AND l.wanted = 'yes' AND l.dirty = 1 \
             AND l.held_by IS NULL AND l.remote_id IS NULL ORDER BY l.resource_id LIMIT $2";
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(limit).fetch_all(self.read()).await?;
        rows.iter().map(item_row).collect()
    }

    /// Objects that are to lose their account at a provider, or the use of it, and nobody approved or withheld,
    /// with their names. Who was turned off there before loses nothing by another change.
    pub async fn leavers_to_judge(&self, provider: ProviderId, limit: i64) -> Result<Vec<HoldItem>, StoreError> {
        let sql = "SELECT l.resource_id AS resource_id, l.kind AS kind, l.marked AS marked, \
             CASE WHEN l.wanted = 'yes' THEN 'disabled' ELSE l.wanted END AS wanted, \
             r.name_key AS name FROM links l JOIN resources r ON r.id = l.resource_id \
             WHERE l.provider_id = $1 AND l.dirty = 1 AND l.leaving = 1 AND l.held_by IS NULL \
             AND l.remote_id IS NOT NULL AND (l.approved_mark IS NULL OR l.approved_mark <> l.marked) \
             AND (l.wanted <> 'yes' OR (r.active = 0 AND l.sent_document NOT LIKE '%\"active\":false%')) \
             ORDER BY l.resource_id LIMIT $2";
        let rows = sqlx::query(sql).bind(provider.to_string()).bind(limit).fetch_all(self.read()).await?;
        rows.iter().map(item_row).collect()
    }
}

fn item_row(row: &AnyRow) -> Result<HoldItem, StoreError> {
    Ok(HoldItem {
        resource_id: word(row, "links", "resource_id")?,
        kind: word(row, "links", "kind")?,
        name: row.try_get("name")?,
        operation: row.try_get("wanted")?,
        marked: row.try_get("marked")?,
    })
}

async fn insert_hold(
    tx: &mut Connection,
    id: String,
    provider: ProviderId,
    run: Option<RunId>,
    reason: &str,
    items: &[HoldItem],
    now: i64,
) -> Result<String, StoreError> {
    let sql = "INSERT INTO holds (id, provider_id, run_id, state, reason, items, created_at) \
         VALUES ($1, $2, $3, 'waiting', $4, $5, $6)";
    sqlx::query(sql)
        .bind(id.as_str())
        .bind(provider.to_string())
        .bind(run.map(|run| run.to_string()))
        .bind(reason)
        .bind(json(items))
        .bind(now)
        .execute(tx)
        .await?;
    Ok(id)
}
