//! The way in: a SCIM 2.0 service provider, and importers of files. Every resource goes through the store's door, with its source (R2).
//!
//! This crate never decides what is sent to a provider, and never holds a whole file in memory.

pub mod import;
pub mod server;
