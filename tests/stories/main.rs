//! The stories: one binary, a module for each. They need what `make test` provides.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails, and the place says why")]

mod architecture;
mod authentik;
mod bad_input;
mod cluster;
mod commands;
mod console;
mod demo;
mod directory;
mod docs;
mod fanout;
mod from_authentik;
mod guard;
mod interop;
mod interop_matrix;
mod invalid;
mod leaver;
mod metrics;
mod outage;
mod personas;
mod provider_down;
mod restore;
mod scope;
mod strangers;
mod trace;
