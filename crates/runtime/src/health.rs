//! `/metrics`, `/healthz` and `/readyz`, the same on every role. They tell nothing about users. `/metrics` asks
//! for a token where it is told to; who may reach the others is a matter of where they listen.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use secrecy::SecretString;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::drain::Drain;
use crate::metrics::{Metrics, SERVICE_UP};

/// A service that takes longer to say that it is well, is not. Below the usual probe timeout of 3 s.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A reason is shown up to this many characters.
const REASON_CHARS_MAX: usize = 300;

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

#[derive(Clone)]
struct Check {
    name: &'static str,
    needed: bool,
    ask: Arc<dyn Fn() -> CheckFuture + Send + Sync>,
}

/// What a role must be able to reach. A check's error is shown to whoever asks: no secrets in it.
#[derive(Clone, Default)]
pub struct Checks {
    checks: Vec<Check>,
    drain: Option<Drain>,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// The version of this answer.
    pub v: u8,
    /// Whether work should be sent here.
    pub ready: bool,
    /// `ok`, or why not; a service that can be done without reads `degraded: …`.
    pub checks: BTreeMap<&'static str, String>,
}

impl Checks {
    /// No checks: always ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something without which the role is not ready: `store`, `broker`.
    #[must_use]
    pub fn needed<F>(self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, true, ask)
    }

    /// Something that the role can do without, worse: `coordination`.
    #[must_use]
    pub fn helpful<F>(self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, false, ask)
    }

    /// Not ready as soon as `drain` begins, so that nothing new is sent here.
    #[must_use]
    pub fn until(mut self, drain: &Drain) -> Self {
        self.drain = Some(drain.clone());
        self
    }

    fn with<F>(mut self, name: &'static str, needed: bool, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let ask: Arc<dyn Fn() -> CheckFuture + Send + Sync> = Arc::new(move || Box::pin(ask()));
        self.checks.push(Check { name, needed, ask });
        self
    }

    /// Asks all at once, each for [`CHECK_TIMEOUT`] at the most.
    pub async fn ask(&self) -> Readiness {
        let mut asked = JoinSet::new();
        for check in &self.checks {
            let answer = (check.ask)();
            let (name, needed) = (check.name, check.needed);
            asked.spawn(async move { (name, needed, in_time(answer).await) });
        }
        let mut readiness = Readiness { v: 1, ready: true, checks: BTreeMap::new() };
        // What panics is missing from the answers, hence not `ok`.
        for check in &self.checks {
            readiness.checks.insert(check.name, "the check itself broke".to_owned());
        }
        let mut well = 0;
        let needed_count = self.checks.iter().filter(|check| check.needed).count();
        while let Some(answer) = asked.join_next().await {
            let Ok((name, needed, answer)) = answer else { continue };
            well += usize::from(needed && answer.is_ok());
            readiness.checks.insert(name, shown(needed, answer));
        }
        readiness.ready = well == needed_count;
        if self.drain.as_ref().is_some_and(Drain::is_begun) {
            readiness.ready = false;
            readiness.checks.insert("drain", "shutting down".to_owned());
        }
        readiness
    }
}

impl Checks {
    /// Puts what answers now into the metrics: whoever scrapes them sees an outage with the next scrape.
    async fn count(&self) {
        let answers = self.ask().await.checks;
        for check in &self.checks {
            let up = answers.get(check.name).is_some_and(|answer| answer == "ok");
            metrics::gauge!(SERVICE_UP, "service" => check.name).set(f64::from(u8::from(up)));
        }
    }
}

async fn in_time(answer: CheckFuture) -> Result<(), String> {
    match tokio::time::timeout(CHECK_TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
    }
}

fn shown(needed: bool, answer: Result<(), String>) -> String {
    match answer {
        Ok(()) => "ok".to_owned(),
        Err(reason) => {
            let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
            if needed { reason } else { format!("degraded: {reason}") }
        }
    }
}

/// Who may read `/metrics`.
#[derive(Clone, Default)]
pub enum Readers {
    /// Everybody who can reach it.
    #[default]
    Everybody,
    /// Whoever presents a bearer token (RFC 6750 §2.1) that this accepts; an error means that it cannot be
    /// checked now.
    Holders(Arc<dyn Fn(SecretString) -> TokenFuture + Send + Sync>),
}

/// Whether a token opens something.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<bool, String>> + Send>>;

/// The three paths, for a role's own listener or for merging into another router.
pub fn router(checks: Checks, metrics: Metrics, readers: Readers) -> Router {
    let asked = checks.clone();
    let metrics_page = move |headers: HeaderMap| {
        let (metrics, readers, asked) = (metrics.clone(), readers.clone(), asked.clone());
        async move {
            match admitted(&readers, &headers).await {
                Ok(()) => {
                    asked.count().await;
                    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
                    (kind, metrics.render()).into_response()
                }
                Err(refusal) => refusal.into_response(),
            }
        }
    };
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(checks)
}

type Refusal = (StatusCode, [(HeaderName, &'static str); 1], &'static str);

async fn admitted(readers: &Readers, headers: &HeaderMap) -> Result<(), Refusal> {
    let Readers::Holders(opens) = readers else { return Ok(()) };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (status, words) = match token {
        None => (StatusCode::UNAUTHORIZED, "a token of scope `metrics` is needed\n"),
        Some((_, token)) => match opens(SecretString::from(token.trim())).await {
            Ok(true) => return Ok(()),
            Ok(false) => (StatusCode::UNAUTHORIZED, "this token does not open `/metrics`\n"),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the token cannot be checked: the database is away\n"),
        },
    };
    Err((status, [(header::WWW_AUTHENTICATE, "Bearer realm=\"scimfleet\"")], words))
}

async fn readyz(State(checks): State<Checks>) -> Response {
    let readiness = checks.ask().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {listen}: {source}; is another process there? (`listen` is set in the configuration)")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The listener broke.
    #[error("the listener on {listen} broke: {source}")]
    Serve {
        /// The address.
        listen: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A bound listener: its address is known before it serves.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds `listen`; port 0 takes any that is free.
pub async fn bind(listen: SocketAddr) -> Result<Listening, ServeError> {
    let refuse = |source| ServeError::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    Ok(Listening { listener, address })
}

impl Listening {
    /// The address with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the drain begins, then finishes open requests until it gives up.
    pub async fn serve(self, router: Router, drain: &Drain) -> Result<(), ServeError> {
        let begun = drain.token();
        let server = axum::serve(self.listener, router.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(begun.cancelled_owned());
        tokio::select! {
            served = server => served.map_err(|source| ServeError::Serve { listen: self.address, source }),
            // A client that holds its connection open must not hold the process.
            () = drain.given_up() => Ok(()),
        }
    }
}

/// Binds and serves in one step.
pub async fn serve(listen: SocketAddr, router: Router, drain: &Drain) -> Result<(), ServeError> {
    bind(listen).await?.serve(router, drain).await
}

#[cfg(test)]
mod tests;
