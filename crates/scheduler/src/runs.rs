//! Moving runs from phase to phase (R13, R14): whoever closes a phase's last task says so, and the next
//! phase is opened by compare-and-set.

use scimfleet_core::state::{ProviderState, RunState};
use scimfleet_core::{ProviderId, RunId};
use scimfleet_runtime::metrics::RUN_SECONDS;
use scimfleet_store::{ProviderRow, RunError};

use crate::{Scheduler, SchedulerError};

impl Scheduler {
    /// Moves every run that can move, until none can.
    pub(crate) async fn move_runs(&self) -> Result<(), SchedulerError> {
        loop {
            let mut moved = false;
            for (run, provider, state) in self.store.runs_to_move().await? {
                moved |= self.move_run(run, provider, state).await?;
            }
            if !moved || self.drain.is_begun() {
                return Ok(());
            }
        }
    }

    async fn move_run(&self, run: RunId, provider: ProviderId, state: RunState) -> Result<bool, SchedulerError> {
        let Some(row) = self.store.providers().await?.into_iter().find(|row| row.id == provider) else {
            return Ok(self.store.end_run(run, RunState::Cancelled, None).await?);
        };
        if state == RunState::Queued {
            return self.begin(run, &row).await;
        }
        if row.state == ProviderState::Paused || row.state == ProviderState::Disabled {
            let error = refusal(&row);
            return Ok(self.store.end_run(run, RunState::Cancelled, Some(&error)).await?);
        }
        self.next_phase(run, &row, state).await
    }

    async fn begin(&self, run: RunId, provider: &ProviderRow) -> Result<bool, SchedulerError> {
        if matches!(provider.state, ProviderState::Paused | ProviderState::Disabled) {
            return Ok(self.store.end_run(run, RunState::Skipped, Some(&refusal(provider))).await?);
        }
        if self.store.running(provider.id).await?.is_some() {
            return Ok(false);
        }
        let passed = self.gates.pass(provider.id).await;
        let tasks = self.open(&passed, run, provider).await?;
        let opened = self.store.open_phase(run, provider.id, RunState::Queued, RunState::Observing, &tasks, 0).await?;
        if opened {
            tracing::info!(run = %run, provider = %provider.settings.name, "the run begins");
            self.publish_tasks(run, &provider.settings.name, &tasks).await?;
        }
        Ok(opened)
    }

    /// Opens the phase after `state`; phases without work are passed through at once.
    async fn next_phase(&self, run: RunId, provider: &ProviderRow, state: RunState) -> Result<bool, SchedulerError> {
        let Some(next) = state.next_phase() else { return Ok(false) };
        if next == RunState::Users {
            self.guard_first_match(run, provider).await?;
        }
        let passed = self.gates.pass(provider.id).await;
        let (tasks, untasked) = self.cut(&passed, run, provider, next).await?;
        let moved = self.store.open_phase(run, provider.id, state, next, &tasks, untasked).await?;
        if moved && next == RunState::Completed {
            self.completed(run, provider).await?;
        } else if moved {
            self.publish_tasks(run, &provider.settings.name, &tasks).await?;
        }
        Ok(moved)
    }

    async fn completed(&self, run: RunId, provider: &ProviderRow) -> Result<(), SchedulerError> {
        let Some(row) = self.store.run(run).await? else { return Ok(()) };
        let duration_ms = row.finished_at_ms.unwrap_or_default() - row.started_at_ms.unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a duration in seconds needs no 53 bits")]
        metrics::histogram!(RUN_SECONDS, "provider" => provider.settings.name.to_string())
            .record(duration_ms as f64 / 1000.0);
        tracing::info!(run = %run, provider = %provider.settings.name, duration_ms, "the run is completed");
        Ok(())
    }
}

fn refusal(provider: &ProviderRow) -> RunError {
    let name = &provider.settings.name;
    RunError {
        code: provider.state.as_str().to_owned(),
        message: format!(
            "provider `{name}` is {}; `scimfleet providers resume {name}` puts it to work",
            provider.state
        ),
        object: None,
        mapping: None,
        violations: Vec::new(),
    }
}
