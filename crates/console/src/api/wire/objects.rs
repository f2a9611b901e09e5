//! Objects of the directory, and what became of them.

use scimfleet_store::{Leaver, LinkRow, ResourceRow, TrailRow};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::settings::cover;

/// One object at one provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Link {
    pub(crate) provider: String,
    pub(crate) object: String,
    /// `user` or `group`.
    pub(crate) kind: String,
    /// `userName` or `displayName`; null when not asked for.
    pub(crate) name: Option<String>,
    /// `yes`, `out_of_scope` or `deleted`.
    pub(crate) wanted: &'static str,
    /// `pending`, `in_sync`, `retrying`, `waiting`, `parked`, `leaving`, `kept` or `gone`.
    pub(crate) state: String,
    /// Why it is parked.
    pub(crate) reason: Option<String>,
    /// The account's id there.
    pub(crate) remote_id: Option<String>,
    /// `created` or `adopted`.
    pub(crate) ownership: Option<String>,
    /// Something is owed.
    pub(crate) owed: bool,
    pub(crate) attempts: i64,
    pub(crate) due_at_ms: i64,
    /// The words of mapping or provider.
    pub(crate) error: Option<String>,
    pub(crate) updated_at_ms: i64,
}

impl Link {
    pub(crate) fn of(row: LinkRow, provider: String, name: Option<String>) -> Self {
        Self {
            provider,
            object: row.resource_id.to_string(),
            kind: row.kind.to_string(),
            name,
            wanted: row.wanted.as_str(),
            state: row.state.to_string(),
            reason: row.park_reason.map(|reason| reason.to_string()),
            remote_id: row.remote_id.map(|id| id.to_string()),
            ownership: row.ownership.map(|ownership| ownership.to_string()),
            owed: row.dirty,
            attempts: row.attempts,
            due_at_ms: row.due_at_ms,
            error: row.last_error,
            updated_at_ms: row.updated_at_ms,
        }
    }
}

/// One write that was sent to a provider: attributes by name, never values.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    pub(crate) id: String,
    pub(crate) at_ms: i64,
    pub(crate) provider: String,
    pub(crate) object: String,
    /// `user` or `group`.
    pub(crate) kind: String,
    /// `create`, `replace`, `patch`, `delete` or `deactivate`.
    pub(crate) operation: String,
    /// `done`, or what became of it instead.
    pub(crate) outcome: String,
    pub(crate) remote_id: Option<String>,
    /// Names of the attributes sent.
    pub(crate) attributes: Vec<String>,
    /// The HTTP status; null when no answer came.
    pub(crate) status: Option<i64>,
    /// The provider's words.
    pub(crate) detail: Option<String>,
    /// `full`, `change`, `retry` or `job`.
    pub(crate) cause: String,
    /// The run, if it was sent in one.
    pub(crate) run: Option<String>,
    pub(crate) task: Option<String>,
    pub(crate) duration_ms: i64,
}

impl LogLine {
    pub(crate) fn of(line: TrailRow, provider: String) -> Self {
        let TrailRow { key, row, kind, run_id, task_id, .. } = line;
        Self {
            id: key,
            kind: kind.to_string(),
            run: run_id,
            task: task_id,
            at_ms: row.at_ms,
            provider,
            object: row.resource_id.to_string(),
            operation: row.operation,
            outcome: row.outcome,
            remote_id: row.remote_id.map(|id| id.to_string()),
            attributes: serde_json::from_str(&row.attributes).unwrap_or_default(),
            status: row.status,
            detail: row.detail,
            cause: row.cause,
            duration_ms: row.duration_ms,
        }
    }
}

/// A user or group of the directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryObject {
    pub(crate) id: String,
    /// `user` or `group`.
    pub(crate) kind: String,
    /// `userName` or `displayName`.
    pub(crate) name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) active: bool,
    pub(crate) deleted: bool,
    /// Who brought it.
    pub(crate) source: String,
    pub(crate) updated_at_ms: i64,
    /// All attributes; what may be a secret is covered. Null in lists.
    #[schema(value_type = Option<Object>)]
    pub(crate) attributes: Option<Value>,
}

impl DirectoryObject {
    pub(crate) fn of(row: ResourceRow, whole: bool) -> Self {
        Self {
            name: row.name().to_owned(),
            id: row.id.to_string(),
            kind: row.kind.to_string(),
            external_id: row.external_id,
            active: row.active,
            deleted: row.deleted,
            source: row.source,
            updated_at_ms: row.updated_at_ms,
            attributes: whole.then(|| cover(&Value::Object(row.document))),
        }
    }
}

/// Somebody who is to lose access and still has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeaverLine {
    pub(crate) provider: String,
    pub(crate) object: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) state: String,
    /// Since when it is owed.
    pub(crate) since_ms: i64,
    pub(crate) due_at_ms: i64,
    /// Withheld by the guard.
    pub(crate) held: bool,
    pub(crate) error: Option<String>,
}

impl LeaverLine {
    pub(crate) fn of(leaver: Leaver, provider: String) -> Self {
        Self {
            provider,
            object: leaver.resource_id.to_string(),
            kind: leaver.kind.to_string(),
            name: leaver.name,
            state: leaver.state.to_string(),
            since_ms: leaver.since_ms,
            due_at_ms: leaver.due_at_ms,
            held: leaver.held,
            error: leaver.last_error,
        }
    }
}
