//! Progress of runs, on a terminal only.

use std::collections::HashMap;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use scimfleet_core::{ProviderName, RunId};
use scimfleet_store::{RunRow, Store, StoreError};

/// A bar for each run: objects done of those tasked.
pub(crate) struct Progress {
    shown: bool,
    all: MultiProgress,
    bars: HashMap<RunId, ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal(), all: MultiProgress::new(), bars: HashMap::new() }
    }

    pub(crate) async fn show(
        &mut self,
        store: &Store,
        provider: &ProviderName,
        run: &RunRow,
    ) -> Result<(), StoreError> {
        if !self.shown {
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

    pub(crate) fn clear(&self) {
        if self.shown && self.all.clear().is_err() {
            tracing::debug!("the progress bars could not be cleared");
        }
    }
}
