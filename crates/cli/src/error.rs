//! Errors of commands: what, which, where and a hint, with the exit code that they mean.

use std::fmt::Display;

use scimfleet_core::ports::QueueError;
use scimfleet_runtime::{Exit, Mistakes};
use scimfleet_scheduler::JobError;
use scimfleet_store::{SealError, StoreError};

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Wrong usage or configuration: nothing was done.
    #[error("{0}")]
    Usage(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    pub(crate) fn failed(error: impl Display) -> Self {
        Self::Failed(error.to_string())
    }

    pub(crate) fn usage(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
        }
    }
}

impl From<Mistakes> for CliError {
    fn from(mistakes: Mistakes) -> Self {
        Self::usage(mistakes)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Url(_) => Self::usage(error),
            StoreError::Seal(SealError::NoKey | SealError::BadKey) => Self::usage(error),
            other => Self::failed(other),
        }
    }
}

impl From<QueueError> for CliError {
    fn from(error: QueueError) -> Self {
        Self::failed(error)
    }
}

impl From<JobError> for CliError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::NoProvider(_) | JobError::NoObject(_) | JobError::Ambiguous(_) => Self::usage(error),
            other => Self::failed(other),
        }
    }
}
