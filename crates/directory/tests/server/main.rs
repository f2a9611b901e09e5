//! The directory as a SCIM service provider, on both databases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bulk;
mod discovery;
mod groups;
mod listing;
mod patch;
mod support;
mod users;
