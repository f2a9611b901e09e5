//! The directory: resources and memberships, each change together with its outbox row (R6).

pub(crate) mod change;
pub(crate) mod desk;
pub(crate) mod group;
pub(crate) mod import;
pub(crate) mod joining;
pub(crate) mod membership;
pub(crate) mod read;
pub(crate) mod reference;
pub(crate) mod search;
pub(crate) mod tombstone;
pub(crate) mod write;
