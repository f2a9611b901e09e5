//! The report of runs (contract §2), for programs and for people.

use scimfleet_core::ProviderName;
use scimfleet_core::state::{LinkState, RunState};
use scimfleet_runtime::Exit;
use scimfleet_store::{Counts, RunError, RunRow, RunTaskRow, Store};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::output::table;

/// The counters of a report, in the order of the contract.
const OBJECT_COUNTERS: [&str; 10] =
    ["created", "updated", "deleted", "deactivated", "adopted", "unchanged", "parked", "waiting", "held", "failed"];
const REQUEST_COUNTERS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "bulk_operations"];

/// What `sync --wait` prints.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) runs: Vec<RunReport>,
}

/// One run of it.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    pub(crate) id: String,
    pub(crate) provider: ProviderName,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) counts: Map<String, Value>,
    pub(crate) requests: Map<String, Value>,
    pub(crate) tasks: Tasks,
    pub(crate) duration_ms: i64,
    pub(crate) error: Option<RunError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Vec<Value>>,
}

/// Tasks by what they carried.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Tasks {
    pub(crate) users: usize,
    pub(crate) groups: usize,
}

impl RunReport {
    /// Reads a run that has ended, or that goes on, with what its tasks counted.
    pub(crate) async fn read(store: &Store, provider: &ProviderName, run: &RunRow) -> Result<Self, CliError> {
        let tasks = store.run_tasks(run.id).await?;
        let mut counts = Counts::default();
        tasks.iter().for_each(|task| counts.add(&task.counts));
        let links = store.link_counts(run.provider_id).await?;
        let standing = |state: LinkState| links.by_state.get(&state).copied().unwrap_or_default();
        let objects = &mut counts.objects;
        *objects.entry("unchanged".to_owned()).or_default() += run.untasked.unsigned_abs();
        // What stands at the end counts, not how often a task met it.
        objects.insert("parked".to_owned(), standing(LinkState::Parked));
        objects.insert("waiting".to_owned(), standing(LinkState::Waiting));
        objects.insert("failed".to_owned(), standing(LinkState::Retrying));
        objects.insert("held".to_owned(), store.count_held(run.provider_id).await?);
        let began = run.started_at_ms.unwrap_or(run.created_at_ms);
        Ok(Self {
            id: run.id.to_string(),
            provider: provider.clone(),
            kind: run.kind.clone(),
            state: run.state.to_string(),
            counts: counters(&OBJECT_COUNTERS, &counts.objects),
            requests: counters(&REQUEST_COUNTERS, &counts.requests),
            tasks: count_tasks(&tasks),
            duration_ms: run.finished_at_ms.unwrap_or_else(|| store.now_ms()) - began,
            error: run.error.clone(),
            plan: None,
        })
    }

    pub(crate) fn count(&self, counter: &str) -> u64 {
        self.counts.get(counter).and_then(Value::as_u64).unwrap_or_default()
    }

    /// The exit code that this run means.
    pub(crate) fn exit(&self, fail_on_parked: bool) -> Exit {
        let state = match self.state.parse() {
            Ok(RunState::Completed) => Exit::Done,
            Ok(RunState::Stopped) => Exit::Stopped,
            _ => Exit::Failed,
        };
        let parked = if fail_on_parked && self.count("parked") > 0 { Exit::Failed } else { Exit::Done };
        let held = if self.count("held") > 0 { Exit::Held } else { Exit::Done };
        state.and(parked).and(held)
    }
}

pub(crate) fn counters(names: &[&str], counted: &std::collections::BTreeMap<String, u64>) -> Map<String, Value> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), Value::from(counted.get(*name).copied().unwrap_or_default())))
        .collect()
}

pub(crate) fn object_counters(counted: &std::collections::BTreeMap<String, u64>) -> Map<String, Value> {
    counters(&OBJECT_COUNTERS, counted)
}

pub(crate) fn request_counters(counted: &std::collections::BTreeMap<String, u64>) -> Map<String, Value> {
    counters(&REQUEST_COUNTERS, counted)
}

fn count_tasks(tasks: &[RunTaskRow]) -> Tasks {
    let of = |phase: RunState| tasks.iter().filter(|task| task.phase == phase).count();
    Tasks { users: of(RunState::Users), groups: of(RunState::Groups) }
}

impl Report {
    pub(crate) fn exit(&self, fail_on_parked: bool) -> Exit {
        self.runs.iter().map(|run| run.exit(fail_on_parked)).collect()
    }

    /// The summary for people: a line for each run, then what went wrong.
    pub(crate) fn text(&self) -> String {
        let heading = [
            "PROVIDER",
            "STATE",
            "CREATED",
            "UPDATED",
            "DELETED",
            "DEACTIVATED",
            "ADOPTED",
            "UNCHANGED",
            "PARKED",
            "WAITING",
            "HELD",
            "FAILED",
            "REQUESTS",
            "TIME",
        ];
        let rows = self.runs.iter().map(|run| {
            let mut row = vec![run.provider.to_string(), run.state.clone()];
            row.extend(OBJECT_COUNTERS.iter().map(|counter| run.count(counter).to_string()));
            let requests: u64 = run.requests.values().filter_map(Value::as_u64).sum();
            row.push(requests.to_string());
            row.push(format!(
                "{:.1} s",
                std::time::Duration::from_millis(run.duration_ms.unsigned_abs()).as_secs_f64()
            ));
            row
        });
        let mut text = table(&heading, rows);
        for run in &self.runs {
            if let Some(error) = &run.error {
                text.push_str(&format!("\n\n{}", describe(run, error)));
            }
            if run.count("held") > 0 {
                text.push_str(&format!(
                    "\n\n{}: {} removals are withheld; `scimfleet holds list` shows them",
                    run.provider,
                    run.count("held")
                ));
            }
        }
        text
    }
}

fn describe(run: &RunReport, error: &RunError) -> String {
    let mut text = format!("{}: {} ({})", run.provider, error.message, error.code);
    if let Some(mapping) = &error.mapping {
        text.push_str(&format!("\n  mapping: {mapping}"));
    }
    for violation in &error.violations {
        let part = |name: &str| violation.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        text.push_str(&format!("\n  {}: {} ({})", part("path"), part("rule"), part("value_kind")));
    }
    text
}
