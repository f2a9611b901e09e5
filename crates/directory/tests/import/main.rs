//! Importing files into a directory on SQLite: what arrives, what is rejected, what a snapshot removes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod formats;
mod json_lines;
mod snapshots;
mod tables;
