//! `providers`: the applications.

use std::io::{IsTerminal, Read};

use scimfleet_core::ProviderName;
use scimfleet_core::profile::Curated;
use scimfleet_core::profile::curated::AUTO;
use scimfleet_core::state::{LinkState, ProviderState};
use scimfleet_runtime::Exit;
use scimfleet_store::{LinkCounts, ProviderRow, Store};
use scimfleet_worker::{curated_profile, resolve_profile};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::args::{ProvidersAction, ProvidersArgs};
use crate::context::{Context, provider};
use crate::error::CliError;
use crate::output::table;
use crate::times::utc;

pub(crate) async fn run(context: Context, args: ProvidersArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    match args.action.unwrap_or(ProvidersAction::List) {
        ProvidersAction::List => list(&context, &store).await?,
        ProvidersAction::Add(args) => return super::add::run(&context, &store, *args).await,
        ProvidersAction::Show { name } => show(&context, &store, &name).await?,
        ProvidersAction::Probe { name, write } => return super::probe::run(&context, &store, &name, write).await,
        ProvidersAction::Pause { name: Some(name), .. } => {
            set_state(&context, &store, &name, ProviderState::Paused).await?;
        }
        ProvidersAction::Pause { name: None, .. } => pause_all(&context, &store).await?,
        ProvidersAction::Resume { name } => resume(&context, &store, &name).await?,
        ProvidersAction::Reconcile { name } => super::reconcile::run(&context, &store, &name).await?,
        ProvidersAction::Disable { name } => set_state(&context, &store, &name, ProviderState::Disabled).await?,
        ProvidersAction::SetToken { name } => set_token(&context, &store, &name).await?,
        ProvidersAction::Rename { from, to } => rename(&context, &store, &from, &to).await?,
        ProvidersAction::Remove { name, .. } => {
            let row = provider(&store, &name).await?;
            store.remove_provider(row.id).await?;
            context.output.print(&json!({ "removed": name }), || format!("{name} is forgotten; its accounts stay."))?;
        }
    }
    Ok(Exit::Done)
}

async fn list(context: &Context, store: &Store) -> Result<(), CliError> {
    let rows = store.providers().await?;
    let (mut documents, mut lines) = (Vec::new(), Vec::new());
    for row in &rows {
        let counts = store.link_counts(row.id).await?;
        let last = store.runs(Some(row.id), 1).await?.into_iter().next();
        documents.push(json!({ "name": row.settings.name, "base_url": row.settings.base_url, "state": row.state,
            "reason": row.state_reason, "links": states(&counts), "dirty": counts.dirty,
            "last_run": last.as_ref().map(|run| json!({ "id": run.id, "state": run.state })) }));
        let of = |state: LinkState| counts.by_state.get(&state).copied().unwrap_or_default().to_string();
        lines.push(vec![
            row.settings.name.to_string(),
            row.state.to_string(),
            of(LinkState::InSync),
            counts.dirty.to_string(),
            of(LinkState::Parked),
            last.map(|run| format!("{} {}", run.state, utc(run.created_at_ms))).unwrap_or_default(),
            row.settings.base_url.clone(),
        ]);
    }
    context.output.print(&json!({ "providers": documents }), || {
        if lines.is_empty() {
            return "No provider yet. `scimfleet providers add` asks for one; or describe it in a fleet file and `scimfleet apply` it.".to_owned();
        }
        table(&["PROVIDER", "STATE", "IN SYNC", "DIRTY", "PARKED", "LAST RUN", "BASE URL"], lines)
    })
}

fn states(counts: &LinkCounts) -> Map<String, Value> {
    counts.by_state.iter().map(|(state, count)| (state.to_string(), Value::from(*count))).collect()
}

async fn show(context: &Context, store: &Store, name: &ProviderName) -> Result<(), CliError> {
    let row = provider(store, name).await?;
    let counts = store.link_counts(row.id).await?;
    let resolved = resolve_profile(&row).map_err(CliError::usage)?;
    let curated = curated_profile(&row).map_err(CliError::usage)?;
    let has_secret = store.provider_secret(row.id).await?.is_some();
    let notes = row.announced.as_ref().and_then(|announced| announced.get("notes")).cloned().unwrap_or(json!([]));
    let document = json!({ "name": row.settings.name, "state": row.state, "reason": row.state_reason,
        "settings": row.settings, "has_secret": has_secret, "curated": curated.map(|known| known.name), "profile": resolved.profile, "origins": resolved.origins,
        "notes": notes, "links": states(&counts), "dirty": counts.dirty, "asked_at_ms": row.announced_at_ms });
    context.output.print(&document, || describe(&row, &counts, &resolved, curated, has_secret, &notes))
}

fn describe(
    row: &ProviderRow,
    counts: &LinkCounts,
    resolved: &scimfleet_core::profile::Resolved,
    curated: Option<&Curated>,
    has_secret: bool,
    notes: &Value,
) -> String {
    let reason = row.state_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut text = format!("{}  {}{reason}\n{}\n", row.settings.name, row.state, row.settings.base_url);
    if !has_secret {
        text.push_str(&format!("no token: `scimfleet providers set-token {}`\n", row.settings.name));
    }
    text.push('\n');
    let links = counts.by_state.iter().map(|(state, count)| vec![state.to_string(), count.to_string()]);
    text.push_str(&table(&["LINKS", ""], links));
    text.push_str("\n\n");
    match curated {
        Some(known) if row.settings.profile == AUTO => {
            text.push_str(&format!("profile: auto, recognised as {} ({})\n\n", known.name, known.about));
        }
        Some(known) => text.push_str(&format!("profile: {} ({})\n\n", known.name, known.about)),
        None => text.push_str("profile: auto, recognised as no known application\n\n"),
    }
    let profile = serde_json::to_value(&resolved.profile).unwrap_or_default();
    let lines = profile.as_object().into_iter().flatten().map(|(key, value)| {
        let origin = resolved.origins.get(key).map_or("default", |origin| origin.as_str());
        vec![key.clone(), value.to_string(), origin.to_owned()]
    });
    text.push_str(&table(&["PROFILE", "VALUE", "FROM"], lines));
    for note in notes.as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("\nnote: {note}"));
    }
    text
}

async fn set_state(
    context: &Context,
    store: &Store,
    name: &ProviderName,
    state: ProviderState,
) -> Result<(), CliError> {
    let row = provider(store, name).await?;
    store.set_provider_state(row.id, state, Some("by hand")).await?;
    context.output.print(&json!({ "name": name, "state": state }), || format!("{name} is {state}."))
}

/// What a restored database believes of a provider must be proven first (R34).
async fn resume(context: &Context, store: &Store, name: &ProviderName) -> Result<(), CliError> {
    if provider(store, name).await?.reconcile_due {
        return Err(CliError::usage(format!(
            "the database of {name} came back from a backup: bring the directory up to date, then run \
             `scimfleet providers reconcile {name}`"
        )));
    }
    set_state(context, store, name, ProviderState::Active).await
}

async fn pause_all(context: &Context, store: &Store) -> Result<(), CliError> {
    let mut paused = Vec::new();
    for row in store.providers().await? {
        if row.state != ProviderState::Disabled {
            store.set_provider_state(row.id, ProviderState::Paused, Some("by hand, all at once")).await?;
            paused.push(row.settings.name);
        }
    }
    context.output.print(&json!({ "paused": paused }), || format!("{} providers are paused.", paused.len()))
}

/// The token comes from standard input: an argument would stand in the process list.
async fn set_token(context: &Context, store: &Store, name: &ProviderName) -> Result<(), CliError> {
    let row = provider(store, name).await?;
    if std::io::stdin().is_terminal() {
        eprintln!("Paste the token, then Enter and Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(CliError::failed)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(CliError::usage("no token came on standard input"));
    }
    let changed = store.put_provider_secret(row.id, &SecretString::from(token)).await?;
    context.output.print(&json!({ "name": name, "changed": changed }), || {
        if changed { format!("The token of {name} is sealed.") } else { "It is the same token.".to_owned() }
    })
}

async fn rename(context: &Context, store: &Store, from: &ProviderName, to: &ProviderName) -> Result<(), CliError> {
    provider(store, from).await?;
    if !store.rename_provider(from, to).await? {
        return Err(CliError::usage(format!("the name `{to}` is taken")));
    }
    context.queue().await?.delete_provider(from).await?;
    context
        .output
        .print(&json!({ "from": from, "to": to }), || format!("{from} is now {to}; rename it in the fleet file too."))
}
