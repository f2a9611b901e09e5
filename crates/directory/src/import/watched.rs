//! A file that is watched while a CSV reader reads it: where its lines end, whether a quote is open, and
//! that no record grows without end. The reader itself tells none of these.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batch::LINE_BYTES_MAX;

/// The file, as the CSV reader sees it.
pub(super) struct Watched {
    file: BufReader<File>,
    watch: Watch,
}

/// What was seen so far.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    bytes: u64,
    /// Where the record begins that is being read.
    record_start: u64,
    /// Line ends before it.
    lines_before: u64,
    /// Offsets of CR and LF from there on; true for LF.
    line_ends: VecDeque<(u64, bool)>,
    quotes: u64,
    last: u8,
    too_long: bool,
}

impl Watched {
    pub(super) fn new(file: BufReader<File>) -> (Self, Watch) {
        let watch = Watch::default();
        (Self { file, watch: watch.clone() }, watch)
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut seen = self.watch.lock();
        if seen.bytes.saturating_sub(seen.record_start) > LINE_BYTES_MAX as u64 {
            seen.too_long = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let read = self.file.read(buffer)?;
        for (at, byte) in (seen.bytes..).zip(&buffer[..read]) {
            match byte {
                b'"' => seen.quotes += 1,
                b'\r' | b'\n' => seen.line_ends.push_back((at, *byte == b'\n')),
                _ => {}
            }
        }
        seen.last = buffer[..read].last().copied().unwrap_or(seen.last);
        seen.bytes += read as u64;
        Ok(read)
    }
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next record begins at this offset, or behind the empty lines that stand there.
    pub(super) fn begin(&self, offset: u64) {
        let mut seen = self.lock();
        seen.record_start = offset;
        seen.pass(|at| at < offset);
    }

    /// The number of the line on which the record begins that was just read, from 1.
    pub(super) fn line(&self) -> u64 {
        let mut seen = self.lock();
        let mut at = seen.record_start;
        seen.pass(|end| {
            let empty = end == at;
            at += u64::from(empty);
            empty
        });
        seen.lines_before + 1
    }

    /// Bytes that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// A quoted field was not closed.
    pub(super) fn quote_is_open(&self) -> bool {
        self.lock().quotes % 2 == 1
    }

    /// The last byte ended a line.
    pub(super) fn line_has_ended(&self) -> bool {
        matches!(self.lock().last, b'\r' | b'\n')
    }

    /// A record was given up because of its length.
    pub(super) fn is_too_long(&self) -> bool {
        self.lock().too_long
    }
}

impl Seen {
    fn pass(&mut self, mut behind: impl FnMut(u64) -> bool) {
        while let Some((_, line_feed)) = self.line_ends.pop_front_if(|(at, _)| behind(*at)) {
            self.lines_before += u64::from(line_feed);
        }
    }
}
