//! `apply`: providers and mappings as a fleet file says. Nothing is changed before everything was checked.

use std::collections::BTreeMap;

use scimfleet_core::profile::curated;
use scimfleet_expression::{Evaluator, Expression};
use scimfleet_runtime::fleet::{Fleet, FleetContext, FleetProvider, leads_elsewhere};
use scimfleet_runtime::{Exit, config};
use scimfleet_store::{ProviderChange, ProviderRow, Store};
use serde::Serialize;
use serde_json::Value;

use crate::args::ApplyArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::table;

/// What `apply` did, or would do.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Applied {
    plan: bool,
    mappings: Vec<Entry>,
    providers: Vec<Entry>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    change: &'static str,
    /// Settings that differ, by key: before and after.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    differences: BTreeMap<String, (Value, Value)>,
    /// Users that a changed scope lets in and puts out.
    #[serde(skip_serializing_if = "Option::is_none")]
    joiners: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leavers: Option<u64>,
}

pub(crate) async fn run(context: Context, args: ApplyArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let evaluator = context.evaluator()?;
    let fleet = Fleet::load(&args.file, fleet_context(&store).await?)?;
    check_expressions(&evaluator, &fleet).await?;
    for warning in &fleet.warnings {
        eprintln!("warning: {warning}");
    }
    let options = ApplyOptions { plan: args.plan, same_tenant: args.same_tenant };
    let applied = apply_fleet(&store, &evaluator, &fleet, &options).await?;
    context.output.print(&applied, || text(&applied))?;
    Ok(Exit::Done)
}

/// How a fleet is applied.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ApplyOptions {
    /// Change nothing.
    pub(crate) plan: bool,
    /// Keep the links of a provider whose host changed.
    pub(crate) same_tenant: bool,
}

/// Puts a fleet whose expressions were checked into the database.
pub(crate) async fn apply_fleet(
    store: &Store,
    evaluator: &Evaluator,
    fleet: &Fleet,
    options: &ApplyOptions,
) -> Result<Applied, CliError> {
    let mut applied = Applied { plan: options.plan, warnings: fleet.warnings.clone(), ..Applied::default() };
    let stored = store.mappings().await?;
    for mapping in &fleet.mappings {
        let before = stored.iter().find(|known| known.text.name == mapping.name);
        let change = match before {
            None => "created",
            Some(known) if known.text == *mapping => "unchanged",
            Some(_) => "updated",
        };
        if !options.plan {
            store.put_mapping(mapping, "fleet").await?;
        }
        applied.mappings.push(Entry {
            name: mapping.name.clone(),
            change,
            differences: BTreeMap::new(),
            joiners: None,
            leavers: None,
        });
    }
    for provider in &fleet.providers {
        applied.providers.push(apply_provider(store, evaluator, provider, options).await?);
    }
    Ok(applied)
}

/// What a fleet file may refer to.
pub(crate) async fn fleet_context(store: &Store) -> Result<FleetContext, CliError> {
    let stored = store.mappings().await?;
    Ok(FleetContext {
        environment: config::environment().collect(),
        stored_mappings: stored.into_iter().map(|row| row.text.name).collect(),
        profiles: curated::all().iter().map(|profile| profile.name.to_owned()).collect(),
        ..FleetContext::default()
    })
}

/// Compile errors are found here and not first in a run; all of them at once.
pub(crate) async fn check_expressions(evaluator: &Evaluator, fleet: &Fleet) -> Result<(), CliError> {
    let mut mistakes = Vec::new();
    for mapping in &fleet.mappings {
        let expression = Expression {
            name: mapping.name.clone(),
            kind: mapping.resource,
            source: mapping.expression.as_str().into(),
        };
        if let Err(error) = evaluator.check(&expression).await {
            mistakes.push(error.to_string());
        }
    }
    for provider in &fleet.providers {
        if let Some(scope) = &provider.settings.scope.users
            && let Err(error) = evaluator.check_scope(scope).await
        {
            mistakes.push(format!("provider `{}`, scope.users: {error}", provider.settings.name));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(CliError::usage(mistakes.join("\n"))) }
}

async fn apply_provider(
    store: &Store,
    evaluator: &Evaluator,
    provider: &FleetProvider,
    args: &ApplyOptions,
) -> Result<Entry, CliError> {
    let settings = &provider.settings;
    let before = store.provider(&settings.name).await?;
    let differences = before.as_ref().map(|row| differences(row, settings)).unwrap_or_default();
    let mut change = match &before {
        None => "created",
        Some(_) if differences.is_empty() => "unchanged",
        Some(_) => "updated",
    };
    let scope_moves = before.as_ref().is_none_or(|row| row.settings.scope != settings.scope);
    let (joiners, leavers) = if scope_moves && args.plan {
        let (joiners, leavers) = movers(store, evaluator, before.as_ref(), settings).await?;
        (Some(joiners), Some(leavers))
    } else {
        (None, None)
    };
    if !args.plan {
        let (id, done) = store.put_provider(settings).await?;
        // A value that is sealed shows in no difference.
        if done == ProviderChange::Updated {
            change = "updated";
        }
        if done == ProviderChange::Updated
            && !args.same_tenant
            && before.as_ref().is_some_and(|row| leads_elsewhere(&row.settings, settings))
        {
            eprintln!(
                "warning: `{}` leads to another host; its links are dropped and found again by look-up (`--same-tenant` keeps them)",
                settings.name
            );
            store.drop_links(id).await?;
        }
        if let Some(secret) = &provider.secret
            && store.put_provider_secret(id, secret).await?
            && change == "unchanged"
        {
            change = "updated";
        }
    }
    Ok(Entry { name: settings.name.to_string(), change, differences, joiners, leavers })
}

fn differences(
    row: &ProviderRow,
    after: &scimfleet_core::provider::ProviderSettings,
) -> BTreeMap<String, (Value, Value)> {
    let fields = |settings: &scimfleet_core::provider::ProviderSettings| match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(&row.settings), fields(&after.without_header_values()));
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            let of = |fields: &serde_json::Map<String, Value>| fields.get(key).cloned().unwrap_or(Value::Null);
            (key.clone(), (of(&before), of(&after)))
        })
        .collect()
}

/// How many users a new scope lets in, and how many it puts out, against what is linked now.
async fn movers(
    store: &Store,
    evaluator: &Evaluator,
    before: Option<&ProviderRow>,
    after: &scimfleet_core::provider::ProviderSettings,
) -> Result<(u64, u64), CliError> {
    let row = match before {
        Some(row) => ProviderRow { settings: after.clone(), ..row.clone() },
        None => crate::command::preview::imagined(after),
    };
    scimfleet_scheduler::count_movers(store, evaluator, &row).await.map_err(CliError::failed)
}

fn text(applied: &Applied) -> String {
    let mut lines = Vec::new();
    for (kind, entries) in [("mapping", &applied.mappings), ("provider", &applied.providers)] {
        for entry in entries {
            let mut detail: Vec<String> =
                entry.differences.iter().map(|(key, (from, to))| format!("{key}: {from} → {to}")).collect();
            if let (Some(joiners), Some(leavers)) = (entry.joiners, entry.leavers) {
                detail.push(format!("{joiners} users enter the scope, {leavers} leave it"));
            }
            let change = match (applied.plan, entry.change) {
                (true, "created") => "would be created",
                (true, "updated") => "would be updated",
                (_, change) => change,
            };
            lines.push(vec![kind.to_owned(), entry.name.clone(), change.to_owned(), detail.join("; ")]);
        }
    }
    if lines.is_empty() {
        "The file declares nothing.".to_owned()
    } else {
        table(&["WHAT", "NAME", "CHANGE", ""], lines)
    }
}
