//! The directory as a SCIM 2.0 service provider (RFC 7643, RFC 7644, RFC 9865): whatever can push SCIM can
//! feed the fleet.
//!
//! Every write goes through the store, under the source `scim:<token name>` (R2), with its outbox row in the
//! same transaction (R6). Nothing here holds more of the directory than one page, decides what is sent to a
//! provider, or shows a password.

mod accept;
mod answer;
mod auth;
mod bulk;
mod cursor;
mod discovery;
mod list;
mod operate;
mod projection;
mod query;
mod render;
mod route;
mod select;
mod uri;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use scimfleet_store::Store;
use secrecy::SecretString;

/// The path of the base URL.
pub const BASE_PATH: &str = "/scim/v2";

/// How far the server goes for one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request: a group with 50,000 members and their URIs fits.
    pub body_bytes_max: usize,
    /// Resources on a page when none are asked for.
    pub page_default: i64,
    /// Resources on a page at most.
    pub page_max: i64,
    /// Members on a page of groups: the page ends early rather than that it holds more.
    pub page_members_max: i64,
    /// Resources that are looked at for one answer when no index knows what is asked for.
    pub scan_max: usize,
    /// A PATCH of a group with more members answers without them.
    pub patch_members_shown_max: i64,
    /// Operations in one bulk request.
    pub bulk_operations_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 * 1024 * 1024,
            page_default: 100,
            page_max: 1_000,
            page_members_max: 20_000,
            scan_max: 50_000,
            patch_members_shown_max: 1_000,
            bulk_operations_max: 1_000,
        }
    }
}

/// What the server stands on.
#[derive(Clone)]
pub struct ServerState {
    pub(crate) store: Store,
    /// `SCIMFLEET_DIRECTORY_TOKEN`, beside the stored tokens of scope `directory`.
    pub(crate) token: Option<SecretString>,
    pub(crate) limits: Limits,
    base_path: Arc<str>,
}

impl ServerState {
    /// A server over this store at [`BASE_PATH`].
    pub fn new(store: Store, token: Option<SecretString>) -> Self {
        Self { store, token, limits: Limits::default(), base_path: BASE_PATH.into() }
    }

    /// The same with other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same at another path, which begins with `/` and does not end so.
    pub fn at(self, base_path: &str) -> Self {
        Self { base_path: base_path.into(), ..self }
    }
}

/// The routes of the service provider.
pub fn router(state: ServerState) -> Router {
    let base = state.base_path.clone();
    Router::new()
        .route(&base, any(route::handle))
        .route(&format!("{base}/"), any(route::handle))
        .route(&format!("{base}/{{*rest}}"), any(route::handle))
        .with_state(state)
}
