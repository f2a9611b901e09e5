//! `sync`: opens runs; where nobody else does the work, does it here.

use std::time::Duration;

use scimfleet_core::{ProviderName, RunId};
use scimfleet_runtime::{Drain, Exit};
use scimfleet_scheduler::{Duty, open_run};
use scimfleet_store::{ProviderRow, Signal, Store};
use serde_json::json;

use super::progress::Progress;
use crate::args::{FailOn, SyncArgs};
use crate::context::{Context, provider};
use crate::error::CliError;
use crate::report::{Report, RunReport};
use crate::wire::Parts;

/// Whoever waits looks at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn run(context: Context, args: SyncArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let providers = chosen(&store, &args).await?;
    if args.dry_run {
        return super::preview::dry_run(&context, store, &providers, args.object.as_deref()).await;
    }
    if let Some(object) = &args.object {
        return super::preview::sync_object(&context, store, &providers, object, fail_on_parked(&args)).await;
    }
    let alone = context.works_alone(&store).await?;
    let mut runs = Vec::with_capacity(providers.len());
    for row in &providers {
        runs.push((row.settings.name.clone(), open_run(&store, &row.settings.name).await?));
    }
    if !alone && !args.wait {
        let opened: Vec<_> = runs.iter().map(|(name, id)| json!({ "provider": name, "id": id })).collect();
        context.output.print(&json!({ "opened": opened }), || {
            runs.iter().map(|(name, id)| format!("{name}: run {id}")).collect::<Vec<_>>().join("\n")
        })?;
        return Ok(Exit::Done);
    }
    let report = if alone {
        work_alone(&context, &store, &runs).await?
    } else {
        wait(&store, &runs, None, Progress::new()).await?
    };
    context.output.print(&report, || report.text())?;
    Ok(report.exit(fail_on_parked(&args)))
}

fn fail_on_parked(args: &SyncArgs) -> bool {
    args.fail_on == Some(FailOn::Parked)
}

async fn chosen(store: &Store, args: &SyncArgs) -> Result<Vec<ProviderRow>, CliError> {
    if args.all {
        let all = store.providers().await?;
        if all.is_empty() {
            return Err(CliError::usage(
                "there is no provider yet; describe one in a fleet file and `scimfleet apply` it",
            ));
        }
        return Ok(all);
    }
    let mut rows: Vec<ProviderRow> = Vec::new();
    for name in &args.providers {
        if !rows.iter().any(|row| row.settings.name == *name) {
            rows.push(provider(store, name).await?);
        }
    }
    Ok(rows)
}

/// Scheduler and worker in this process, until the runs have ended or Ctrl-C.
async fn work_alone(context: &Context, store: &Store, runs: &[(ProviderName, RunId)]) -> Result<Report, CliError> {
    let drain = Drain::default();
    drain.on_signals().map_err(CliError::failed)?;
    let parts = Parts::new(context, store.clone(), drain.clone()).await?;
    drain.spawn(scimfleet_worker::run(parts.worker(context)));
    drain.spawn(scimfleet_scheduler::run(parts.scheduler(context, Duty::RunsOnly)));
    let report = wait(store, runs, Some(&drain), Progress::new()).await;
    drain.begin();
    drain.finish().await;
    report
}

/// Waits until the runs have ended; Ctrl-C while working alone cancels them.
pub(crate) async fn wait(
    store: &Store,
    runs: &[(ProviderName, RunId)],
    drain: Option<&Drain>,
    mut progress: Progress,
) -> Result<Report, CliError> {
    let mut signal = store.signals().subscribe(Signal::Runs);
    loop {
        let mut rows = Vec::with_capacity(runs.len());
        for (name, id) in runs {
            let row = store.run(*id).await?.ok_or_else(|| CliError::failed(format!("run {id} vanished")))?;
            progress.show(store, name, &row).await?;
            rows.push((name, row));
        }
        if rows.iter().all(|(_, row)| row.state.is_final()) {
            progress.clear();
            let mut report = Report { runs: Vec::with_capacity(rows.len()) };
            for (name, row) in &rows {
                report.runs.push(RunReport::read(store, name, row).await?);
            }
            return Ok(report);
        }
        if drain.is_some_and(Drain::is_begun) {
            for (_, row) in rows.iter().filter(|(_, row)| !row.state.is_final()) {
                store.end_run(row.id, scimfleet_core::state::RunState::Cancelled, None).await?;
            }
            continue;
        }
        tokio::select! {
            _ = signal.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
