//! `migrate`: the roles do it too, one at a time. What an older key sealed is sealed again with the current one.

use scimfleet_runtime::Exit;
use scimfleet_store::{Resealed, SealError, StoreError};
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;

pub(crate) async fn run(context: Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let Resealed { resealed, unopenable } = match store.reseal().await {
        // No key, and so nothing that it sealed.
        Err(StoreError::Seal(SealError::NoKey)) => Resealed::default(),
        other => other?,
    };
    let document = json!({ "migrated": true, "resealed": resealed, "unopenable": unopenable });
    context.output.print(&document, || {
        let mut text = "The schema is up to date.".to_owned();
        if resealed > 0 {
            text.push_str(&format!("\n{resealed} secrets are sealed with the new key."));
        }
        if unopenable > 0 {
            text.push_str(&format!("\n{unopenable} secrets were sealed with a key that is not known."));
        }
        text
    })?;
    Ok(Exit::Done)
}
