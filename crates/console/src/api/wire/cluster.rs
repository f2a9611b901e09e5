//! Who works, what nobody could work on, and our own tokens.

use scimfleet_core::ports::{DeadLetter, Heartbeat};
use scimfleet_store::TokenRow;
use serde::Serialize;
use utoipa::ToSchema;

/// A worker that lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Worker {
    pub(crate) worker: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) started_at_ms: i64,
    pub(crate) tasks_in_flight: u32,
    pub(crate) tasks_done: u64,
    /// It takes no more tasks.
    pub(crate) draining: bool,
}

impl From<Heartbeat> for Worker {
    fn from(beat: Heartbeat) -> Self {
        let Heartbeat { worker, host, pid, version, started_at_ms, tasks_in_flight, tasks_done, draining } = beat;
        Self { worker, host, pid, version, started_at_ms, tasks_in_flight, tasks_done, draining }
    }
}

/// A message that nobody could work on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Dead {
    pub(crate) id: String,
    pub(crate) reason: String,
    pub(crate) routing_key: String,
    /// It carries ids only.
    pub(crate) body: String,
}

impl From<DeadLetter> for Dead {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { id, reason, routing_key, body } = letter;
        Self { id, reason, routing_key, body }
    }
}

/// A token as it is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `directory`, `admin` or `metrics`.
    pub(crate) scope: &'static str,
    pub(crate) created_at_ms: i64,
    /// It opens nothing any more.
    pub(crate) revoked_at_ms: Option<i64>,
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        let TokenRow { id, name, scope, created_at_ms, revoked_at_ms } = row;
        Self { id, name, scope: scope.as_str(), created_at_ms, revoked_at_ms }
    }
}

/// How many were meant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Count {
    pub(crate) count: u64,
}
