//! What operators look at: figures of one provider in one pass over its links, and lists by keyset, so that
//! a page costs the same wherever it begins.

use std::collections::BTreeMap;

use scimfleet_core::scim::resource::fold;
use scimfleet_core::state::{HoldState, LinkState, RunState};
use scimfleet_core::{ProviderId, ResourceId, ResourceKind, RunId, TaskId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::connect::Store;
use crate::directory::read::{ResourceRow, resource_row};
use crate::error::StoreError;
use crate::hold::{COLUMNS as HOLD_COLUMNS, HoldRow, hold_row};
use crate::run::Counts;
use crate::run::read::{COLUMNS as RUN_COLUMNS, RunRow, run_row};
use crate::run::task::read_counts;
use crate::sql::{document, optional_word, statement, word};

/// A provider's links at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// Links by state.
    pub by_state: BTreeMap<LinkState, u64>,
    /// Links that are owed something.
    pub owed: u64,
    /// Since when the oldest of them is owed, milliseconds since 1970.
    pub owed_since_ms: Option<i64>,
    /// Links that the guard withholds.
    pub held: u64,
}

/// Writes of one kind within one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinuteCount {
    /// Minutes since 1970.
    pub minute: i64,
    /// `create`, `replace`, `patch`, `delete`, `deactivate`.
    pub operation: String,
    /// Whether they were done; false: refused or failed.
    pub done: bool,
    /// How many.
    pub count: u64,
}

const RESOURCE_COLUMNS: &str = "r.id, r.kind, r.external_id, r.active, r.service_account, r.document, r.source, \
     r.generation, r.created_at, r.updated_at, r.deleted_at";

/// A task of a run, as a cell of its grid.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCell {
    /// Its id.
    pub id: TaskId,
    /// Its phase.
    pub phase: RunState,
    /// What kind of objects.
    pub kind: ResourceKind,
    /// `open`, `done` or `dropped`.
    pub state: String,
    /// Objects in it.
    pub objects: i64,
    /// What it did.
    pub counts: Counts,
    /// Who did it.
    pub worker: Option<String>,
    /// How often it was handed on.
    pub tries: i64,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// Milliseconds since 1970.
    pub finished_at_ms: Option<i64>,
}

impl Store {
    /// A provider's links at a glance, in one pass over them.
    pub async fn glance(&self, provider: ProviderId) -> Result<Glance, StoreError> {
        let sql = "SELECT state, CAST(count(*) AS BIGINT) AS links, CAST(sum(dirty) AS BIGINT) AS owed, \
             CAST(count(held_by) AS BIGINT) AS held, min(CASE WHEN dirty = 1 THEN marked_at END) AS since \
             FROM links WHERE provider_id = $1 GROUP BY state";
        let mut glance = Glance::default();
        for row in &sqlx::query(sql).bind(provider.to_string()).fetch_all(self.read()).await? {
            let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
            glance.by_state.insert(word(row, "links", "state")?, count("links")?);
            glance.owed += count("owed")?;
            glance.held += count("held")?;
            let since: Option<i64> = row.try_get("since")?;
            glance.owed_since_ms = [glance.owed_since_ms, since].into_iter().flatten().min();
        }
        Ok(glance)
    }

    /// Runs, newest first, older than `before` if given; of one provider if given.
    pub async fn runs_before(
        &self,
        provider: Option<ProviderId>,
        before: Option<RunId>,
        limit: i64,
    ) -> Result<Vec<RunRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {RUN_COLUMNS} FROM runs WHERE ($1 = '' OR provider_id = $1) AND ($2 = '' OR \
             (created_at, id) < (SELECT b.created_at, b.id FROM runs b WHERE b.id = $2)) \
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ));
        let rows = sqlx::query(sql)
            .bind(provider.map(|id| id.to_string()).unwrap_or_default())
            .bind(before.map(|id| id.to_string()).unwrap_or_default())
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(run_row).collect()
    }

    /// A run's tasks in the order of their making.
    pub async fn run_cells(&self, run: RunId) -> Result<Vec<RunCell>, StoreError> {
        let sql = "SELECT id, phase, kind, state, objects_n, counts, worker, tries, created_at, finished_at \
             FROM run_tasks WHERE run_id = $1 ORDER BY created_at, id";
        sqlx::query(sql).bind(run.to_string()).fetch_all(self.read()).await?.iter().map(run_cell).collect()
    }

    /// The objects of one task of a run.
    pub async fn task_objects(&self, run: RunId, task: TaskId) -> Result<Option<Vec<ResourceId>>, StoreError> {
        let sql = "SELECT objects FROM run_tasks WHERE id = $1 AND run_id = $2";
        let row = sqlx::query(sql).bind(task.to_string()).bind(run.to_string()).fetch_optional(self.read()).await?;
        row.map(|row| document(&row, "run_tasks", "objects")).transpose()
    }

    /// Holds, newest first, older than `before` if given; of one state if given.
    pub async fn holds_before(
        &self,
        state: Option<HoldState>,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<HoldRow>, StoreError> {
        let sql = statement(format!(
            "SELECT {HOLD_COLUMNS} FROM holds WHERE ($1 = '' OR state = $1) AND ($2 = '' OR \
             (created_at, id) < (SELECT b.created_at, b.id FROM holds b WHERE b.id = $2)) \
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ));
        let rows = sqlx::query(sql)
            .bind(state.map_or("", HoldState::as_str))
            .bind(before.unwrap_or_default())
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(hold_row).collect()
    }

    /// Writes sent to a provider, by minute and operation, from a time on (milliseconds since 1970) until
    /// before another.
    pub async fn writes_by_minute(
        &self,
        provider: ProviderId,
        from_ms: i64,
        until_ms: i64,
    ) -> Result<Vec<MinuteCount>, StoreError> {
        let sql = "SELECT at / 60000 AS minute, operation, \
             CAST(CASE WHEN outcome = 'done' THEN 1 ELSE 0 END AS BIGINT) AS done, CAST(count(*) AS BIGINT) AS writes FROM provisioning_log \
             WHERE provider_id = $1 AND at >= $2 AND at < $3 \
             GROUP BY at / 60000, operation, CASE WHEN outcome = 'done' THEN 1 ELSE 0 END";
        let query = sqlx::query(sql).bind(provider.to_string()).bind(from_ms).bind(until_ms);
        query.fetch_all(self.read()).await?.iter().map(minute_count).collect()
    }

    /// Live resources whose userName or displayName begins with `prefix`, without regard to case, in the
    /// order of names; after the one with this id, if given.
    pub async fn resources_named(
        &self,
        kind: ResourceKind,
        prefix: &str,
        after: Option<&ResourceId>,
        limit: i64,
    ) -> Result<Vec<ResourceRow>, StoreError> {
        // No text with U+0000 was ever let in (R5), and PostgreSQL refuses to be asked.
        if prefix.contains('\0') {
            return Ok(Vec::new());
        }
        let prefix = fold(prefix);
        let sql = statement(format!(
            "SELECT {RESOURCE_COLUMNS} FROM resources r WHERE r.kind = $1 AND r.name_key >= $2 AND r.name_key < $3 \
             AND r.deleted_at IS NULL AND ($4 = '' OR (r.name_key, r.id) > \
             (SELECT b.name_key, b.id FROM resources b WHERE b.id = $4)) ORDER BY r.name_key, r.id LIMIT $5"
        ));
        let rows = sqlx::query(sql)
            .bind(kind.as_str())
            .bind(prefix.as_str())
            .bind(format!("{prefix}\u{10ffff}"))
            .bind(after.map_or("", ResourceId::as_str))
            .bind(limit)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(resource_row).collect()
    }

    /// Whether a token is known and not revoked.
    pub async fn token_is_valid(&self, id: &str) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM api_tokens WHERE id = $1 AND revoked_at IS NULL";
        Ok(sqlx::query(sql).bind(id).fetch_optional(self.read()).await?.is_some())
    }

    /// The hold that an object is in at a provider, if any.
    pub async fn held_by(&self, provider: ProviderId, resource: &ResourceId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT held_by FROM links WHERE provider_id = $1 AND resource_id = $2";
        let query = sqlx::query(sql).bind(provider.to_string()).bind(resource.as_str());
        let row = query.fetch_optional(self.read()).await?;
        Ok(row.map(|row| optional_word(&row, "links", "held_by")).transpose()?.flatten())
    }
}

fn run_cell(row: &AnyRow) -> Result<RunCell, StoreError> {
    Ok(RunCell {
        id: word(row, "run_tasks", "id")?,
        phase: word(row, "run_tasks", "phase")?,
        kind: word(row, "run_tasks", "kind")?,
        state: row.try_get("state")?,
        objects: row.try_get("objects_n")?,
        counts: read_counts(row)?,
        worker: row.try_get("worker")?,
        tries: row.try_get("tries")?,
        created_at_ms: row.try_get("created_at")?,
        finished_at_ms: row.try_get("finished_at")?,
    })
}

fn minute_count(row: &AnyRow) -> Result<MinuteCount, StoreError> {
    Ok(MinuteCount {
        minute: row.try_get("minute")?,
        operation: row.try_get("operation")?,
        done: row.try_get::<i64, _>("done")? != 0,
        count: row.try_get::<i64, _>("writes")?.unsigned_abs(),
    })
}
