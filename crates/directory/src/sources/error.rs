//! Why a source could not be read, or was not believed.

use scimfleet_scim_client::{ConfigError, JsonError};

use crate::import::{ImportError, ImportReport};

/// An error of a source. Nothing is removed after any of them.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The client could not be made.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the configuration refers to.
    #[error("source `{name}`: {reason}")]
    Settings {
        /// The source.
        name: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// A directory server.
    #[error("LDAP source `{name}`: {reason}; nothing was taken in")]
    Ldap {
        /// The source.
        name: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// The API did not answer, or refused us.
    #[error("{0}; nothing was taken in")]
    Http(#[from] JsonError),
    /// A read that is not whole, whatever was tried.
    #[error("the read of `{what}` is not whole: {reason}; nothing was taken in")]
    Incomplete {
        /// What was read.
        what: String,
        /// How that shows, and what would help.
        reason: String,
    },
    /// An answer that is not what the API documents.
    #[error("`{what}` is not understood: {reason}; nothing was taken in")]
    Malformed {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The temporary file.
    #[error("the temporary file of a read: {0}; is there room in the folder of temporary files?")]
    Spool(#[from] std::io::Error),
    /// A complete read would remove more than the guard allows, so that nothing was removed.
    #[error(
        "`{name}` shows {removals} of its {before} resources no more, and {allowance} may go unasked: nothing was \
         removed; if that is meant, read it by hand with `--allow-removals {removals}`"
    )]
    Guard {
        /// The source.
        name: String,
        /// How many would go.
        removals: u64,
        /// How many the source had.
        before: u64,
        /// How many may go unasked, unless all would.
        allowance: u64,
        /// What was done.
        report: Box<ImportReport>,
    },
    /// Taking in.
    #[error(transparent)]
    Import(#[from] ImportError),
}
