//! Loads files of users and groups into the directory (contract §4): JSON Lines and CSV, line by line, in
//! batches of a bounded size, so that a million lines need no more memory than a thousand.
//!
//! A bad line is rejected alone. A snapshot removes what its source brought earlier and the files lack,
//! but only when they were read whole, and behind a guard.

mod batch;
mod error;
mod json;
mod reader;
mod report;
mod snapshot;
mod table;
mod watched;

use std::path::{Path, PathBuf};

use scimfleet_core::ResourceId;
use scimfleet_core::provider::Guard;
use scimfleet_store::{Absent, Imported, IncomingResource, Store};
use tokio::sync::mpsc;

pub use error::ImportError;
pub use json::check_line;
pub use report::{ImportReport, RejectedLine};

use batch::{Batch, Entry, FileEnd};
use report::Tally;
use snapshot::Seen;

/// Batches that wait for the database while the next is read: one is enough to keep both busy.
const BATCHES_WAITING_MAX: usize = 1;
/// After so many batches it is looked whether the database's planner still knows how large its tables are.
const STATISTICS_EVERY: u64 = 20;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One SCIM resource a line.
    JsonLines,
    /// A header row, then one user a record (RFC 4180).
    Csv,
}

impl std::str::FromStr for Format {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "jsonl" => Ok(Self::JsonLines),
            "csv" => Ok(Self::Csv),
            _ => Err(format!("unknown format `{word}`; use `jsonl` or `csv`")),
        }
    }
}

/// What every line of a snapshot must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Key {
    /// `externalId`
    #[default]
    ExternalId,
    /// `userName`, `displayName` for groups.
    UserName,
}

impl std::str::FromStr for Key {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "externalId" => Ok(Self::ExternalId),
            "userName" => Ok(Self::UserName),
            _ => Err(format!("unknown key `{word}`; use `externalId` or `userName`")),
        }
    }
}

/// What to import, and how.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The files; of a snapshot they are the parts.
    pub files: Vec<PathBuf>,
    /// `None`: by the file's ending, else by its first character.
    pub format: Option<Format>,
    /// The name of the source, kept as `import:<name>`; `default` when absent.
    pub source: Option<String>,
    /// The files hold everything that the source has: what they lack is removed.
    pub snapshot: bool,
    /// What every line of a snapshot must carry.
    pub key: Key,
    /// Up to this many removals are meant, whatever the guard says.
    pub allow_removals: Option<u64>,
    /// What it means that a line lacks an attribute.
    pub absent: Absent,
    /// How many removals of a snapshot may go unasked (R28).
    pub guard: Guard,
}

/// How far an import has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The file that is being read.
    pub file: PathBuf,
    /// Bytes of it that were taken in.
    pub bytes: u64,
    /// Its size; 0 when unknown.
    pub bytes_total: u64,
    /// Lines of all files that were taken in.
    pub lines: u64,
}

/// Imports the files, and calls `progress` after each batch.
///
/// # Errors
/// What was taken in before an error stays: the same import again goes on where it matters. The errors
/// that refuse a snapshot's removals carry the report of what was done until then.
pub async fn import_file(
    store: &Store,
    options: ImportOptions,
    progress: impl Fn(Progress),
) -> Result<ImportReport, ImportError> {
    let name = options.source.as_deref().unwrap_or("default");
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err(ImportError::Source { name: name.escape_debug().take(80).collect() });
    }
    run(store, format!("import:{name}"), &options, progress).await
}

/// Imports the files as a source of the directory that calls itself `source`.
pub(crate) async fn run(
    store: &Store,
    source: String,
    options: &ImportOptions,
    progress: impl Fn(Progress),
) -> Result<ImportReport, ImportError> {
    let mut import = Import { store, source, options, tally: Tally::default(), seen: Seen::default(), batches: 0 };
    let mut cut_off = None;
    for file in &options.files {
        if let Some(end) = import.take_file(file, &progress).await? {
            cut_off.get_or_insert((file.clone(), end));
        }
    }
    import.tally.unresolved_members = store.count_unresolved_members().await?;
    if options.snapshot {
        if let Some((file, end)) = cut_off {
            let (line, reason) = (end.line, end.reason);
            return Err(ImportError::CutOff { file, line, reason, report: Box::new(import.tally.report()) });
        }
        import.remove_the_rest().await?;
    }
    Ok(import.tally.report())
}

/// An import under way.
struct Import<'a> {
    store: &'a Store,
    source: String,
    options: &'a ImportOptions,
    tally: Tally,
    seen: Seen,
    batches: u64,
}

/// Where a file was cut off, and how that shows.
struct CutOff {
    line: u64,
    reason: String,
}

impl Import<'_> {
    /// Takes one file in; returns where it was cut off, if it was.
    async fn take_file(&mut self, file: &Path, progress: &impl Fn(Progress)) -> Result<Option<CutOff>, ImportError> {
        let mut reader = reader::open(file, self.options.format)?;
        if self.options.snapshot {
            reader.require(self.options.key);
        }
        let (sender, mut batches) = mpsc::channel(BATCHES_WAITING_MAX);
        let total = reader.bytes_total();
        let reading = tokio::task::spawn_blocking(move || reader.run(|batch| sender.blocking_send(batch).is_ok()));
        while let Some(batch) = batches.recv().await {
            let bytes = batch.bytes_read;
            self.take_batch(file, batch).await?;
            self.batches += 1;
            if self.batches.is_multiple_of(STATISTICS_EVERY) {
                self.store.refresh_statistics().await?;
            }
            progress(Progress { file: file.to_owned(), bytes, bytes_total: total, lines: self.tally.lines });
        }
        let end = reading
            .await
            .map_err(|error| ImportError::Read { file: file.to_owned(), source: std::io::Error::other(error) })?;
        match end.map_err(|source| ImportError::Read { file: file.to_owned(), source })? {
            FileEnd::Whole => Ok(None),
            FileEnd::CutOff { line, reason } => {
                self.tally.reject(file, line, &reason);
                Ok(Some(CutOff { line, reason }))
            }
        }
    }

    async fn take_batch(&mut self, file: &Path, batch: Batch) -> Result<(), ImportError> {
        self.tally.lines += batch.lines;
        for rejected in batch.rejected {
            self.tally.reject(file, rejected.line, &rejected.reason);
            self.seen.rejected(rejected.key.as_deref());
        }
        let mut places = Vec::with_capacity(batch.entries.len());
        let mut incoming: Vec<IncomingResource> = Vec::with_capacity(batch.entries.len());
        for Entry { line, key, resource, groups } in batch.entries {
            places.push((line, key, groups));
            incoming.push(resource);
        }
        let passwords = incoming.iter().filter(|resource| resource.password.is_some()).count() as u64;
        if passwords > 0 && !self.store.takes_passwords().await? {
            self.tally.passwords_dropped += passwords;
        }
        let outcomes = self.store.import_as(&self.source, self.options.absent, incoming).await?;
        let mut wishes = Vec::new();
        let mut unchanged = Vec::new();
        for ((line, key, groups), outcome) in places.into_iter().zip(outcomes) {
            let id = match outcome {
                Imported::Rejected(rejection) => {
                    self.tally.reject(file, line, &rejection.0);
                    self.seen.rejected(key.as_deref());
                    continue;
                }
                Imported::Created(id) => self.count(id, |tally| &mut tally.created),
                Imported::Updated(id) => self.count(id, |tally| &mut tally.updated),
                Imported::Unchanged(id) => {
                    unchanged.push(id.clone());
                    self.count(id, |tally| &mut tally.unchanged)
                }
            };
            wishes.extend(groups.map(|groups| (id, groups)));
        }
        self.join_groups(&wishes, &unchanged).await
    }

    fn count(&mut self, id: ResourceId, counter: fn(&mut Tally) -> &mut u64) -> ResourceId {
        *counter(&mut self.tally) += 1;
        self.seen.accepted(&id);
        id
    }

    /// Puts people into the groups that their rows name. Who was as before but for the groups was updated.
    async fn join_groups(
        &mut self,
        wishes: &[(ResourceId, Vec<String>)],
        unchanged: &[ResourceId],
    ) -> Result<(), ImportError> {
        if wishes.is_empty() {
            return Ok(());
        }
        let set = self.store.set_groups(&self.source, wishes).await?;
        set.named.iter().for_each(|id| self.seen.accepted(id));
        let moved = unchanged.iter().filter(|id| set.changed.contains(id)).count() as u64;
        self.tally.updated += moved;
        self.tally.unchanged -= moved;
        self.tally.groups_created(set.created);
        self.tally.groups_refused(set.refused);
        Ok(())
    }

    async fn remove_the_rest(&mut self) -> Result<(), ImportError> {
        let surplus = snapshot::surplus(self.store, &self.source, &self.seen).await?;
        let before = surplus.live.saturating_sub(self.tally.created);
        let removals = surplus.ids.len() as u64;
        if self.seen.has_strangers() && removals > 0 {
            self.tally.nothing_removed(removals);
            return Ok(());
        }
        let allowance = self.options.guard.allowance(before);
        let everything = removals > 0 && removals >= before;
        let allowed = self.options.allow_removals.is_some_and(|allowed| removals <= allowed);
        if (removals > allowance || everything) && !allowed {
            let report = Box::new(self.tally.report());
            return Err(ImportError::Guard { name: self.source.clone(), removals, before, allowance, report });
        }
        self.tally.removed = snapshot::remove(self.store, &surplus.ids).await?;
        Ok(())
    }
}
