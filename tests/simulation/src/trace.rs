//! What happened, line by line, with the virtual time: the same for the same seed.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Collects lines, or nothing: formatting costs more than what is told.
#[derive(Debug)]
pub struct Trace {
    began: Instant,
    lines: Option<Mutex<Vec<String>>>,
}

impl Trace {
    /// A trace that keeps its lines if they are wanted.
    pub fn new(wanted: bool) -> Self {
        Self { began: Instant::now(), lines: wanted.then(Mutex::default) }
    }

    /// Adds a line.
    pub fn tell(&self, words: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let line = format!("{:>9.3} {}", self.began.elapsed().as_secs_f64(), words());
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.as_ref().map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).clone());
        lines.unwrap_or_default()
    }
}
