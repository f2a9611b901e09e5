//! SCIM 2.0 over HTTP: discovery, look-ups, listings, writes and typed errors (RFC 7644).
//!
//! One [`ScimClient`] speaks to one service provider. It sends exactly what it is told to, once: it
//! never retries (but for a token that it can renew), never follows a redirect, never decides what a failure means for an object (it only
//! says whether the request may have been applied), and never logs a body or a credential.
//! This is the only crate that knows an HTTP client library; [`JsonClient`] lends it to whoever reads a directory's API.

mod answer;
mod authorization;
mod body;
mod bulk;
mod carrier;
mod client;
mod config;
mod connection;
mod delivered;
mod discovery;
mod egress;
mod error;
mod filter;
mod json;
mod listing;
mod transport;

pub use answer::{Answer, Found};
pub use authorization::Authorization;
pub use carrier::{Carried, Carrier, Lost};
pub use client::{Projection, RequestContext, ScimClient, resource_path};
pub use config::{ClientConfig, ConfigError, Limits, TlsOptions};
pub use delivered::Delivered;
pub use discovery::Discovery;
pub use egress::{Egress, Refusal};
pub use error::{Applied, Asked, ScimError};
pub use filter::equals;
pub use json::{JsonClient, JsonConfig, JsonError};
pub use listing::{Incompleteness, ListPosition, Lister, Listing, Page};
