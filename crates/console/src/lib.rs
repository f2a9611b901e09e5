//! The operators' page: server-rendered, read-only, signed in with an admin token. It shows what the store
//! records, in the words of the states, and changes nothing.

mod error;
mod pages;
mod session;

use std::sync::Arc;

pub use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use scimfleet_store::Store;
use secrecy::SecretString;

use crate::session::Sessions;

/// Nothing but our own style sheet, no script at all, no frame around us.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the pages stand on.
#[derive(Clone)]
pub struct ConsoleState {
    pub(crate) store: Store,
    /// `SCIMFLEET_ADMIN_TOKEN`, beside the stored tokens of scope `admin`.
    pub(crate) admin_token: Option<SecretString>,
    pub(crate) sessions: Arc<Sessions>,
}

impl ConsoleState {
    /// Pages over this store.
    pub fn new(store: Store, admin_token: Option<SecretString>) -> Self {
        Self { store, admin_token, sessions: Arc::default() }
    }
}

/// The routes of the dashboard.
pub fn router(state: ConsoleState) -> Router {
    Router::new()
        .route("/", get(pages::overview))
        .route("/runs/{id}", get(pages::run))
        .route("/objects", get(pages::objects))
        .route("/sign-in", get(pages::sign_in_form).post(pages::sign_in))
        .route("/sign-out", post(pages::sign_out))
        .route("/style.css", get(pages::style))
        .layer(middleware::from_fn(guard_headers))
        .with_state(state)
}

async fn guard_headers(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
