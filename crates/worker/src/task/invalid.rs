//! Invalid data in a full synchronisation: whether it ends the run, and what the run then says (R18).

use scimfleet_core::outcome::{InvalidData, Outcome};
use scimfleet_core::provider::OnInvalid;
use scimfleet_core::state::RunState;
use scimfleet_core::task::Lane;
use scimfleet_store::{RunError, StoreError};

use super::Session;
use super::attempt::Attempt;

impl Session<'_> {
    /// With `on_invalid = "stop"` one invalid object ends the run (R18).
    pub(super) fn first_invalid(&self, attempts: &[Attempt]) -> Option<(String, InvalidData)> {
        if !self.stops_on_invalid() {
            return None;
        }
        attempts.iter().find_map(|attempt| match &attempt.outcome {
            Some(Outcome::Invalid(data)) => {
                let name =
                    attempt.resource.as_ref().map_or_else(|| attempt.id().to_string(), |row| row.name().to_owned());
                Some((name, data.clone()))
            }
            _ => None,
        })
    }

    pub(crate) fn stops_on_invalid(&self) -> bool {
        self.task.run.is_some()
            && self.task.lane == Lane::Sync
            && self.provider.row.settings.on_invalid == OnInvalid::Stop
    }

    pub(super) async fn stop_run(&self, (object, data): (String, InvalidData)) -> Result<(), StoreError> {
        let Some(run) = self.task.run else { return Ok(()) };
        let violations = data.violations.iter().filter_map(|violation| serde_json::to_value(violation).ok()).collect();
        let error = RunError {
            code: "invalid".to_owned(),
            message: format!("{} `{object}`: {}", self.task.kind, data.message),
            object: Some(object),
            mapping: data.mapping,
            violations,
        };
        tracing::error!(provider = %self.provider.row.name(), object = error.object, message = error.message, "the run was stopped by invalid data");
        self.worker.store.end_run(run, RunState::Stopped, Some(&error)).await?;
        Ok(())
    }
}
