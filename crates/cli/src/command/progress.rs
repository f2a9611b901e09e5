//! Progress of runs: bars on a terminal; elsewhere nothing, or a line for each phase for whoever follows.

use std::collections::HashMap;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use scimfleet_core::state::RunState;
use scimfleet_core::{ProviderName, RunId};
use scimfleet_store::{RunRow, Store, StoreError};

/// Objects done of those tasked, for each run.
pub(crate) struct Progress {
    shown: bool,
    /// Whether each phase is told in a line where bars cannot be shown.
    told: bool,
    phases: HashMap<RunId, RunState>,
    all: MultiProgress,
    bars: HashMap<RunId, ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            told: false,
            phases: HashMap::new(),
            all: MultiProgress::new(),
            bars: HashMap::new(),
        }
    }

    /// For whoever asked to see what happens, in a pipe too.
    pub(crate) fn followed() -> Self {
        Self { told: true, ..Self::new() }
    }

    pub(crate) async fn show(
        &mut self,
        store: &Store,
        provider: &ProviderName,
        run: &RunRow,
    ) -> Result<(), StoreError> {
        if !self.shown {
            self.tell(provider, run);
            return Ok(());
        }
        let tasks = store.run_tasks(run.id).await?;
        let of = |done: bool| -> u64 {
            let counted = tasks.iter().filter(|task| !done || task.state != "open");
            counted.map(|task| task.objects.unsigned_abs()).sum()
        };
        let all = &self.all;
        let bar = self.bars.entry(run.id).or_insert_with(|| {
            let bar = all.add(ProgressBar::new(0));
            let style = ProgressStyle::with_template("{prefix:>16} {msg:11} {wide_bar} {pos}/{len} objects {elapsed}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(provider.to_string())
        });
        bar.set_length(of(false));
        bar.set_position(of(true));
        bar.set_message(run.state.to_string());
        if run.state.is_final() {
            bar.finish();
        }
        Ok(())
    }

    fn tell(&mut self, provider: &ProviderName, run: &RunRow) {
        if self.told && self.phases.insert(run.id, run.state) != Some(run.state) {
            eprintln!("{provider}: {}", run.state);
        }
    }

    pub(crate) fn clear(&self) {
        if self.shown && self.all.clear().is_err() {
            tracing::debug!("the progress bars could not be cleared");
        }
    }
}
