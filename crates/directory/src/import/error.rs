//! Why an import ended.

use std::path::PathBuf;

use scimfleet_store::StoreError;

use super::report::ImportReport;

/// An error of an import. What was taken in before it stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file could not be read.
    #[error("could not read `{}`: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// A file is not what it should be, as a whole.
    #[error("`{}` cannot be imported: {reason}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would do.
        reason: String,
    },
    /// A name that cannot name a source.
    #[error("invalid source name `{name}`: 1 to 128 characters without control characters")]
    Source {
        /// The refused name.
        name: String,
    },
    /// A file of a snapshot is not whole, so that nothing was removed.
    #[error(
        "`{}` was cut off at line {line} ({reason}): nothing was removed; import the whole file, or leave out `--snapshot`",
        file.display()
    )]
    CutOff {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// How it shows.
        reason: String,
        /// What was done.
        report: Box<ImportReport>,
    },
    /// A snapshot would remove more than the guard allows, so that nothing was removed.
    #[error(
        "the snapshot lacks {removals} of the {before} resources that the source `{name}` had, and {allowance} may go \
         unasked: nothing was removed; if that is meant, say `--allow-removals {removals}`"
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
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
