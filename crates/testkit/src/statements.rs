//! What a piece of work asks of the database, as the driver logs it: the texts of its statements, how many they are,
//! and the rows that they returned or changed. No other process disturbs these figures. One listener a process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Statements, and rows that they returned or changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Statements sent, those of transactions included.
    pub statements: u64,
    /// Rows returned or changed.
    pub rows: u64,
}

struct Heard {
    cost: Cost,
    texts: Vec<String>,
}

static HEARD: Mutex<Heard> = Mutex::new(Heard { cost: Cost { statements: 0, rows: 0 }, texts: Vec::new() });

fn heard() -> MutexGuard<'static, Heard> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens from now on, in the whole process.
///
/// # Panics
/// When the process has a subscriber of its own.
pub fn listen() {
    tracing::subscriber::set_global_default(Listener).unwrap_or_else(|error| panic!("{error}"));
}

/// What was heard since it was asked for last.
pub fn take() -> Cost {
    let mut heard = heard();
    heard.texts.clear();
    std::mem::take(&mut heard.cost)
}

/// The texts of the statements since it was asked for last, in their order.
pub fn take_texts() -> Vec<String> {
    let mut heard = heard();
    heard.cost = Cost::default();
    std::mem::take(&mut heard.texts)
}

struct Listener;

/// What the driver logs of one statement; the full text only where it is longer than the summary.
#[derive(Default)]
struct Statement {
    rows: u64,
    summary: String,
    full: String,
}

impl Visit for Statement {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if matches!(field.name(), "rows_affected" | "rows_returned") {
            self.rows += value;
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.full),
            _ => {}
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut statement = Statement::default();
        event.record(&mut statement);
        let mut heard = heard();
        heard.cost.statements += 1;
        heard.cost.rows += statement.rows;
        heard.texts.push(if statement.full.is_empty() { statement.summary } else { statement.full });
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
