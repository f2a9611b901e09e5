//! What a piece of work costs the database: statements, and rows that they returned or changed, as the driver
//! logs them. No other process disturbs these figures. One listener a process.

use std::sync::{Mutex, PoisonError};

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

static COST: Mutex<Cost> = Mutex::new(Cost { statements: 0, rows: 0 });

/// Listens from now on, in the whole process.
///
/// # Panics
/// When the process has a subscriber of its own.
pub fn listen() {
    tracing::subscriber::set_global_default(Listener).unwrap_or_else(|error| panic!("{error}"));
}

/// What was heard since this was asked last.
pub fn take() -> Cost {
    std::mem::take(&mut *COST.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Listener;

#[derive(Default)]
struct Rows(u64);

impl Visit for Rows {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if matches!(field.name(), "rows_affected" | "rows_returned") {
            self.0 += value;
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
        let mut rows = Rows::default();
        event.record(&mut rows);
        let mut cost = COST.lock().unwrap_or_else(PoisonError::into_inner);
        cost.statements += 1;
        cost.rows += rows.0;
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
