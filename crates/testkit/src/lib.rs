//! What tests, the demo and the bench run against: a SCIM service provider in memory with scripted
//! faults and a journal, a sample directory, and a TCP proxy that breaks connections on demand.
//!
//! Nothing here is part of a deployment, and nothing here decides what Scimfleet sends.

pub mod directory;
pub mod provider;
pub mod proxy;
pub mod statements;
