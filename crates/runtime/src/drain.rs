//! Shutting down: SIGTERM or SIGINT asks every role to finish what it holds; what does not finish is
//! told to give up while there is still time to checkpoint; a second signal ends the process at once.
//!
//! Nothing here decides what to finish: roles listen to the two tokens.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use crate::exit::Exit;

/// The time from the first signal to the end of the process, at the most: service managers kill
/// after 30 seconds.
pub const GRACE: Duration = Duration::from_secs(25);

/// Kept back at the end of the grace for checkpoints, after the word to give up.
pub const GIVE_UP_BEFORE: Duration = Duration::from_secs(3);

/// A drain that every role of a process shares. Cloning it is cheap and shares it.
#[derive(Debug, Clone)]
pub struct Drain {
    begun: CancellationToken,
    given_up: CancellationToken,
    tracker: TaskTracker,
    grace: Duration,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Everything finished by itself.
    Finished,
    /// Everything ended, but some only after they were told to give up.
    GaveUp,
    /// So many tasks did not end within the grace; their work is found again by others.
    Abandoned(usize),
}

impl Default for Drain {
    fn default() -> Self {
        Self::new(GRACE)
    }
}

impl Drain {
    /// A drain that takes `grace` at the most.
    pub fn new(grace: Duration) -> Self {
        Self { begun: CancellationToken::new(), given_up: CancellationToken::new(), tracker: TaskTracker::new(), grace }
    }

    /// Asks every role to finish, as the first signal does.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Whether roles were asked to finish: take nothing new.
    pub fn is_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Ends when roles are asked to finish.
    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.begun.cancelled()
    }

    /// The same as a token that can be handed on. Cancelling it begins the drain.
    pub fn token(&self) -> CancellationToken {
        self.begun.clone()
    }

    /// Ends when time is up: checkpoint and return.
    pub fn given_up(&self) -> WaitForCancellationFuture<'_> {
        self.given_up.cancelled()
    }

    /// The same as a token that can be handed on.
    pub fn give_up_token(&self) -> CancellationToken {
        self.given_up.clone()
    }

    /// Starts a task that [`Drain::finish`] waits for.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// Waits until the drain begins, then until every task has ended or the grace is over.
    pub async fn finish(&self) -> Drained {
        self.begun.cancelled().await;
        self.tracker.close();
        let patience = self.grace.saturating_sub(GIVE_UP_BEFORE.min(self.grace / 2));
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_ok() {
            return Drained::Finished;
        }
        tracing::warn!(tasks = self.tracker.len(), "time to finish is over, tasks are told to give up");
        self.given_up.cancel();
        match tokio::time::timeout(self.grace - patience, self.tracker.wait()).await {
            Ok(()) => Drained::GaveUp,
            Err(_) => Drained::Abandoned(self.tracker.len()),
        }
    }

    /// Begins the drain at the first SIGTERM or SIGINT; at the second the process exits with 1.
    /// From here on neither signal ends the process by itself.
    pub fn on_signals(&self) -> Result<(), SignalError> {
        let mut signals = Signals::new().map_err(|source| SignalError { source })?;
        let drain = self.clone();
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "finishing what is in hand; a second signal ends at once");
            drain.begin();
            let name = signals.next().await;
            tracing::warn!(signal = name, "ending at once");
            std::process::exit(Exit::Failed.code().into());
        });
        Ok(())
    }
}

/// The operating system refused to hand over a signal.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen to SIGTERM and SIGINT: {source}")]
pub struct SignalError {
    source: std::io::Error,
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        // Without a console there is nothing to wait for but the end of the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// How the drain ends, and after how many seconds of paused time.
    async fn ends(drain: &Drain) -> (Drained, u64) {
        drain.begin();
        let start = Instant::now();
        let drained = drain.finish().await;
        (drained, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_finishes_ends_the_drain_early() {
        let drain = Drain::default();
        let task = drain.clone();
        drain.spawn(async move {
            task.begun().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        assert_eq!(ends(&drain).await, (Drained::Finished, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_lingers_is_told_to_give_up_within_the_grace() {
        let drain = Drain::default();
        let task = drain.clone();
        drain.spawn(async move {
            task.given_up().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        });
        assert_eq!(ends(&drain).await, (Drained::GaveUp, 23));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hears_nothing_is_abandoned_after_25_seconds() {
        let drain = Drain::default();
        drain.spawn(std::future::pending::<()>());
        assert_eq!(ends(&drain).await, (Drained::Abandoned(1), 25));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_ends_before_it_begins() {
        let drain = Drain::default();
        let waiting = tokio::time::timeout(Duration::from_secs(3600), drain.finish()).await;
        assert!(waiting.is_err() && !drain.is_begun());
    }
}
