//! `parked`: objects that need a change before they are tried again.

use scimfleet_core::state::LinkState;
use scimfleet_runtime::Exit;
use scimfleet_store::Parked;
use serde_json::json;

use crate::args::{ParkedAction, ParkedArgs};
use crate::context::{Context, object, provider};
use crate::error::CliError;
use crate::output::table;

const LISTED: i64 = 500;

pub(crate) async fn run(context: Context, args: ParkedArgs) -> Result<Exit, CliError> {
    match args.action.unwrap_or(ParkedAction::List { provider: None }) {
        ParkedAction::List { provider } => list(&context, provider).await,
        ParkedAction::Retry { provider: name, object: reference } => {
            let store = context.store().await?;
            let of = match name {
                Some(name) => Some(provider(&store, &name).await?.id),
                None => None,
            };
            let resource = match reference {
                Some(reference) => Some(object(&store, &reference).await?.id),
                None => None,
            };
            let which = Parked { provider: of, object: resource, ..Parked::default() };
            let count = store.retry_parked(&which).await?;
            context.output.print(&json!({ "retried": count }), || {
                format!("{count} objects are tried again by the next run, or at once where `serve` or a cluster runs.")
            })?;
            Ok(Exit::Done)
        }
        ParkedAction::Drop { provider: name, object: reference } => {
            let store = context.store().await?;
            let of = provider(&store, &name).await?.id;
            let resource = match reference {
                Some(reference) => Some(object(&store, &reference).await?.id),
                None => None,
            };
            let count =
                store.drop_parked(&Parked { provider: Some(of), object: resource, ..Parked::default() }).await?;
            context.output.print(&json!({ "dropped": count }), || {
                format!("{count} objects are given up until they, a mapping or the settings of `{name}` change.")
            })?;
            Ok(Exit::Done)
        }
    }
}

async fn list(context: &Context, of: Option<scimfleet_core::ProviderName>) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let rows = match of {
        Some(name) => vec![provider(&store, &name).await?],
        None => store.providers().await?,
    };
    let (mut documents, mut lines) = (Vec::new(), Vec::new());
    for row in &rows {
        for link in store.links(row.id, Some(LinkState::Parked), None, LISTED).await? {
            let found = store.resources(std::slice::from_ref(&link.resource_id)).await?;
            let name = found.first().map(|resource| resource.name().to_owned()).unwrap_or_default();
            let reason = link.park_reason.map(|reason| reason.to_string()).unwrap_or_default();
            let words = link.last_error.clone().unwrap_or_default();
            documents.push(json!({ "provider": row.settings.name, "object": link.resource_id, "kind": link.kind,
                "name": name, "reason": reason, "words": words }));
            lines.push(vec![row.settings.name.to_string(), link.kind.to_string(), name, reason, words]);
        }
    }
    context.output.print(&json!({ "parked": documents }), || {
        if lines.is_empty() {
            return "Nothing is parked.".to_owned();
        }
        table(&["PROVIDER", "KIND", "OBJECT", "REASON", "WORDS"], lines)
    })?;
    Ok(Exit::Done)
}
