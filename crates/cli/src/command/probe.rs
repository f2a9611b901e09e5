//! `providers probe`: an examination; one that gets through puts a provider that was set aside back into
//! service.

use scimfleet_core::ProviderName;
use scimfleet_core::profile::Resolved;
use scimfleet_core::state::ProviderState;
use scimfleet_runtime::Exit;
use scimfleet_store::Store;
use scimfleet_worker::examine::{Examination, examine};
use scimfleet_worker::{Providers, curated_profile, resolve_profile};
use serde_json::{Value, json};

use crate::context::{Context, provider};
use crate::error::CliError;
use crate::output::table;
use crate::wire::{coordination, egress};

pub(crate) async fn run(context: &Context, store: &Store, name: &ProviderName, write: bool) -> Result<Exit, CliError> {
    let row = provider(store, name).await?;
    let providers = Providers::new(store.clone(), egress(context));
    let known = providers.discover(row.clone()).await.map_err(CliError::failed)?;
    if matches!(row.state, ProviderState::Degraded | ProviderState::Quarantined) {
        store.set_provider_state(row.id, ProviderState::Active, Some("a probe got through")).await?;
    }
    let resolved = resolve_profile(&known.row).map_err(CliError::usage)?;
    let notes = known.row.announced.as_ref().and_then(|announced| announced.get("notes")).cloned().unwrap_or_default();
    let found = examine(&known, &*coordination(context).await?, write).await;
    let wrong = found.findings.iter().any(|finding| finding.result == "wrong");
    let curated = curated_profile(&known.row).map_err(CliError::usage)?.map(|known| known.name);
    let document = json!({ "provider": name, "curated": curated, "announced": { "profile": resolved.profile, "origins": resolved.origins,
        "notes": notes }, "observed": found.findings, "recommended": found.recommended });
    context.output.print(&document, || describe(&resolved, curated, &notes, &found))?;
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

fn describe(resolved: &Resolved, curated: Option<&str>, notes: &Value, found: &Examination) -> String {
    let mut text = format!("profile: {}\n", curated.unwrap_or("none is known for this application"));
    let values = serde_json::to_value(&resolved.profile).unwrap_or_default();
    for (key, origin) in &resolved.origins {
        text.push_str(&format!("  {key} = {} ({origin})\n", values.get(key).unwrap_or(&Value::Null)));
    }
    for note in notes.as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("announced: {note}\n"));
    }
    let lines = found
        .findings
        .iter()
        .map(|finding| vec![finding.check.to_owned(), finding.result.to_owned(), finding.words.clone()]);
    text.push_str(&table(&["CHECK", "RESULT", ""], lines));
    if found.recommended.is_empty() {
        text.push_str("\n\nThe profile fits as it is.");
    } else {
        text.push_str("\n\nPut this into the fleet file:\n\n[provider.override]");
        for (key, value) in &found.recommended {
            text.push_str(&format!("\n{key} = {value}"));
        }
    }
    text
}
