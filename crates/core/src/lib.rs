//! The pure heart of Scimfleet: what to send to a SCIM service provider, and why.
//!
//! Everything here is a function of its arguments. There is no I/O, no clock and no randomness in
//! this crate, and it knows no other crate of the workspace: adapters and roles depend on it.

pub mod adoption;
pub mod directory;
pub mod drift;
pub mod identity;
pub mod mapping;
pub mod outcome;
pub mod plan;
pub mod ports;
pub mod preview;
pub mod profile;
pub mod provider;
pub mod retry;
pub mod scim;
pub mod state;
pub mod task;

pub use identity::{ProviderId, ProviderName, RemoteId, ResourceId, RunId, TaskId};
pub use scim::ResourceKind;
