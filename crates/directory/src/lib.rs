//! The way in: a SCIM 2.0 service provider, importers of files, and directories that are read where they live. Every resource goes through the store's door, with its source (R2).
//!
//! This crate never decides what is sent to a provider, and never holds a whole file in memory.

pub mod import;
pub mod links;
pub mod server;
pub mod sources;
