//! Helpers for the stories: the real binary in a folder of its own, third-party servers, and an independent
//! reader that compares what a server holds with what it should.

mod authentik;
mod database;
mod fleet;
mod http;
mod listener;
mod loopback;
mod process;

pub use authentik::Authentik;
pub use database::Postgres;
pub use fleet::{Fleet, Ran, Role, provider_table};
pub use http::{Answer, Posted, Receiver, request};
pub use listener::Listener;
pub use process::{Interop, free_port, pause, repository, run_python};
