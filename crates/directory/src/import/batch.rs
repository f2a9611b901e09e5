//! What a reader hands on: entries that were understood, lines that were not.

use scimfleet_store::IncomingResource;

/// Lines in one batch: one transaction, one parameter.
pub(super) const BATCH_LINES_MAX: u64 = 500;
/// Bytes after which a batch ends early, so that long lines do not add up.
pub(super) const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of one line: a group of some 100,000 members still fits, a file without line ends does not.
pub(super) const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A line that was understood.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number, from 1.
    pub(super) line: u64,
    /// What names it in a snapshot.
    pub(super) key: Option<String>,
    /// What the store is asked to take.
    pub(super) resource: IncomingResource,
    /// The groups that a row of people names; `None` keeps them.
    pub(super) groups: Option<Vec<String>>,
}

/// A line that was not.
#[derive(Debug)]
pub(super) struct Bad {
    /// Its number, from 1.
    pub(super) line: u64,
    /// For people.
    pub(super) reason: String,
    /// What names it in a snapshot, as far as that could be read.
    pub(super) key: Option<String>,
}

/// Some lines.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) rejected: Vec<Bad>,
    pub(super) lines: u64,
    /// Bytes of this batch.
    pub(super) bytes: u64,
    /// Bytes of the file up to the end of this batch.
    pub(super) bytes_read: u64,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.lines >= BATCH_LINES_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    pub(super) fn reject(&mut self, line: u64, reason: impl Into<String>, key: Option<String>) {
        self.rejected.push(Bad { line, reason: reason.into(), key });
    }
}

/// How a file ended.
#[derive(Debug)]
pub(super) enum FileEnd {
    /// As it should.
    Whole,
    /// In the middle of a line, or of something that never ended.
    CutOff { line: u64, reason: String },
}
