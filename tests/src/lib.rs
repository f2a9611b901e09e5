//! Helpers for the stories: the real binary in a folder of its own, third-party servers, and an independent
//! reader that compares what a server holds with what it should.

mod fleet;
mod process;

pub use fleet::{Fleet, Ran, provider_table};
pub use process::{Interop, free_port, repository, run_python};
