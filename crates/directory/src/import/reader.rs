//! Opening a file: which format it has, and reading it in batches on a thread of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::batch::{Batch, FileEnd};
use super::error::ImportError;
use super::json::JsonReader;
use super::table::TableReader;
use super::{Format, Key};

/// Bytes that are read from a file at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// How UTF-8 files of some programs begin.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// A file of either format.
pub(super) struct Reader {
    form: Form,
    bytes_total: u64,
    key: Option<Key>,
}

enum Form {
    Json(JsonReader),
    Csv(TableReader),
}

/// Opens a file. The format is the one given, else what the file's ending says, else what its first
/// character shows.
pub(super) fn open(file: &Path, format: Option<Format>) -> Result<Reader, ImportError> {
    let unreadable = |source| ImportError::Read { file: file.to_owned(), source };
    let opened = File::open(file).map_err(unreadable)?;
    let metadata = opened.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
    }
    let mut buffer = BufReader::with_capacity(BUFFER_BYTES, opened);
    let start = buffer.fill_buf().map_err(unreadable)?;
    let mark = if start.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let first = start[mark..].iter().copied().find(|byte| !byte.is_ascii_whitespace());
    buffer.consume(mark);
    let format = format.or_else(|| by_ending(file)).unwrap_or(match first {
        Some(b'{' | b'[') => Format::JsonLines,
        _ => Format::Csv,
    });
    let wrong = |reason: String| ImportError::Format { file: file.to_owned(), reason };
    let form = match format {
        Format::JsonLines if first == Some(b'[') => {
            return Err(wrong("it is one JSON array; write one resource a line (`jq -c '.[]'` does)".to_owned()));
        }
        Format::JsonLines => Form::Json(JsonReader::new(buffer)),
        Format::Csv => Form::Csv(TableReader::new(buffer).map_err(wrong)?),
    };
    Ok(Reader { form, bytes_total: metadata.len(), key: None })
}

fn by_ending(file: &Path) -> Option<Format> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" | "json" => Some(Format::JsonLines),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

impl Reader {
    /// Every line must carry this.
    pub(super) fn require(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// The file's size.
    pub(super) fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// Reads the file to its end, or until nobody takes another batch.
    pub(super) fn run(self, mut hand_on: impl FnMut(Batch) -> bool) -> std::io::Result<FileEnd> {
        match self.form {
            Form::Json(reader) => reader.run(self.key, &mut hand_on),
            Form::Csv(reader) => reader.run(self.key, &mut hand_on),
        }
    }
}

/// What a line that lacks the key of a snapshot is told.
pub(super) fn lacks(key: Key) -> String {
    match key {
        Key::ExternalId => "`externalId` is missing: a snapshot needs it on every line, or `--key userName`".to_owned(),
        Key::UserName => "the name is missing: a snapshot needs it on every line".to_owned(),
    }
}
