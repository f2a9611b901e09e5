//! `links`: objects at a provider.

use scimfleet_runtime::Exit;
use serde_json::json;

use crate::args::{LinksAction, LinksArgs};
use crate::context::{Context, provider};
use crate::error::CliError;
use crate::output::table;

pub(crate) async fn run(context: Context, args: LinksArgs) -> Result<Exit, CliError> {
    let (name, state, limit) = match args.action {
        Some(LinksAction::List { provider, state, limit }) => (provider, state, limit),
        Some(LinksAction::Import(args)) => return super::take_over::import(context, args).await,
        Some(LinksAction::Rekey { provider, object }) => {
            return super::take_over::rekey(context, provider, object).await;
        }
        None => return Err(CliError::usage("say which: `scimfleet links list --provider NAME`")),
    };
    let store = context.store().await?;
    let row = provider(&store, &name).await?;
    let links = store.links(row.id, state, None, i64::from(limit)).await?;
    let documents: Vec<_> = links
        .iter()
        .map(|link| {
            json!({ "object": link.resource_id, "kind": link.kind, "state": link.state, "reason": link.park_reason,
                "remote_id": link.remote_id, "ownership": link.ownership, "dirty": link.dirty,
                "attempts": link.attempts, "error": link.last_error })
        })
        .collect();
    context.output.print(&json!({ "links": documents }), || {
        let lines = links.iter().map(|link| {
            vec![
                link.resource_id.to_string(),
                link.kind.to_string(),
                link.state.to_string(),
                link.remote_id.as_ref().map(ToString::to_string).unwrap_or_default(),
                link.ownership.map(|ownership| ownership.to_string()).unwrap_or_default(),
                link.last_error.clone().unwrap_or_default(),
            ]
        });
        table(&["OBJECT", "KIND", "STATE", "REMOTE ID", "OWNERSHIP", "LAST ERROR"], lines)
    })?;
    Ok(Exit::Done)
}
