//! Directories that speak LDAP version 3 (RFC 4511), read page by page (RFC 2696). Nothing is ever written there.

mod entry;
mod read;
mod server;

pub use read::Read;

pub use server::Ldap;
