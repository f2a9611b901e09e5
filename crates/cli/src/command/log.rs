//! `log`: every write sent to a provider, as it was recorded with the change of state. It names attributes,
//! never values.

use std::collections::HashMap;
use std::io::Write;

use scimfleet_core::{ProviderId, ProviderName};
use scimfleet_runtime::Exit;
use scimfleet_store::{Store, TrailFilter, TrailRow};
use serde_json::{Value, json};

use crate::args::{LogAction, LogArgs, LogSelection};
use crate::context::{Context, object, provider};
use crate::error::CliError;
use crate::output::table;
use crate::times::{rfc3339, utc};

const LISTED: u32 = 50;
/// Rows read at once: memory stays flat however long the log is.
const PAGE: i64 = 1_000;

type Names = HashMap<ProviderId, ProviderName>;

pub(crate) async fn run(context: Context, args: LogArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let names: Names = store.providers().await?.into_iter().map(|row| (row.id, row.settings.name)).collect();
    let list = LogAction::List { selection: LogSelection::default(), limit: LISTED };
    match args.action.unwrap_or(list) {
        LogAction::List { selection, limit } => {
            let filter = filter(&store, &selection).await?;
            let rows = store.trail_before(&filter, None, i64::from(limit)).await?;
            let documents: Vec<Value> = rows.iter().map(|row| document(row, &names)).collect();
            context.output.print(&json!({ "log": documents }), || text(&rows, &names))?;
        }
        LogAction::Export(selection) => export(&store, &filter(&store, &selection).await?, &names).await?,
    }
    Ok(Exit::Done)
}

async fn filter(store: &Store, selection: &LogSelection) -> Result<TrailFilter, CliError> {
    let mut filter = TrailFilter::default();
    if let Some(since) = selection.since {
        filter.since_ms = since.at_ms(store.now_ms());
    }
    if let Some(name) = &selection.provider {
        filter.provider = Some(provider(store, name).await?.id);
    }
    if let Some(reference) = &selection.object {
        filter.object = Some(object(store, reference).await?.id);
    }
    Ok(filter)
}

async fn export(store: &Store, filter: &TrailFilter, names: &Names) -> Result<(), CliError> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let mut after: Option<String> = None;
    loop {
        let rows = store.trail_after(filter, after.as_deref(), PAGE).await?;
        for row in &rows {
            // Whoever reads may have seen enough, as `head` has.
            if writeln!(out, "{}", document(row, names)).is_err() {
                return Ok(());
            }
        }
        match rows.last() {
            Some(last) if i64::try_from(rows.len()).is_ok_and(|count| count == PAGE) => after = Some(last.key.clone()),
            _ => break,
        }
    }
    if out.flush().is_err() {
        tracing::debug!("nobody reads any more");
    }
    Ok(())
}

fn name(row: &TrailRow, names: &Names) -> String {
    // A provider that was removed is known by its id only.
    names.get(&row.row.provider_id).map_or_else(|| row.row.provider_id.to_string(), ToString::to_string)
}

fn document(line: &TrailRow, names: &Names) -> Value {
    let row = &line.row;
    let attributes: Value = serde_json::from_str(&row.attributes).unwrap_or_else(|_| json!(row.attributes));
    json!({ "v": 1, "id": line.key, "at": rfc3339(row.at_ms), "provider": name(line, names), "object": row.resource_id,
        "kind": line.kind, "operation": row.operation, "outcome": row.outcome, "status": row.status,
        "attributes": attributes, "removals": line.removal, "remote_id": row.remote_id, "detail": row.detail,
        "cause": row.cause, "run": line.run_id, "task": line.task_id, "duration_ms": row.duration_ms })
}

fn text(rows: &[TrailRow], names: &Names) -> String {
    if rows.is_empty() {
        return "Nothing was written to a provider yet.".to_owned();
    }
    let lines = rows.iter().map(|line| {
        let row = &line.row;
        vec![
            utc(row.at_ms),
            name(line, names),
            line.kind.to_string(),
            row.resource_id.to_string(),
            row.operation.clone(),
            row.outcome.clone(),
            row.status.map(|status| status.to_string()).unwrap_or_default(),
            row.cause.clone(),
            row.detail.clone().unwrap_or_default(),
        ]
    });
    table(&["AT", "PROVIDER", "KIND", "OBJECT", "OPERATION", "OUTCOME", "STATUS", "CAUSE", "SAID"], lines)
}
