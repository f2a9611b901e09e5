//! What an import did, for people and for programs.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

/// Rejected lines that are kept with their reasons; all are counted.
const REJECTED_KEPT_MAX: usize = 1000;
/// Names in one warning.
const NAMES_SHOWN_MAX: usize = 10;

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedLine {
    /// The file.
    pub file: String,
    /// Its number, from 1; of a CSV record the line on which it begins.
    pub line: u64,
    /// Why. Never contains the line.
    pub reason: String,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Resources that are new, with the groups that rows of people named first.
    pub created: u64,
    /// Resources that differ from before.
    pub updated: u64,
    /// Resources that are as they were.
    pub unchanged: u64,
    /// Resources that a snapshot lacked.
    pub removed: u64,
    /// How many lines were refused.
    pub rejected_count: u64,
    /// The first thousand of them.
    pub rejected: Vec<RejectedLine>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Members of groups in the directory that nobody answers to yet.
    pub unresolved_members: u64,
}

/// A report in the making.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) lines: u64,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) removed: u64,
    pub(super) passwords_dropped: u64,
    pub(super) unresolved_members: u64,
    kept_back: u64,
    rejected_count: u64,
    rejected: Vec<RejectedLine>,
    new_groups: BTreeSet<String>,
    refused_groups: BTreeSet<(String, String)>,
}

impl Tally {
    pub(super) fn reject(&mut self, file: &Path, line: u64, reason: &str) {
        self.rejected_count += 1;
        if self.rejected.len() < REJECTED_KEPT_MAX {
            let file = file.display().to_string();
            self.rejected.push(RejectedLine { file, line, reason: reason.to_owned() });
        }
    }

    pub(super) fn groups_created(&mut self, names: Vec<String>) {
        self.created += names.len() as u64;
        self.new_groups.extend(names);
    }

    pub(super) fn groups_refused(&mut self, names: Vec<(String, String)>) {
        self.refused_groups.extend(names);
    }

    /// Lines were refused that might be anybody's, so that nobody was removed.
    pub(super) fn nothing_removed(&mut self, removals: u64) {
        self.kept_back = removals;
    }

    pub(super) fn report(&self) -> ImportReport {
        ImportReport {
            created: self.created,
            updated: self.updated,
            unchanged: self.unchanged,
            removed: self.removed,
            rejected_count: self.rejected_count,
            rejected: self.rejected.clone(),
            warnings: self.warnings(),
            unresolved_members: self.unresolved_members,
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.passwords_dropped > 0 {
            let count = self.passwords_dropped;
            warnings.push(format!("{count} passwords were dropped: no provider has `passwords = true`"));
        }
        if !self.new_groups.is_empty() {
            warnings.push(format!("groups created because a row names them: {}", some(self.new_groups.iter())));
        }
        for (name, reason) in self.refused_groups.iter().take(NAMES_SHOWN_MAX) {
            warnings.push(format!("nobody was put into `{name}`: {reason}"));
        }
        if self.refused_groups.len() > NAMES_SHOWN_MAX {
            let more = self.refused_groups.len() - NAMES_SHOWN_MAX;
            warnings.push(format!("nobody was put into {more} more groups, for such reasons"));
        }
        if self.kept_back > 0 {
            warnings.push(format!(
                "nothing was removed: of the rejected lines some could be any of the {} resources that the files lack",
                self.kept_back
            ));
        }
        warnings
    }
}

fn some<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let shown: Vec<String> = names.take(NAMES_SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    let shown = shown.join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
