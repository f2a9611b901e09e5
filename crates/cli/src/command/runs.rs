//! `runs`: what ran.

use std::collections::HashMap;

use scimfleet_core::state::RunState;
use scimfleet_core::{ProviderId, ProviderName, RunId};
use scimfleet_runtime::Exit;
use scimfleet_store::{RunRow, Store};
use serde_json::json;

use super::progress::Progress;
use crate::args::{RunsAction, RunsArgs};
use crate::context::{Context, provider};
use crate::error::CliError;
use crate::output::table;
use crate::report::{Report, RunReport};
use crate::times::utc;

/// Runs listed at the most.
const LISTED: i64 = 50;

pub(crate) async fn run(context: Context, args: RunsArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    match args.action.unwrap_or(RunsAction::List { provider: None }) {
        RunsAction::List { provider } => list(&context, &store, provider).await,
        RunsAction::Show { id, follow: false } => show(&context, &store, &id).await,
        RunsAction::Show { id, follow: true } => follow(&context, &store, &id).await,
        RunsAction::Cancel { id } => cancel(&context, &store, &id).await,
    }
}

async fn names(store: &Store) -> Result<HashMap<ProviderId, ProviderName>, CliError> {
    Ok(store.providers().await?.into_iter().map(|row| (row.id, row.settings.name)).collect())
}

async fn list(context: &Context, store: &Store, of: Option<ProviderName>) -> Result<Exit, CliError> {
    let of = match of {
        Some(name) => Some(provider(store, &name).await?.id),
        None => None,
    };
    let names = names(store).await?;
    let name = |row: &RunRow| names.get(&row.provider_id).map(ToString::to_string).unwrap_or_default();
    let rows = store.runs(of, LISTED).await?;
    let listed: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({ "id": row.id, "provider": name(row), "kind": row.kind, "state": row.state, "cause": row.cause,
                "created_at_ms": row.created_at_ms, "finished_at_ms": row.finished_at_ms, "error": row.error })
        })
        .collect();
    context.output.print(&json!({ "runs": listed }), || {
        let lines = rows.iter().map(|row| {
            let error = row.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
            vec![row.id.to_string(), name(row), row.state.to_string(), row.cause.clone(), utc(row.created_at_ms), error]
        });
        table(&["RUN", "PROVIDER", "STATE", "CAUSE", "OPENED", "ERROR"], lines)
    })?;
    Ok(Exit::Done)
}

async fn one(store: &Store, id: &str) -> Result<RunRow, CliError> {
    let unknown = || CliError::usage(format!("there is no run `{id}`; `scimfleet runs list` shows the newest"));
    let id: RunId = id.parse().map_err(|_| unknown())?;
    store.run(id).await?.ok_or_else(unknown)
}

async fn show(context: &Context, store: &Store, id: &str) -> Result<Exit, CliError> {
    let row = one(store, id).await?;
    let names = names(store).await?;
    let Some(name) = names.get(&row.provider_id) else { return Err(CliError::failed("its provider was removed")) };
    let report = Report { runs: vec![RunReport::read(store, name, &row).await?] };
    context.output.print(&report, || {
        let mut text = report.text();
        for (kind, listing) in &row.listings {
            text.push_str(&format!("\nlisting of {kind}s: {listing}"));
        }
        text
    })?;
    Ok(Exit::Done)
}

/// Until it has ended; the exit code says how.
async fn follow(context: &Context, store: &Store, id: &str) -> Result<Exit, CliError> {
    let row = one(store, id).await?;
    let names = names(store).await?;
    let Some(name) = names.get(&row.provider_id) else { return Err(CliError::failed("its provider was removed")) };
    let report = super::sync::wait(store, &[(name.clone(), row.id)], None, Progress::followed()).await?;
    context.output.print(&report, || report.text())?;
    Ok(report.exit(false))
}

async fn cancel(context: &Context, store: &Store, id: &str) -> Result<Exit, CliError> {
    let row = one(store, id).await?;
    let cancelled = store.end_run(row.id, RunState::Cancelled, None).await?;
    context.output.print(&json!({ "id": row.id, "cancelled": cancelled }), || {
        if cancelled {
            "Cancelled; requests under way finish.".to_owned()
        } else {
            format!("It is {} already.", row.state)
        }
    })?;
    Ok(Exit::Done)
}
