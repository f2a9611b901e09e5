//! `providers reconcile`: after a restore, what the provider shows replaces what the database believes.

use scimfleet_core::ProviderName;
use scimfleet_store::Store;
use scimfleet_worker::Providers;
use scimfleet_worker::reconcile::{Reconciled, reconcile};
use serde_json::json;

use crate::context::{Context, provider};
use crate::error::CliError;
use crate::wire::{coordination, egress};

pub(crate) async fn run(context: &Context, store: &Store, name: &ProviderName) -> Result<(), CliError> {
    let row = provider(store, name).await?;
    let known = Providers::new(store.clone(), egress(context)).discover(row).await.map_err(CliError::failed)?;
    let coordination = coordination(context).await?;
    let outcome = reconcile(store, &known, &*coordination).await.map_err(CliError::failed)?;
    context.output.print(&json!({ "provider": name, "reconciled": outcome }), || describe(name, &outcome))
}

fn describe(name: &ProviderName, outcome: &Reconciled) -> String {
    let mut text = format!("{name} is linked again and active: {} accounts are ours.", outcome.linked);
    if outcome.unknown > 0 {
        text.push_str(&format!("\n{} accounts have no link; the next run adopts those that fit.", outcome.unknown));
    }
    let unsafe_ones = outcome.gone + outcome.inactive;
    if unsafe_ones > 0 {
        text.push_str(&format!(
            "\n{unsafe_ones} are parked as unsafe ({} gone there, {} inactive there): see `scimfleet parked list`, and \
             `scimfleet parked retry` for those who shall have access.",
            outcome.gone, outcome.inactive
        ));
    }
    text.push_str(&format!("\nNext: `scimfleet sync {name} --dry-run`, then `scimfleet sync {name} --wait`."));
    text
}
