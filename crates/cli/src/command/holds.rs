//! `holds`: what the guard withheld, and deciding about it (R28, R29).

use scimfleet_core::state::HoldState;
use scimfleet_runtime::Exit;
use scimfleet_store::{HoldRow, Store};
use serde_json::{Value, json};

use crate::args::{HoldsAction, HoldsArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::output::table;
use crate::times::utc;

const LISTED: i64 = 50;

pub(crate) async fn run(context: Context, args: HoldsArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    match args.action.unwrap_or(HoldsAction::List) {
        HoldsAction::List => list(&context, &store).await,
        HoldsAction::Show { id } => show(&context, &store, &id).await,
        HoldsAction::Approve { id } => decide(&context, &store, &id, HoldState::Approved).await,
        HoldsAction::Reject { id } => decide(&context, &store, &id, HoldState::Rejected).await,
    }
}

async fn name(store: &Store, hold: &HoldRow) -> Result<String, CliError> {
    let providers = store.providers().await?;
    Ok(providers
        .iter()
        .find(|row| row.id == hold.provider_id)
        .map(|row| row.settings.name.to_string())
        .unwrap_or_default())
}

fn document(hold: &HoldRow, provider: &str) -> Value {
    json!({ "id": hold.id, "provider": provider, "run": hold.run_id, "state": hold.state, "reason": hold.reason,
        "items": hold.items, "created_at_ms": hold.created_at_ms, "decided_at_ms": hold.decided_at_ms,
        "decided_by": hold.decided_by })
}

async fn list(context: &Context, store: &Store) -> Result<Exit, CliError> {
    let holds = store.holds(None, LISTED).await?;
    let (mut documents, mut lines) = (Vec::new(), Vec::new());
    for hold in &holds {
        let provider = name(store, hold).await?;
        documents.push(document(hold, &provider));
        lines.push(vec![
            hold.id.clone(),
            provider,
            hold.state.to_string(),
            hold.items.len().to_string(),
            utc(hold.created_at_ms),
            hold.reason.clone(),
        ]);
    }
    context.output.print(&json!({ "holds": documents }), || {
        if lines.is_empty() {
            return "Nothing is withheld.".to_owned();
        }
        table(&["HOLD", "PROVIDER", "STATE", "OBJECTS", "SINCE", "REASON"], lines)
    })?;
    Ok(Exit::Done)
}

async fn one(store: &Store, id: &str) -> Result<HoldRow, CliError> {
    store
        .hold(id)
        .await?
        .ok_or_else(|| CliError::usage(format!("there is no hold `{id}`; `scimfleet holds list` shows them")))
}

async fn show(context: &Context, store: &Store, id: &str) -> Result<Exit, CliError> {
    let hold = one(store, id).await?;
    let provider = name(store, &hold).await?;
    context.output.print(&document(&hold, &provider), || {
        let lines = hold.items.iter().map(|item| {
            vec![item.kind.to_string(), item.name.clone(), item.operation.clone(), item.resource_id.to_string()]
        });
        format!("{provider}: {} ({})\n\n{}", hold.reason, hold.state, table(&["KIND", "NAME", "WOULD", "ID"], lines))
    })?;
    Ok(Exit::Done)
}

async fn decide(context: &Context, store: &Store, id: &str, decision: HoldState) -> Result<Exit, CliError> {
    let hold = one(store, id).await?;
    let Some(moved) = store.decide_hold(id, decision, "command line").await? else {
        return Err(CliError::usage(format!("hold `{id}` is {} already", hold.state)));
    };
    let executed = if decision == HoldState::Approved { hold.items.len() - moved.len() } else { 0 };
    context.output.print(&json!({ "id": id, "state": decision, "released": executed, "moved": moved }), || {
        let mut text = match decision {
            HoldState::Approved => format!("{executed} removals are released; the next run, or `serve`, sends them."),
            _ => "The accounts stay as they are.".to_owned(),
        };
        for item in &moved {
            text.push_str(&format!("\nnot released, it changed since: {} `{}`", item.kind, item.name));
        }
        text
    })?;
    Ok(Exit::Done)
}
