//! authentik, read by its API: people, groups, SCIM providers and their links. Only GET is ever sent.

mod api;
mod fleet;
mod links;
mod people;
mod providers;
mod toml;

pub use api::Authentik;
pub use fleet::{CannotRun, FleetFile, Remark};
pub use links::Wanted;
pub use people::{Changed, Whole};
