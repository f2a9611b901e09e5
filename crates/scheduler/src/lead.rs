//! Several schedulers share the work through one lease: the holder works, the others stand by.

use std::time::{Duration, Instant};

use scimfleet_store::Signal;
use tokio::sync::watch;

use crate::{Duty, Scheduler, SchedulerError};

/// The name of the lease.
const LEASE_NAME: &str = "scheduler";
/// A scheduler that died is succeeded after this long.
const LEASE_TTL: Duration = Duration::from_secs(10);
const LEASE_RENEW_EVERY: Duration = Duration::from_secs(3);
/// Rounds come at least this often: retries that fall due and slots that begin send no signal.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// What is dirty and not queued is looked for this often; the net below every signal (R7).
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Messages that a queue or a broker lost are looked for this often: it costs a few questions a provider.
const RECOVER_EVERY: Duration = Duration::from_secs(5);
/// How providers stand is measured this often, so that an outage shows within ten seconds.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

/// A restored database is noticed if at least this much was done since its backup (R34).
const EPOCH_EVERY: Duration = Duration::from_secs(10);

/// Works until the drain begins.
pub async fn run(scheduler: Scheduler) {
    let jobs = (scheduler.duty == Duty::Everything).then(|| tokio::spawn(crate::jobs::consume(scheduler.clone())));
    let mut rounds = Rounds::new(&scheduler);
    while !scheduler.drain.is_begun() {
        match rounds.leads().await {
            Ok(true) => {
                if let Err(error) = rounds.round().await {
                    tracing::warn!(error = %error, "a round of the scheduler failed; the next one tries again");
                    rest(&scheduler, ROUND_EVERY).await;
                }
            }
            Ok(false) => rest(&scheduler, LEASE_RENEW_EVERY).await,
            Err(error) => {
                tracing::warn!(error = %error, "the scheduler's lease could not be asked for");
                rest(&scheduler, ROUND_EVERY).await;
            }
        }
        rounds.wait().await;
    }
    if let Some(jobs) = jobs {
        jobs.abort();
    }
    if let Err(error) = scheduler.store.release_lease(LEASE_NAME, &scheduler.name).await {
        tracing::debug!(error = %error, "the lease ends by itself");
    }
}

async fn rest(scheduler: &Scheduler, wait: Duration) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = scheduler.drain.begun() => {}
    }
}

struct Rounds<'a> {
    scheduler: &'a Scheduler,
    outbox: watch::Receiver<u64>,
    runs: watch::Receiver<u64>,
    providers: watch::Receiver<u64>,
    renewed: Option<Instant>,
    swept: Option<Instant>,
    epoch_grown: Option<Instant>,
    measured: Option<Instant>,
    recovered: Option<Instant>,
    leading: bool,
}

impl<'a> Rounds<'a> {
    fn new(scheduler: &'a Scheduler) -> Self {
        let signals = scheduler.store.signals();
        Self {
            scheduler,
            outbox: signals.subscribe(Signal::Outbox),
            runs: signals.subscribe(Signal::Runs),
            providers: signals.subscribe(Signal::Providers),
            renewed: None,
            swept: None,
            epoch_grown: None,
            measured: None,
            recovered: None,
            leading: false,
        }
    }

    async fn leads(&mut self) -> Result<bool, SchedulerError> {
        if self.renewed.is_some_and(|at| at.elapsed() < LEASE_RENEW_EVERY) {
            return Ok(true);
        }
        let scheduler = self.scheduler;
        let lease = scheduler.store.take_lease(LEASE_NAME, &scheduler.name, LEASE_TTL).await?;
        self.renewed = lease.as_ref().map(|_| Instant::now());
        let leads = lease.is_some();
        if leads && !self.leading {
            tracing::info!(scheduler = scheduler.name, "leads");
            self.epoch_grown = None;
            self.take_over().await?;
        }
        crate::measure::leads(leads);
        self.leading = leads;
        Ok(leads)
    }

    /// The in-process queue died with the process that had it: what it held is published again.
    async fn take_over(&self) -> Result<(), SchedulerError> {
        if self.scheduler.store.is_embedded() {
            self.scheduler.store.forget_queued().await?;
            self.scheduler.store.requeue_open_tasks().await?;
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<(), SchedulerError> {
        let scheduler = self.scheduler;
        if self.epoch_grown.is_none_or(|at| at.elapsed() > EPOCH_EVERY) {
            scheduler.store.guard_epoch(scheduler.coordination.as_ref()).await?;
            self.epoch_grown = Some(Instant::now());
        }
        if self.recovered.is_none_or(|at| at.elapsed() > RECOVER_EVERY) {
            self.recovered = Some(Instant::now());
            scheduler.recover_lost().await?;
        }
        scheduler.relay().await?;
        scheduler.move_runs().await?;
        scheduler.publish_due_tasks().await?;
        if scheduler.duty == Duty::Everything {
            scheduler.open_scheduled().await?;
            scheduler.publish_owed().await?;
        }
        if self.swept.is_none_or(|at| at.elapsed() > SWEEP_EVERY) {
            self.swept = Some(Instant::now());
            scheduler.sweep().await?;
        }
        if self.measured.is_none_or(|at| at.elapsed() > MEASURE_EVERY) {
            self.measured = Some(Instant::now());
            scheduler.measure_states().await?;
        }
        Ok(())
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.outbox.changed() => {}
            _ = self.runs.changed() => {}
            _ = self.providers.changed() => {}
            () = tokio::time::sleep(ROUND_EVERY) => {}
            () = self.scheduler.drain.begun() => {}
        }
    }
}
