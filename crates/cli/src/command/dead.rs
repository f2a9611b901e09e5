//! `dead`: messages that nobody could work on.

use scimfleet_runtime::Exit;
use serde_json::json;

use crate::args::{DeadAction, DeadArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::output::table;

const LISTED: usize = 200;

pub(crate) async fn run(context: Context, args: DeadArgs) -> Result<Exit, CliError> {
    let queue = context.queue().await?;
    match args.action.unwrap_or(DeadAction::List) {
        DeadAction::List => {
            let letters = queue.dead_letters(LISTED).await?;
            context.output.print(&json!({ "dead": letters }), || {
                if letters.is_empty() {
                    return "No dead letters.".to_owned();
                }
                let lines = letters
                    .iter()
                    .map(|letter| vec![letter.id.clone(), letter.routing_key.clone(), letter.reason.clone()]);
                table(&["MESSAGE", "WAS FOR", "REASON"], lines)
            })?;
        }
        DeadAction::Replay { ids } => {
            let count = queue.replay_dead_letters(&ids).await?;
            context.output.print(&json!({ "replayed": count }), || format!("{count} messages are published again."))?;
        }
        DeadAction::Drop { ids, .. } => {
            let count = queue.drop_dead_letters(&ids).await?;
            context.output.print(&json!({ "dropped": count }), || format!("{count} messages are removed."))?;
        }
    }
    queue.close().await;
    Ok(Exit::Done)
}
