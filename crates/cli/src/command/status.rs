//! `status`: everything on one screen; one sentence first, the providers that need a person before the others.

use scimfleet_core::state::{LinkState, ProviderState};
use scimfleet_runtime::Exit;
use scimfleet_store::{Leaver, ProviderRow, RunRow, Store};
use serde_json::{Value, json};

use crate::context::{Context, SERVE_LEASE};
use crate::error::CliError;
use crate::output::table;
use crate::standing::{Figures, LastRun, OVERDUE_MS, Standing, sentence};
use crate::times::age;
use crate::wire::coordination;

/// The scheduler's lease (its crate keeps the name to itself).
const SCHEDULER_LEASE: &str = "scheduler";
/// Leavers looked at; more than that is shown as "or more".
const LEAVERS_MAX: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;

pub(crate) async fn run(context: Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let now = store.now_ms();
    let leavers = store.leavers(0, None, None, LEAVERS_MAX).await?;
    let mut providers = Vec::new();
    for row in store.providers().await? {
        providers.push(figures(&store, &row, &leavers, now).await?);
    }
    // The one thing that is wrong is the first thing seen.
    providers
        .sort_by(|one, other| (other.standing(now), one.name.as_str()).cmp(&(one.standing(now), other.name.as_str())));
    let roles = Roles::read(&context, &store).await?;
    let held: u64 = providers.iter().map(|one| one.held).sum();
    let sentence = sentence(&providers, now);
    let calm = providers.iter().all(|one| one.standing(now) < Standing::Person);
    let documents: Vec<Value> = providers.iter().map(|one| document(one, now)).collect();
    let whole = json!({ "sentence": sentence, "calm": calm, "roles": roles.document(), "held": held,
        "leavers_seen_max": LEAVERS_MAX, "providers": documents });
    context.output.print(&whole, || text(&sentence, &providers, &roles, now))?;
    Ok(Exit::Done)
}

async fn figures(store: &Store, row: &ProviderRow, leavers: &[Leaver], now: i64) -> Result<Figures, CliError> {
    let glance = store.glance(row.id).await?;
    let ours: Vec<&Leaver> = leavers.iter().filter(|leaver| leaver.provider_id == row.id && !leaver.held).collect();
    let writes = store.writes_by_minute(row.id, now - MINUTE_MS, now).await?;
    let last = store.runs(Some(row.id), 1).await?.into_iter().next();
    Ok(Figures {
        name: row.settings.name.to_string(),
        state: row.state,
        reason: row.state_reason.clone(),
        leavers: ours.len(),
        leavers_since_ms: ours.iter().map(|leaver| leaver.since_ms).min(),
        changes: glance.owed.saturating_sub(u64::try_from(ours.len()).unwrap_or(u64::MAX)),
        changes_since_ms: glance.owed_since_ms,
        in_sync: glance.by_state.get(&LinkState::InSync).copied().unwrap_or_default(),
        parked: glance.by_state.get(&LinkState::Parked).copied().unwrap_or_default(),
        held: glance.held,
        last_run: last.map(last_run),
        writes_last_minute: writes.iter().map(|minute| minute.count).sum(),
        rate: row.settings.rate.clone(),
    })
}

fn last_run(run: RunRow) -> LastRun {
    LastRun {
        id: run.id.to_string(),
        state: run.state,
        at_ms: run.finished_at_ms.unwrap_or(run.created_at_ms),
        error: run.error.map(|error| error.message),
    }
}

/// Who is at work.
struct Roles {
    serve: bool,
    scheduler: Option<String>,
    /// Unknown where workers share no Redis.
    workers: Option<usize>,
}

impl Roles {
    async fn read(context: &Context, store: &Store) -> Result<Self, CliError> {
        let workers = match context.config.coordination.url.scheme().as_str() {
            "memory" => None,
            _ => match coordination(context).await {
                Ok(shared) => shared.workers().await.ok().map(|workers| workers.len()),
                Err(_) => None,
            },
        };
        Ok(Self {
            serve: store.lease_holder(SERVE_LEASE).await?.is_some(),
            scheduler: store.lease_holder(SCHEDULER_LEASE).await?,
            workers,
        })
    }

    fn document(&self) -> Value {
        json!({ "serve": self.serve, "scheduler": self.scheduler, "workers": self.workers })
    }

    fn text(&self) -> String {
        let workers = match self.workers {
            Some(1) => "1 worker".to_owned(),
            Some(count) => format!("{count} workers"),
            None => "workers unknown (no Redis)".to_owned(),
        };
        match (self.serve, &self.scheduler) {
            (true, _) => "`serve` does the work.".to_owned(),
            (false, Some(_)) => format!("A scheduler leads; {workers}."),
            (false, None) => {
                format!("No scheduler leads; {workers}. Nothing moves by itself until `serve` or `scheduler` runs.")
            }
        }
    }
}

fn document(one: &Figures, now: i64) -> Value {
    json!({ "name": one.name, "standing": one.standing(now).as_str(), "state": one.state, "reason": one.reason,
        "leavers": { "waiting": one.leavers, "since_ms": one.leavers_since_ms, "overdue": one.overdue(now) },
        "changes": { "waiting": one.changes, "since_ms": one.changes_since_ms },
        "in_sync": one.in_sync, "parked": one.parked, "held": one.held,
        "last_run": one.last_run.as_ref().map(|run| json!({ "id": run.id, "state": run.state, "at_ms": run.at_ms,
            "error": run.error })),
        "writes_last_minute": one.writes_last_minute, "rate": one.rate })
}

fn text(sentence: &str, providers: &[Figures], roles: &Roles, now: i64) -> String {
    if providers.is_empty() {
        return format!("{sentence}\n{}", roles.text());
    }
    let heading =
        ["", "PROVIDER", "STATE", "LEAVERS", "CHANGES", "IN SYNC", "PARKED", "HELD", "LAST SYNC", "WRITES/MIN", "RATE"];
    let mut text = format!("{sentence}\n\n{}", table(&heading, providers.iter().map(|one| line(one, now))));
    for one in providers {
        let notes = [
            one.reason.as_ref().filter(|_| one.state != ProviderState::Active).map(|reason| format!("state: {reason}")),
            one.last_run.as_ref().and_then(|run| run.error.as_ref().map(|error| format!("last sync: {error}"))),
        ];
        for note in notes.into_iter().flatten() {
            text.push_str(&format!("\n{} {note}", one.name));
        }
    }
    text.push_str(&format!("\n\n{}", roles.text()));
    if providers.iter().any(|one| one.held > 0) {
        text.push_str(" `scimfleet holds list` shows what is withheld.");
    }
    if providers.iter().any(|one| one.parked > 0) {
        text.push_str(" `scimfleet parked list` shows what is parked.");
    }
    text
}

fn line(one: &Figures, now: i64) -> Vec<String> {
    let waiting = |count: u64, since: Option<i64>| match since {
        Some(since) if count > 0 => format!("{count} for {}", age(since, now)),
        _ => count.to_string(),
    };
    let leavers = waiting(u64::try_from(one.leavers).unwrap_or(u64::MAX), one.leavers_since_ms);
    let overdue = one.leavers_since_ms.is_some_and(|since| now - since > OVERDUE_MS);
    vec![
        one.standing(now).shape().to_owned(),
        one.name.clone(),
        one.word(now),
        if overdue { format!("{leavers}!") } else { leavers },
        waiting(one.changes, one.changes_since_ms.filter(|_| one.changes > 0)),
        one.in_sync.to_string(),
        one.parked.to_string(),
        one.held.to_string(),
        one.last_run.as_ref().map(|run| format!("{} {} ago", run.state, age(run.at_ms, now))).unwrap_or_default(),
        one.writes_last_minute.to_string(),
        one.rate.clone().unwrap_or_else(|| "no limit".to_owned()),
    ]
}
