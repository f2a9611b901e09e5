//! What operators see and use: the admin API under `/api/v1` and the dashboard under `/`, both opened by an
//! admin token. It shows what the store records, in the words of the states, and records what a person
//! decides; it never sends anything to a provider itself, and never shows a secret.

mod access;
mod api;
mod error;
mod grid;
mod history;
mod insight;
mod letters;
mod levers;
mod live;
mod mappings;
mod objects;
mod overview;
mod pages;
mod rehearsal;
mod session;
mod settings;
mod throttle;
mod times;

use std::sync::Arc;

pub use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use scimfleet_core::ports::{Coordination, Queue};
use scimfleet_runtime::Drain;
use scimfleet_store::Store;
use secrecy::SecretString;

pub use crate::insight::{Insight, InsightError, Probe};
use crate::live::Viewers;
use crate::overview::OverviewCache;
use crate::rehearsal::Rehearsals;
use crate::session::Sessions;
use crate::throttle::Throttle;

/// Our own style sheet and script, requests to ourselves, nothing inline, no frame around us.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the pages and the API stand on.
#[derive(Clone)]
pub struct ConsoleState {
    pub(crate) store: Store,
    /// `SCIMFLEET_ADMIN_TOKEN`, beside the stored tokens of scope `admin`.
    pub(crate) admin_token: Option<SecretString>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) insight: Option<Arc<dyn Insight>>,
    /// Live pages end when it begins.
    pub(crate) drain: Drain,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) overview: Arc<OverviewCache>,
    pub(crate) viewers: Arc<Viewers>,
    pub(crate) rehearsals: Arc<Rehearsals>,
}

/// The broker and the coordination service.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) coordination: Arc<dyn Coordination>,
}

impl ConsoleState {
    /// Pages and API over this store. Without [`Self::with_cluster`] nothing is shown of queues and workers.
    pub fn new(store: Store, admin_token: Option<SecretString>) -> Self {
        Self {
            store,
            admin_token,
            cluster: None,
            insight: None,
            drain: Drain::default(),
            sessions: Arc::default(),
            throttle: Arc::default(),
            overview: Arc::default(),
            viewers: Arc::default(),
            rehearsals: Arc::default(),
        }
    }

    /// Shows queues, dead letters and workers too, and can ask for the sync of a single object.
    #[must_use]
    pub fn with_cluster(mut self, queue: Arc<dyn Queue>, coordination: Arc<dyn Coordination>) -> Self {
        self.cluster = Some(Cluster { queue, coordination });
        self
    }

    /// Previews, probes, offboards and evaluates mappings, too.
    #[must_use]
    pub fn with_insight(mut self, insight: Arc<dyn Insight>) -> Self {
        self.insight = Some(insight);
        self
    }

    /// Live pages end when `drain` begins, so that they do not hold the process.
    #[must_use]
    pub fn until(mut self, drain: &Drain) -> Self {
        self.drain = drain.clone();
        self
    }
}

/// The routes of the dashboard and of the admin API.
pub fn router(state: ConsoleState) -> Router {
    let dashboard = pages::routes().layer(middleware::from_fn(guard_headers)).with_state(state.clone());
    dashboard.nest("/api/v1", api::router(state))
}

async fn guard_headers(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
