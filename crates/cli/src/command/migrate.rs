//! `migrate`: the roles do it too, one at a time.

use scimfleet_runtime::Exit;
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;

pub(crate) async fn run(context: Context) -> Result<Exit, CliError> {
    context.store().await?;
    context.output.print(&json!({ "migrated": true }), || "The schema is up to date.".to_owned())?;
    Ok(Exit::Done)
}
