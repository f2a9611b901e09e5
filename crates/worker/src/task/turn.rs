//! The lease of a provider that takes one writer: whose task may write now.

use std::time::Duration;

use scimfleet_store::StoreError;

use super::Session;
use super::pace::LEASE;

/// Where one worker at a time may write, the others come again after this long.
pub(super) const WRITER_WAIT: Duration = Duration::from_millis(500);

impl Session<'_> {
    /// Whether this task may write now. A provider that takes one writer has a lease for it, whose holder is
    /// the task.
    pub(super) async fn may_write(&self) -> Result<bool, StoreError> {
        if !self.provider.profile.one_writer {
            return Ok(true);
        }
        let lease = self.worker.store.take_lease(&self.writer_lease(), &self.task.task.to_string(), LEASE).await?;
        Ok(lease.is_some())
    }

    pub(super) async fn write_no_more(&self) -> Result<(), StoreError> {
        if self.provider.profile.one_writer {
            self.worker.store.release_lease(&self.writer_lease(), &self.task.task.to_string()).await?;
        }
        Ok(())
    }

    fn writer_lease(&self) -> String {
        format!("writer:{}", self.provider.row.id)
    }
}
