//! A run as a grid: one cell for each task of 100 objects, filling as they complete. A large run puts
//! several tasks into a cell, so that the page stays small.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use scimfleet_core::RunId;
use scimfleet_core::state::RunState;
use scimfleet_store::{Counts, RunCell, RunError};
use serde_json::Value;

use crate::times::{Lasted, counted};

/// Cells of all phases together: about 60 kB.
const CELLS_MAX: usize = 400;

/// The tasks of one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhaseGrid {
    pub(crate) phase: RunState,
    /// `7 of 12 tasks done, 1,200 objects`.
    pub(crate) summary: String,
    /// Tasks in a cell.
    pub(crate) tasks_per_cell: usize,
    pub(crate) cells: Vec<Cell>,
}

/// One or several tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// `open`, `part`, `done`, `some` (failures), `bad` (nothing else) or `dropped`.
    pub(crate) class: &'static str,
    /// Who, how many, how long.
    pub(crate) title: String,
    /// Leads to the objects, when it is one task.
    pub(crate) href: Option<String>,
}

/// What a worker did in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerLine {
    pub(crate) worker: String,
    pub(crate) tasks: u64,
    pub(crate) objects: u64,
    pub(crate) troubled: u64,
}

/// A rule of the schema that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) rule: String,
    pub(crate) value_kind: String,
}

/// The counters of a whole run.
pub(crate) fn sums(cells: &[RunCell], untasked: u64) -> Counts {
    let mut sums = Counts::default();
    cells.iter().for_each(|cell| sums.add(&cell.counts));
    *sums.objects.entry("unchanged".to_owned()).or_default() += untasked;
    sums
}

fn troubled(cell: &RunCell) -> u64 {
    ["failed", "parked", "held"].iter().filter_map(|name| cell.counts.objects.get(*name)).sum()
}

/// The grid, phase by phase.
pub(crate) fn phases(cells: &[RunCell], run: RunId) -> Vec<PhaseGrid> {
    let tasks_per_cell = cells.len().div_ceil(CELLS_MAX).max(1);
    let mut phases: Vec<(RunState, Vec<&RunCell>)> = Vec::new();
    for cell in cells {
        match phases.iter_mut().find(|(phase, _)| *phase == cell.phase) {
            Some((_, list)) => list.push(cell),
            None => phases.push((cell.phase, vec![cell])),
        }
    }
    phases
        .into_iter()
        .map(|(phase, list)| {
            let done = list.iter().filter(|cell| cell.state == "done").count();
            let objects = list.iter().map(|cell| cell.objects.unsigned_abs()).sum();
            let summary = format!(
                "{done} of {} done, {}",
                counted(list.len() as u64, "task", "tasks"),
                counted(objects, "object", "objects")
            );
            let cells = list.chunks(tasks_per_cell).map(|tasks| cell(tasks, run)).collect();
            PhaseGrid { phase, summary, tasks_per_cell, cells }
        })
        .collect()
}

fn cell(tasks: &[&RunCell], run: RunId) -> Cell {
    let count = |state: &str| tasks.iter().filter(|task| task.state == state).count();
    let objects: u64 = tasks.iter().map(|task| task.objects.unsigned_abs()).sum();
    let troubled: u64 = tasks.iter().map(|task| troubled(task)).sum();
    let (done, dropped) = (count("done"), count("dropped"));
    let class = if troubled > 0 && troubled >= objects {
        "bad"
    } else if troubled > 0 {
        "some"
    } else if done == tasks.len() {
        "done"
    } else if dropped > 0 {
        "dropped"
    } else if done > 0 {
        "part"
    } else {
        "open"
    };
    let mut title = counted(objects, "object", "objects");
    if troubled > 0 {
        let _ = write!(title, ", {troubled} of them in trouble");
    }
    match tasks {
        [task] => title.push_str(&story(task)),
        _ => {
            let _ = write!(title, ", {done} of {} tasks done", tasks.len());
        }
    }
    let href = match tasks {
        [task] if task.objects > 0 => Some(format!("/runs/{run}/tasks/{}", task.id)),
        _ => None,
    };
    Cell { class, title, href }
}

fn story(task: &RunCell) -> String {
    let mut text = format!(", {}", task.state);
    if let Some(worker) = &task.worker {
        let _ = write!(text, " by {worker}");
    }
    if let Some(finished) = task.finished_at_ms {
        let _ = write!(text, ", {} after it was made", Lasted(finished - task.created_at_ms));
    }
    if task.tries > 0 {
        let _ = write!(text, ", handed on {}", counted(task.tries.unsigned_abs(), "time", "times"));
    }
    text
}

/// What each worker did, the busiest first.
pub(crate) fn workers(cells: &[RunCell]) -> Vec<WorkerLine> {
    let mut lines: BTreeMap<&str, WorkerLine> = BTreeMap::new();
    for cell in cells {
        let Some(worker) = cell.worker.as_deref() else { continue };
        let line = lines.entry(worker).or_insert_with(|| WorkerLine {
            worker: worker.to_owned(),
            tasks: 0,
            objects: 0,
            troubled: 0,
        });
        line.tasks += 1;
        line.objects += cell.objects.unsigned_abs();
        line.troubled += troubled(cell);
    }
    let mut lines: Vec<WorkerLine> = lines.into_values().collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.tasks));
    lines
}

/// What was wrong with the object that stopped a run.
pub(crate) fn violations(error: &RunError) -> Vec<Violation> {
    let text = |value: &Value, key: &str| value.get(key).map(words).unwrap_or_default();
    let one = |value: &Value| Violation {
        path: text(value, "path"),
        rule: text(value, "rule"),
        value_kind: text(value, "value_kind"),
    };
    error.violations.iter().map(one).collect()
}

/// A JSON value as a person reads it: a text without its quotes.
pub(crate) fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scimfleet_core::{ResourceKind, TaskId};

    fn run() -> RunId {
        serde_json::from_str("\"0190d0f0-0000-7000-8000-000000000001\"").unwrap()
    }

    fn task(state: &str, troubled: u64) -> RunCell {
        let mut counts = Counts::default();
        if troubled > 0 {
            counts.objects.insert("failed".to_owned(), troubled);
        }
        RunCell {
            id: TaskId(run().0),
            phase: RunState::Users,
            kind: ResourceKind::User,
            state: state.to_owned(),
            objects: 100,
            counts,
            worker: (state == "done").then(|| "w1".to_owned()),
            tries: 0,
            created_at_ms: 1_000,
            finished_at_ms: (state == "done").then_some(3_000),
        }
    }

    #[test]
    fn a_cell_tells_what_became_of_its_task() {
        let cases = [
            ("open", 0, "open"),
            ("done", 0, "done"),
            ("done", 3, "some"),
            ("done", 100, "bad"),
            ("dropped", 0, "dropped"),
        ];
        for (state, troubled, class) in cases {
            assert_eq!(phases(&[task(state, troubled)], run())[0].cells[0].class, class, "{state} {troubled}");
        }
        let grid = phases(&[task("done", 3), task("open", 0)], run());
        assert_eq!(grid[0].summary, "1 of 2 tasks done, 200 objects");
        assert_eq!(grid[0].cells[0].title, "100 objects, 3 of them in trouble, done by w1, 2 s after it was made");
        assert_eq!(workers(&[task("done", 3), task("done", 0), task("open", 0)])[0].objects, 200);
    }

    #[test]
    fn a_large_run_has_a_small_grid() {
        let tasks: Vec<RunCell> = (0..10_000).map(|n| task(if n < 30 { "done" } else { "open" }, 0)).collect();
        let grid = phases(&tasks, run());
        assert_eq!((grid[0].cells.len(), grid[0].tasks_per_cell), (400, 25));
        let first: Vec<&str> = grid[0].cells[..3].iter().map(|cell| cell.class).collect();
        assert_eq!(first, ["done", "part", "open"]);
        assert_eq!(grid[0].cells[1].href, None);
    }
}
