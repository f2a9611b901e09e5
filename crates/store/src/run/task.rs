//! The tasks of a run's phase.

use scimfleet_core::state::RunState;
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{ProviderId, ProviderName, ResourceId, ResourceKind, RunId, TaskId};
use serde::Serialize;
use sqlx::Row;

use super::{Counts, objects_json};
use crate::connect::Store;
use crate::error::StoreError;
use crate::pool::Connection;
use crate::sql::{Column, Dialect, document, json, statement, word};

/// A task before it is inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Its id, also the message's.
    pub id: TaskId,
    /// What kind of objects.
    pub kind: ResourceKind,
    /// The queue.
    pub lane: Lane,
    /// Why.
    pub cause: Cause,
    /// Ids, at most 100.
    pub objects: Vec<ResourceId>,
}

impl NewTask {
    /// The message for it.
    pub fn message(&self, run: RunId, provider: &ProviderName) -> Task {
        Task::new(self.id, Some(run), provider.clone(), self.kind, self.lane, self.cause, self.objects.clone())
    }
}

/// What closing, or not yet closing, a run's task means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskClose {
    /// All its objects settled.
    Done {
        /// The task.
        task: TaskId,
        /// What it did.
        counts: Counts,
        /// Who did it.
        worker: String,
    },
    /// Some of its objects are throttled or held elsewhere: it is published again at `due_at_ms`.
    Later {
        /// The task.
        task: TaskId,
        /// What it did so far.
        counts: Counts,
        /// Who did it.
        worker: String,
        /// Milliseconds since 1970.
        due_at_ms: i64,
        /// Objects that are left: they count as failed when the limit passed.
        left: u64,
    },
}

/// A run waits this long for objects that are throttled or held elsewhere: a night's outage (R14). They stay
/// owed, and come after it.
const TASK_LATER_MAX_MS: i64 = 6 * 3600 * 1000;

/// An open task is published again when nobody closed it for this long: longer than a task may take.
pub(crate) const TASK_FOR_LOST_MS: i64 = 6 * 60 * 1000;

#[derive(Serialize)]
struct TaskRow {
    id: TaskId,
    kind: ResourceKind,
    lane: Lane,
    cause: Cause,
    objects: String,
    objects_n: usize,
}

pub(crate) async fn insert_tasks(
    tx: &mut Connection,
    dialect: Dialect,
    run: RunId,
    provider: ProviderId,
    phase: RunState,
    tasks: &[NewTask],
    now: i64,
) -> Result<(), StoreError> {
    let columns = [
        Column::Text("id"),
        Column::Text("kind"),
        Column::Text("lane"),
        Column::Text("cause"),
        Column::Text("objects"),
        Column::Int("objects_n"),
    ];
    let batch = dialect.batch(4, &columns);
    let sql = statement(format!(
        "INSERT INTO run_tasks (id, run_id, provider_id, phase, kind, lane, cause, objects, objects_n, state, counts, \
         due_at, tries, created_at) SELECT b.id, $1, $2, $3, b.kind, b.lane, b.cause, b.objects, b.objects_n, 'open', \
         '{{}}', $5, 0, $6 FROM {batch}"
    ));
    // A chunk keeps the JSON parameter of a million objects within a few megabytes.
    for chunk in tasks.chunks(500) {
        let rows: Vec<TaskRow> = chunk
            .iter()
            .map(|task| TaskRow {
                id: task.id,
                kind: task.kind,
                lane: task.lane,
                cause: task.cause,
                objects: objects_json(&task.objects),
                objects_n: task.objects.len(),
            })
            .collect();
        sqlx::query(sql.clone())
            .bind(run.to_string())
            .bind(provider.to_string())
            .bind(phase.as_str())
            .bind(json(&rows))
            .bind(now + TASK_FOR_LOST_MS)
            .bind(now)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Closes a task, or notes what it did so far. True when the phase has no open task any more. Closing
/// twice changes nothing, so that a redelivery is harmless.
pub(crate) async fn close_task(tx: &mut Connection, close: &TaskClose, now: i64) -> Result<bool, StoreError> {
    let (task, counts, worker) = match close {
        TaskClose::Done { task, counts, worker } | TaskClose::Later { task, counts, worker, .. } => {
            (task, counts, worker)
        }
    };
    let sql = "SELECT run_id FROM run_tasks WHERE id = $1 AND state = 'open'";
    let Some(run) = sqlx::query_scalar::<_, String>(sql).bind(task.to_string()).fetch_optional(&mut *tx).await? else {
        return Ok(false);
    };
    // The no-op updates lock: the run first, as whoever ends it does, so that the two never wait for each
    // other; then the task, so that two deliveries of one task add up one after the other.
    let sql = "UPDATE runs SET open_tasks = open_tasks WHERE id = $1";
    sqlx::query(sql).bind(run.as_str()).execute(&mut *tx).await?;
    let sql = "UPDATE run_tasks SET state = state WHERE id = $1 AND state = 'open' RETURNING counts, created_at";
    let Some(row) = sqlx::query(sql).bind(task.to_string()).fetch_optional(&mut *tx).await? else {
        return Ok(false);
    };
    let mut sum: Counts = read_counts(&row)?;
    sum.add(counts);
    let created_at: i64 = row.try_get("created_at")?;
    match close {
        TaskClose::Later { due_at_ms, left, .. } if *left == 0 || now - created_at < TASK_LATER_MAX_MS => {
            let sql = "UPDATE run_tasks SET counts = $2, worker = $3, due_at = $4, tries = tries + 1 WHERE id = $1";
            let query = sqlx::query(sql).bind(task.to_string()).bind(json(&sum)).bind(worker.as_str());
            query.bind(*due_at_ms).execute(&mut *tx).await?;
            Ok(false)
        }
        TaskClose::Done { .. } | TaskClose::Later { .. } => {
            if let TaskClose::Later { left, .. } = close {
                *sum.objects.entry("failed".to_owned()).or_default() += left;
            }
            let sql = "UPDATE run_tasks SET state = 'done', counts = $2, worker = $3, finished_at = $4 WHERE id = $1";
            let query = sqlx::query(sql).bind(task.to_string()).bind(json(&sum)).bind(worker.as_str());
            query.bind(now).execute(&mut *tx).await?;
            let sql =
                "UPDATE runs SET open_tasks = open_tasks - 1 WHERE id = $1 AND open_tasks > 0 RETURNING open_tasks";
            let open: Option<i64> = sqlx::query_scalar(sql).bind(run).fetch_optional(tx).await?;
            Ok(open == Some(0))
        }
    }
}

pub(crate) fn read_counts(row: &sqlx::any::AnyRow) -> Result<Counts, StoreError> {
    let text: String = row.try_get("counts")?;
    if text == "{}" {
        return Ok(Counts::default());
    }
    document(row, "run_tasks", "counts")
}

impl Store {
    /// Open tasks that are due again: throttled ones, and those whose message is taken for lost. Their due
    /// time moves on, so that two schedulers do not both publish them for long.
    pub async fn tasks_due(&self, limit: i64) -> Result<Vec<(RunId, ProviderId, NewTask)>, StoreError> {
        let now = self.now_ms();
        let sql = "UPDATE run_tasks SET due_at = $1, worker = NULL WHERE id IN \
             (SELECT id FROM run_tasks WHERE state = 'open' AND due_at <= $2 ORDER BY due_at LIMIT $3) \
             AND state = 'open' AND due_at <= $2 RETURNING id, run_id, provider_id, kind, lane, cause, objects";
        let rows =
            sqlx::query(sql).bind(now + TASK_FOR_LOST_MS).bind(now).bind(limit).fetch_all(&self.inner.write).await?;
        rows.iter()
            .map(|row| {
                let task = NewTask {
                    id: word(row, "run_tasks", "id")?,
                    kind: word(row, "run_tasks", "kind")?,
                    lane: word(row, "run_tasks", "lane")?,
                    cause: word(row, "run_tasks", "cause")?,
                    objects: document(row, "run_tasks", "objects")?,
                };
                Ok((word(row, "run_tasks", "run_id")?, word(row, "run_tasks", "provider_id")?, task))
            })
            .collect()
    }

    /// A worker begins with a task of a run: its message was not lost. Said again by a redelivery.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn begin_run_task(&self, task: TaskId, worker: &str) -> Result<(), StoreError> {
        let sql = "UPDATE run_tasks SET worker = $2, due_at = $3 WHERE id = $1 AND state = 'open'";
        sqlx::query(sql)
            .bind(task.to_string())
            .bind(worker)
            .bind(self.now_ms() + TASK_FOR_LOST_MS)
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }

    /// These tasks could not be published after all: they are due at once.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn tasks_unpublished(&self, tasks: &[NewTask]) -> Result<(), StoreError> {
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
        let texts = self.dialect().texts(1);
        let sql = statement(format!(
            "UPDATE run_tasks SET due_at = 0 WHERE state = 'open' AND worker IS NULL AND id IN (SELECT b.id FROM {texts})"
        ));
        sqlx::query(sql).bind(json(&ids)).execute(&self.inner.write).await?;
        Ok(())
    }

    /// The in-process queue died with its process: every open task is due at once.
    pub async fn requeue_open_tasks(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE run_tasks SET due_at = 0 WHERE state = 'open'").execute(&self.inner.write).await?;
        Ok(())
    }

    /// The position that an observing task saved, as JSON text; and whether the task is still open.
    pub async fn task_position(&self, task: TaskId) -> Result<Option<Option<String>>, StoreError> {
        let sql = "SELECT position FROM run_tasks WHERE id = $1 AND state = 'open'";
        let row = sqlx::query(sql).bind(task.to_string()).fetch_optional(self.read()).await?;
        Ok(row.map(|row| row.try_get("position")).transpose()?)
    }

    /// Saves an observing task's position and puts off its being taken for lost.
    pub async fn save_position(&self, task: TaskId, position: &str) -> Result<(), StoreError> {
        let sql = "UPDATE run_tasks SET position = $2, due_at = $3 WHERE id = $1 AND state = 'open'";
        sqlx::query(sql)
            .bind(task.to_string())
            .bind(position)
            .bind(self.now_ms() + TASK_FOR_LOST_MS)
            .execute(&self.inner.write)
            .await?;
        Ok(())
    }

    /// Closes a task that left nothing else to record.
    pub async fn close_run_task(&self, close: &TaskClose) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let ended = close_task(&mut tx, close, self.now_ms()).await?;
        tx.commit().await?;
        if ended {
            self.fire(crate::signal::Signal::Runs).await?;
        }
        Ok(())
    }
}
