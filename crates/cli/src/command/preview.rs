//! `preview`, `sync --dry-run` and `sync --object`.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::state::{LinkState, ProviderState};
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_core::{ProviderId, TaskId};
use scimfleet_runtime::{Drain, Exit};
use scimfleet_scheduler::{Duty, Scopes, sync_object as mark_object, wanted};
use scimfleet_store::{LinkRow, ProviderRow, ResourceRow, RunError, Store};
use scimfleet_worker::preview::{DryRun, Preview};
use scimfleet_worker::{Providers, preview};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::args::PreviewArgs;
use crate::context::{Context, object, provider};
use crate::error::CliError;
use crate::insight::scope_words;
use crate::output::table;
use crate::report::{Report, RunReport, Tasks, object_counters, request_counters};
use crate::wire::{Parts, coordination, egress};

/// How long `sync --object` waits for somebody else's workers.
const OBJECT_WAIT_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A provider that is not there yet, for plans.
pub(crate) fn imagined(settings: &ProviderSettings) -> ProviderRow {
    ProviderRow {
        id: ProviderId(Uuid::nil()),
        settings: settings.clone(),
        generation: 0,
        state: ProviderState::Active,
        state_reason: None,
        state_since_ms: 0,
        announced: None,
        announced_at_ms: None,
        remembered: Map::new(),
        scope_due: false,
        secret_at_ms: None,
        reconcile_due: false,
    }
}

pub(crate) async fn run(context: Context, args: PreviewArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let row = provider(&store, &args.provider).await?;
    let resource = object(&store, &args.object).await?;
    let evaluator = context.evaluator()?;
    let scopes = Scopes::of(&store, &evaluator, &row).await.map_err(CliError::failed)?;
    let verdict = scopes.judge(vec![resource.clone()], false).await.map_err(CliError::failed)?;
    let scope = scope_words(verdict.first().map(|verdict| verdict.wanted));
    let link = store.links_at(row.id, std::slice::from_ref(&resource.id)).await?.into_iter().next();
    let known = Providers::new(store.clone(), egress(&context)).offline(row).await.map_err(CliError::usage)?;
    let shown =
        preview::preview(&store, &evaluator, &known, &resource, link.as_ref()).await.map_err(CliError::failed)?;
    let document = json!({
        "provider": args.provider, "object": resource.id, "kind": resource.kind, "source": source(&resource),
        "scope": scope, "link": link.as_ref().map(|link| json!({ "state": link.state, "remote_id": link.remote_id })),
        "preview": shown,
    });
    context.output.print(&document, || describe(&resource, scope, &shown))?;
    Ok(if shown.invalid.is_some() { Exit::Stopped } else { Exit::Done })
}

fn source(resource: &ResourceRow) -> Value {
    json!({ "source": resource.source, "document": resource.document })
}

fn describe(resource: &ResourceRow, scope: &str, shown: &Preview) -> String {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let mut text = format!("{} `{}` ({}), {scope}\n", resource.kind, resource.name(), resource.source);
    for mapping in &shown.mappings {
        text.push_str(&format!(
            "\nmapping {}:\n{}\n",
            mapping.mapping,
            mapping.remark.clone().unwrap_or_else(|| pretty(&mapping.payload))
        ));
    }
    if let Some(data) = &shown.invalid {
        let by = data.mapping.as_deref().map(|name| format!(" (mapping `{name}`)")).unwrap_or_default();
        text.push_str(&format!("\nmay not be sent{by}: {}", data.message));
        for violation in &data.violations {
            text.push_str(&format!("\n  {}: {}", violation.path, violation.rule));
        }
        return text;
    }
    if let Some(merged) = &shown.merged {
        text.push_str(&format!("\nmerged:\n{}\n", pretty(&Value::Object(merged.clone()))));
    }
    text.push_str(&format!("\noperation: {}", shown.operation));
    for request in &shown.requests {
        text.push_str(&format!(
            "\n{} {}\n{}",
            request["method"].as_str().unwrap_or_default(),
            request["path"].as_str().unwrap_or_default(),
            pretty(&request["body"])
        ));
    }
    text
}

/// Plans whole syncs and prints them; nothing is written anywhere.
pub(crate) async fn dry_run(
    context: &Context,
    store: Store,
    providers: &[ProviderRow],
    reference: Option<&str>,
) -> Result<Exit, CliError> {
    let (evaluator, coordination) = (context.evaluator()?, coordination(context).await?);
    let only = match reference {
        Some(reference) => Some(object(&store, reference).await?.id),
        None => None,
    };
    let mut report = Report { runs: Vec::new() };
    for row in providers {
        let began = std::time::Instant::now();
        let known = Providers::new(store.clone(), egress(context)).look_at(row.clone()).await;
        let known = known.map_err(CliError::failed)?;
        let inside: HashSet<_> = wanted(&store, &evaluator, row).await.map_err(CliError::failed)?;
        let dry = preview::dry_run(&store, &evaluator, &known, &*coordination, &inside, usize::MAX, &|_| ()).await;
        let mut dry = dry.map_err(CliError::failed)?;
        if let Some(only) = &only {
            dry.plan.retain(|planned| planned.object == *only);
        }
        let kind = if only.is_some() { "object" } else { "full" };
        report.runs.push(report_of(row, kind, dry, began.elapsed()));
    }
    context.output.print(&report, || dry_text(&report))?;
    Ok(report.exit(false))
}

fn report_of(row: &ProviderRow, kind: &str, dry: DryRun, took: Duration) -> RunReport {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for planned in &dry.plan {
        *counts.entry(planned.counter().to_owned()).or_default() += 1;
    }
    counts.insert("unchanged".to_owned(), dry.unchanged);
    counts.insert("parked".to_owned(), dry.parked.len() as u64);
    let requests = BTreeMap::from([("GET".to_owned(), dry.reads)]);
    let error = dry.stopped.map(|(object, data)| RunError {
        code: "invalid".to_owned(),
        message: format!("`{object}`: {}", data.message),
        object: Some(object),
        mapping: data.mapping,
        violations: data.violations.iter().filter_map(|one| serde_json::to_value(one).ok()).collect(),
    });
    RunReport {
        id: Uuid::now_v7().to_string(),
        provider: row.settings.name.clone(),
        kind: kind.to_owned(),
        state: if error.is_some() { "stopped" } else { "completed" }.to_owned(),
        counts: object_counters(&counts),
        requests: request_counters(&requests),
        tasks: Tasks::default(),
        duration_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        error,
        plan: Some(dry.plan.iter().filter_map(|planned| serde_json::to_value(planned).ok()).collect()),
    }
}

fn dry_text(report: &Report) -> String {
    let mut text = String::new();
    for run in &report.runs {
        let lines = run.plan.iter().flatten().map(|planned| {
            let part = |name: &str| planned[name].as_str().unwrap_or_default().to_owned();
            let changes: Vec<&str> = planned["changes"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|change| change["path"].as_str())
                .collect();
            vec![
                run.provider.to_string(),
                part("operation"),
                part("kind"),
                part("name"),
                part("remote_id"),
                changes.join(", "),
            ]
        });
        text.push_str(&table(&["PROVIDER", "WOULD", "KIND", "OBJECT", "REMOTE ID", "ATTRIBUTES"], lines));
        text.push('\n');
    }
    format!("{text}\n{}\nNothing was written.", report.text())
}

/// Syncs one object and reports it as a run of kind `object`.
pub(crate) async fn sync_object(
    context: &Context,
    store: Store,
    providers: &[ProviderRow],
    reference: &str,
    fail_on_parked: bool,
) -> Result<Exit, CliError> {
    let report = sync_now(context, store, providers, reference).await?;
    context.output.print(&report, || report.text())?;
    Ok(report.exit(fail_on_parked))
}

/// One object to some providers, here or by whoever does the work.
pub(super) async fn sync_now(
    context: &Context,
    store: Store,
    providers: &[ProviderRow],
    reference: &str,
) -> Result<Report, CliError> {
    let alone = context.works_alone(&store).await?;
    let drain = Drain::default();
    let parts = Parts::new(context, store.clone(), drain.clone()).await?;
    let scheduler = parts.scheduler(context, Duty::RunsOnly);
    if alone {
        drain.spawn(scimfleet_worker::run(parts.worker(context)));
    }
    let mut report = Report { runs: Vec::new() };
    for row in providers {
        let began = store.now_ms();
        let id = mark_object(&scheduler, &row.settings.name, reference).await?;
        let resource = object(&store, reference).await?;
        if alone {
            let name = row.settings.name.clone();
            let task = Task::new(
                TaskId(Uuid::now_v7()),
                None,
                name,
                resource.kind,
                Lane::Changes,
                Cause::Job,
                vec![id.clone()],
            );
            parts.queue.declare_provider(&row.settings.name).await?;
            parts.queue.publish(&[task], None).await?;
        }
        report.runs.push(settled(&store, row, &resource, began).await?);
    }
    drain.begin();
    drain.finish().await;
    Ok(report)
}

/// Whether nobody recorded anything of an object since it was asked for. A link that is as young as the question
/// was made by it: only an attempt, or words, tell that somebody worked on it.
fn is_pending(link: &LinkRow, began_ms: i64) -> bool {
    let worked_on = link.updated_at_ms >= began_ms && (link.attempts > 0 || link.last_error.is_some());
    link.dirty && !worked_on
}

/// Waits until the link has settled, then tells from the log what was done.
async fn settled(store: &Store, row: &ProviderRow, resource: &ResourceRow, began: i64) -> Result<RunReport, CliError> {
    let deadline = tokio::time::Instant::now() + OBJECT_WAIT_MAX;
    let link = loop {
        let link = store.links_at(row.id, std::slice::from_ref(&resource.id)).await?.into_iter().next();
        let pending = link.as_ref().is_some_and(|link| is_pending(link, began));
        if !pending || tokio::time::Instant::now() > deadline {
            break link;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut requests: BTreeMap<String, u64> = BTreeMap::new();
    let log = store.log_of(&resource.id, Some(row.id), 50).await?;
    let fresh = log.iter().filter(|entry| entry.at_ms >= began);
    for entry in fresh {
        let method = match entry.operation.as_str() {
            "create" => "POST",
            "replace" => "PUT",
            "delete" => "DELETE",
            _ => "PATCH",
        };
        *requests.entry(method.to_owned()).or_default() += 1;
        if entry.outcome == "done" {
            let counter = match entry.operation.as_str() {
                "create" => "created",
                "delete" => "deleted",
                "deactivate" => "deactivated",
                _ => "updated",
            };
            counts.insert(counter.to_owned(), 1);
        }
    }
    let state = link.as_ref().map(|link| link.state);
    let failed = matches!(state, Some(LinkState::Retrying | LinkState::Pending | LinkState::Leaving));
    match state {
        Some(LinkState::Parked) => drop(counts.insert("parked".to_owned(), 1)),
        Some(LinkState::Waiting) => drop(counts.insert("waiting".to_owned(), 1)),
        _ if failed => drop(counts.insert("failed".to_owned(), 1)),
        _ if counts.is_empty() => drop(counts.insert("unchanged".to_owned(), 1)),
        _ => {}
    }
    let error = link.filter(|_| failed).map(|link| RunError {
        code: "unsettled".to_owned(),
        message: link.last_error.unwrap_or_else(|| "nobody has worked on it yet".to_owned()),
        object: Some(resource.name().to_owned()),
        mapping: None,
        violations: Vec::new(),
    });
    Ok(RunReport {
        id: Uuid::now_v7().to_string(),
        provider: row.settings.name.clone(),
        kind: "object".to_owned(),
        state: if failed { "failed" } else { "completed" }.to_owned(),
        counts: object_counters(&counts),
        requests: request_counters(&requests),
        tasks: Tasks::default(),
        duration_ms: store.now_ms() - began,
        error,
        plan: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use scimfleet_core::{ResourceId, ResourceKind};
    use scimfleet_store::Wanted;

    #[test]
    fn a_link_that_was_just_made_is_waited_for() {
        let link = |dirty: bool, updated_at_ms: i64, attempts: i64, words: Option<&str>| LinkRow {
            provider_id: ProviderId(Uuid::nil()),
            resource_id: ResourceId::parse("u").unwrap(),
            kind: ResourceKind::User,
            wanted: Wanted::Yes,
            state: LinkState::Pending,
            park_reason: None,
            remote_id: None,
            ownership: None,
            sent_digest: None,
            sent_document: None,
            dirty,
            attempts,
            due_at_ms: 0,
            last_error: words.map(str::to_owned),
            updated_at_ms,
            drifted: false,
        };
        let cases = [
            (link(true, 100, 0, None), true, "made by the question"),
            (link(true, 90, 3, Some("of an earlier attempt")), true, "asked for after the last attempt"),
            (link(true, 101, 1, Some("503")), false, "tried, and failed"),
            (link(true, 101, 0, Some("the provider asked to wait")), false, "tried, and throttled"),
            (link(false, 101, 0, None), false, "in step"),
            (link(false, 90, 0, None), false, "parked or held before"),
        ];
        for (link, pending, why) in cases {
            assert_eq!(is_pending(&link, 100), pending, "{why}");
        }
    }
}
