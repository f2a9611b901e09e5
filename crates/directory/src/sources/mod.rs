//! Directories that are read where they live. A complete read is spooled to a private temporary file and taken
//! in only when it has proven itself whole, so that a lost page or an empty answer never removes anybody.

pub mod authentik;
mod error;
pub mod ldap;
mod open;
mod repeat;
mod spool;

use scimfleet_core::provider::Guard;
use scimfleet_store::{Absent, Store};

pub use error::SourceError;
pub use open::{Source, Taken};
pub use repeat::{Repeating, repeat};
pub use spool::Spool;

use crate::import::{self, Format, ImportError, ImportOptions, ImportReport, Key};

/// How much a complete read may remove.
#[derive(Debug, Clone, Default)]
pub struct Removals {
    /// The guard (R28).
    pub guard: Guard,
    /// Up to this many are meant, whatever the guard says.
    pub allowed: Option<u64>,
}

/// Takes a whole read in: what it lacks of what `source` brought earlier is removed, behind the guard.
///
/// # Errors
/// When the guard refuses the removals, or the database its work. What was taken in before stays.
pub async fn take_whole(
    store: &Store,
    source: &str,
    spool: Spool,
    removals: &Removals,
) -> Result<ImportReport, SourceError> {
    let options = ImportOptions {
        snapshot: true,
        guard: removals.guard.clone(),
        allow_removals: removals.allowed,
        ..ImportOptions::default()
    };
    take(store, source, spool, options).await
}

/// Takes some resources in; nobody is removed.
///
/// # Errors
/// The database's.
pub async fn take_changed(store: &Store, source: &str, spool: Spool) -> Result<ImportReport, SourceError> {
    take(store, source, spool, ImportOptions::default()).await
}

async fn take(store: &Store, source: &str, spool: Spool, options: ImportOptions) -> Result<ImportReport, SourceError> {
    let file = spool.finish()?;
    let options = ImportOptions {
        files: vec![file.path().to_owned()],
        format: Some(Format::JsonLines),
        key: Key::ExternalId,
        absent: Absent::Clears,
        ..options
    };
    match import::run(store, source.to_owned(), &options, |_| {}).await {
        Ok(report) => Ok(spool::named(source, file.path(), report)),
        Err(ImportError::Guard { name, removals, before, allowance, report }) => {
            let report = Box::new(spool::named(source, file.path(), *report));
            Err(SourceError::Guard { name, removals, before, allowance, report })
        }
        Err(error) => Err(error.into()),
    }
}
