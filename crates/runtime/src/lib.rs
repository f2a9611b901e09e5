//! What every role needs: configuration, fleet files, schedules, logs, metrics and health endpoints,
//! drain and exit codes.
//!
//! Nothing here knows an adapter or a role, and nothing reads the process's environment by itself:
//! it is handed over, so that every rule can be tested.

pub mod config;
pub mod drain;
pub mod exit;
pub mod fleet;
pub mod health;
pub mod logs;
pub mod metrics;
pub mod mistake;
mod reading;
mod redact;
pub mod schedule;
pub mod trace;

pub use config::Config;
pub use drain::Drain;
pub use exit::Exit;
pub use fleet::Fleet;
pub use metrics::Metrics;
pub use mistake::{Mistake, Mistakes};
pub use redact::ServiceUrl;
pub use schedule::Schedule;
pub use trace::Telemetry;
