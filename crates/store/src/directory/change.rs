//! Outbox rows: what changed, in the transaction that changed it (R6).

use scimfleet_core::{ResourceId, ResourceKind};
use serde::Serialize;
use uuid::Uuid;

use crate::error::StoreError;
use crate::pool::Connection;
use crate::sql::{Column, Dialect, json, statement};

/// One change, before it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    id: Uuid,
    resource_id: ResourceId,
    kind: ResourceKind,
    change: &'static str,
    added: Option<String>,
    removed: Option<String>,
}

impl Change {
    pub(crate) fn new(resource_id: ResourceId, kind: ResourceKind, change: &'static str) -> Self {
        Self { id: Uuid::now_v7(), resource_id, kind, change, added: None, removed: None }
    }

    pub(crate) fn resource(&self) -> &ResourceId {
        &self.resource_id
    }

    pub(crate) fn of_members(group: ResourceId, added: &[ResourceId], removed: &[ResourceId]) -> Self {
        let list = |ids: &[ResourceId]| (!ids.is_empty()).then(|| json(ids));
        Self { added: list(added), removed: list(removed), ..Self::new(group, ResourceKind::Group, "members") }
    }
}

pub(crate) async fn write_outbox(
    tx: &mut Connection,
    dialect: Dialect,
    changes: &[Change],
    now: i64,
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let columns = ["id", "resource_id", "kind", "change", "added", "removed"].map(Column::Text);
    let traceparent = crate::trace::traceparent();
    let batch = dialect.batch(1, &columns);
    let sql = statement(format!(
        "INSERT INTO outbox (id, resource_id, kind, change, added, removed, traceparent, created_at) \
         SELECT b.id, b.resource_id, b.kind, b.change, b.added, b.removed, $3, $2 FROM {batch}"
    ));
    sqlx::query(sql).bind(json(changes)).bind(now).bind(traceparent).execute(tx).await?;
    Ok(())
}
