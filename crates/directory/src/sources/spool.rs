//! A read on its way in: one resource a line, in a temporary file that only this process's user may read and
//! that is gone when the read was taken in.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use scimfleet_core::scim::Document;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::import::ImportReport;

/// Resources of a read, in the order in which they are to be taken in.
#[derive(Debug)]
pub struct Spool {
    writer: BufWriter<NamedTempFile>,
    count: u64,
}

impl Spool {
    /// An empty one.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn new() -> std::io::Result<Self> {
        let file = tempfile::Builder::new().prefix("scimfleet-").suffix(".jsonl").tempfile()?;
        Ok(Self { writer: BufWriter::new(file), count: 0 })
    }

    /// Adds a resource.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn put(&mut self, resource: &Document) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.writer, resource)?;
        self.count += 1;
        self.writer.write_all(b"\n")
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn finish(self) -> std::io::Result<NamedTempFile> {
        self.writer.into_inner().map_err(std::io::IntoInnerError::into_error)
    }
}

/// The report with names in place of the temporary file's lines, which nobody can look up.
pub(super) fn named(source: &str, file: &Path, mut report: ImportReport) -> ImportReport {
    if report.rejected.is_empty() {
        return report;
    }
    let wanted: HashMap<u64, usize> =
        report.rejected.iter().enumerate().map(|(index, rejected)| (rejected.line, index)).collect();
    if let Ok(file) = std::fs::File::open(file) {
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let Some(index) = wanted.get(&number) else { continue };
            let document = line.ok().and_then(|line| serde_json::from_str::<Document>(&line).ok()).unwrap_or_default();
            let text = |name: &str| document.get(name).and_then(Value::as_str);
            let name = text("userName").or_else(|| text("displayName")).unwrap_or_default();
            let rejected = &mut report.rejected[*index];
            rejected.reason = format!("`{name}`: {}", rejected.reason);
        }
    }
    for rejected in &mut report.rejected {
        source.clone_into(&mut rejected.file);
    }
    report
}
