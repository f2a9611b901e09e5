//! The System for Cross-domain Identity Management, version 2.0 (RFC 7643, RFC 7644), as data and rules.

pub mod filter;
pub mod message;
pub mod normal;
pub mod patch;
pub mod path;
pub mod resource;
pub mod schema;
pub mod validate;

pub use resource::{Document, ResourceKind};
