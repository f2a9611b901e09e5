//! The store on both databases: every case runs on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod claims;
mod deadlines;
mod frozen;
mod identity;
mod members;
mod migration;
mod outbox;
mod passwords;
mod providers;
mod records;
mod remote;
mod runs;
mod secrets;
mod statistics;
mod tombstones;
mod verdicts;
mod waits;
