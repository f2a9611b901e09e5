//! `explain`: why an object has, or has not, got to the providers; one screen.

use scimfleet_runtime::Exit;
use scimfleet_scheduler::Scopes;
use scimfleet_store::{LinkRow, LogRow, ProviderRow, Store};
use serde_json::{Value, json};

use crate::args::ExplainArgs;
use crate::context::{Context, object, provider};
use crate::error::CliError;
use crate::insight::scope_words;
use crate::times::{relative, utc};

/// Log rows shown for each provider.
const SHOWN: i64 = 5;

pub(crate) async fn run(context: Context, args: ExplainArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let resource = object(&store, &args.object).await?;
    let providers = match &args.provider {
        Some(name) => vec![provider(&store, name).await?],
        None => store.providers().await?,
    };
    let evaluator = context.evaluator()?;
    let links = store.links_of(&resource.id).await?;
    let (mut documents, mut text) = (Vec::new(), String::new());
    for row in &providers {
        let scopes = Scopes::of(&store, &evaluator, row).await.map_err(CliError::failed)?;
        let verdict = scopes.judge(vec![resource.clone()], false).await.map_err(CliError::failed)?;
        let scope = scope_words(verdict.first().map(|verdict| verdict.wanted));
        let link = links.iter().find(|link| link.provider_id == row.id);
        let log = store.log_of(&resource.id, Some(row.id), SHOWN).await?;
        documents.push(document(row, scope, link, &log));
        text.push_str(&describe(&store, row, scope, link, &log));
    }
    let whole = json!({ "object": resource.id, "kind": resource.kind, "name": resource.name(),
        "external_id": resource.external_id, "source": resource.source, "active": resource.active,
        "updated_at_ms": resource.updated_at_ms, "providers": documents });
    context.output.print(&whole, || {
        let active = if resource.active { "active" } else { "inactive" };
        format!(
            "{} `{}` ({active}), externalId {}, id {}\nbrought by {}, changed {}\n{text}",
            resource.kind,
            resource.name(),
            resource.external_id.as_deref().unwrap_or("none"),
            resource.id,
            resource.source,
            utc(resource.updated_at_ms)
        )
    })?;
    Ok(Exit::Done)
}

fn document(row: &ProviderRow, scope: &str, link: Option<&LinkRow>, log: &[LogRow]) -> Value {
    let attempts: Vec<Value> = log
        .iter()
        .map(|entry| {
            json!({ "at_ms": entry.at_ms, "operation": entry.operation, "outcome": entry.outcome,
                "status": entry.status, "attributes": entry.attributes, "detail": entry.detail, "cause": entry.cause })
        })
        .collect();
    json!({ "provider": row.settings.name, "provider_state": row.state, "scope": scope,
        "link": link.map(|link| json!({ "state": link.state, "reason": link.park_reason, "remote_id": link.remote_id,
            "ownership": link.ownership, "attempts": link.attempts, "due_at_ms": link.due_at_ms,
            "owed": link.dirty, "drifted": link.drifted, "error": link.last_error })),
        "attempts": attempts })
}

fn describe(store: &Store, row: &ProviderRow, scope: &str, link: Option<&LinkRow>, log: &[LogRow]) -> String {
    let now = store.now_ms();
    let mut text = format!("\n{} ({}): {scope}", row.settings.name, row.state);
    match link {
        None => text.push_str(", never considered there; the next sync does"),
        Some(link) => {
            text.push_str(&format!(", {}", link.state));
            if let Some(reason) = link.park_reason {
                text.push_str(&format!(" ({reason})"));
            }
            if let Some(account) = &link.remote_id {
                let ownership = link.ownership.map(|one| format!(", {one}")).unwrap_or_default();
                text.push_str(&format!(", account {account}{ownership}"));
            }
            if link.drifted {
                text.push_str("\n  somebody changed it there since our last write");
            }
            if let Some(error) = &link.last_error {
                text.push_str(&format!("\n  said: {error}"));
            }
            if link.dirty {
                text.push_str(&format!("\n  next attempt: {}", relative(link.due_at_ms.max(now), now)));
            }
        }
    }
    for entry in log {
        let status = entry.status.map(|status| status.to_string()).unwrap_or_else(|| "no answer".to_owned());
        text.push_str(&format!(
            "\n  {} {} {} ({status}) {} {}",
            utc(entry.at_ms),
            entry.operation,
            entry.outcome,
            entry.attributes,
            entry.detail.as_deref().unwrap_or_default()
        ));
    }
    text.push('\n');
    text
}
