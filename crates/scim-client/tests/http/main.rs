//! The client against real HTTP: scripted providers on loopback, well-behaved and hostile.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bulk;
mod discovery;
mod hostile;
mod oauth;
mod properties;
mod requests;
mod server;
mod switches;
mod tls;
