//! Running roles until they are told to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use scimfleet_console::{ConsoleState, Router};
use scimfleet_directory::server::{self, ServerState};
use scimfleet_runtime::health::{self, Listening, Readers};
use scimfleet_runtime::{Drain, Exit, Metrics, trace};
use scimfleet_scheduler::Duty;
use scimfleet_store::{Store, TokenScope, traced};

use crate::context::{Context, SERVE_LEASE};
use crate::error::CliError;
use crate::wire::Parts;

/// `serve` says that often that it is there, and counts as gone after that long (R9).
const SERVE_RENEW_EVERY: Duration = Duration::from_secs(2);
const SERVE_TTL: Duration = Duration::from_secs(8);

/// Which roles a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) scheduler: bool,
    pub(crate) worker: bool,
    pub(crate) console: bool,
}

/// Runs roles until SIGTERM or SIGINT, then lets them finish.
pub(crate) async fn run(context: Context, roles: Roles) -> Result<Exit, CliError> {
    let embedded = context.config.is_embedded();
    if embedded && !(roles.scheduler && roles.worker) && !roles.console {
        return Err(CliError::usage(
            "a role of its own needs a broker: set `[queue] url = \"amqp://…\"`, or run everything by `scimfleet serve`",
        ));
    }
    let metrics = Metrics::install().map_err(CliError::failed)?;
    let drain = Drain::default();
    drain.on_signals().map_err(CliError::failed)?;
    metrics.keep_up(&drain);
    let store = context.store().await?;
    let parts = Parts::new(&context, store.clone(), drain.clone()).await?;
    start(&context, &parts, roles, metrics).await?;
    let drained = drain.finish().await;
    tracing::info!(outcome = ?drained, "ended");
    if roles.scheduler && roles.worker {
        store.release_lease(SERVE_LEASE, &parts.name).await?;
    }
    parts.queue.close().await;
    store.close().await;
    Ok(Exit::Done)
}

/// Starts roles in the background; they end with the drain. Returns where the console listens.
pub(crate) async fn start(
    context: &Context,
    parts: &Parts,
    roles: Roles,
    metrics: Metrics,
) -> Result<Option<SocketAddr>, CliError> {
    let (drain, protected) = (&parts.drain, context.config.metrics.protected);
    if roles.scheduler && roles.worker && context.config.is_embedded() {
        hold_serve_lease(parts).await?;
    }
    if roles.worker {
        drain.spawn(scimfleet_worker::run(parts.worker(context)));
    }
    if roles.scheduler {
        drain.spawn(scimfleet_scheduler::run(parts.scheduler(context, Duty::Everything)));
        if !context.config.sources.is_empty() {
            drain.spawn(scimfleet_directory::sources::repeat(parts.sources(context)));
        }
    }
    let console = if roles.console {
        let listening = health::bind(context.config.console.listen).await.map_err(CliError::failed)?;
        let address = listening.address();
        tracing::info!(address = %address, scim = server::BASE_PATH, "the console listens");
        let pages = ConsoleState::new(parts.store.clone(), context.config.admin_token.clone())
            .with_cluster(parts.queue.clone(), parts.coordination.clone())
            .with_insight(Arc::new(parts.insight(context)))
            .until(drain);
        let directory = ServerState::new(parts.store.clone(), context.config.directory_token.clone());
        let router = scimfleet_console::router(pages).merge(server::router(directory));
        serve(parts, listening, metrics.clone(), Some(router), protected);
        Some(address)
    } else {
        None
    };
    if let Some(listen) = context.config.metrics.listen {
        let listening = health::bind(listen).await.map_err(CliError::failed)?;
        tracing::info!(address = %listening.address(), "metrics and health are served");
        serve(parts, listening, metrics, None, protected);
    }
    Ok(console)
}

fn serve(parts: &Parts, listening: Listening, metrics: Metrics, pages: Option<Router>, protected: bool) {
    let readers = if protected { token_holders(&parts.store) } else { Readers::Everybody };
    let health = health::router(parts.checks(), metrics, readers);
    let router = match pages {
        Some(pages) => health.merge(trace::traced(pages, |context, write| Box::pin(traced(context, write)))),
        None => health,
    };
    let drain = parts.drain.clone();
    parts.drain.spawn(async move {
        if let Err(error) = listening.serve(router, &drain).await {
            tracing::error!(error = %error, "the listener broke");
        }
    });
}

/// Whoever has a token of scope `metrics`; an admin may see everything.
fn token_holders(store: &Store) -> Readers {
    let store = store.clone();
    Readers::Holders(Arc::new(move |token| {
        let store = store.clone();
        Box::pin(async move {
            let found = store.token_of(&token).await.map_err(|error| error.to_string())?;
            Ok(found.is_some_and(|row| matches!(row.scope, TokenScope::Metrics | TokenScope::Admin)))
        })
    }))
}

/// Tells commands on the same file that somebody does the work.
async fn hold_serve_lease(parts: &Parts) -> Result<(), CliError> {
    if parts.store.take_lease(SERVE_LEASE, &parts.name, SERVE_TTL).await?.is_none() {
        return Err(CliError::failed(
            "another `scimfleet serve` has this database; end it first, or use PostgreSQL and RabbitMQ for several processes",
        ));
    }
    let (store, name, drain): (Store, String, Drain) = (parts.store.clone(), parts.name.clone(), parts.drain.clone());
    parts.drain.spawn(async move {
        while !drain.is_begun() {
            tokio::select! {
                () = tokio::time::sleep(SERVE_RENEW_EVERY) => {}
                () = drain.begun() => return,
            }
            if let Err(error) = store.take_lease(SERVE_LEASE, &name, SERVE_TTL).await {
                tracing::warn!(error = %error, "the lease on the database could not be renewed");
            }
        }
    });
    Ok(())
}
