//! Several schedulers share the work through one lease: the holder works, the others stand by.

use std::time::Duration;

use scimfleet_store::Signal;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::publish::Part;
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

/// Whether tables outgrew what the database's planner knows of them is looked at this often: one question.
const STATISTICS_EVERY: Duration = Duration::from_secs(1);

/// A restored database is noticed if at least this much was done since its backup (R34).
const EPOCH_EVERY: Duration = Duration::from_secs(10);

/// Works until the drain begins. Dropped before, everything that it began ends at once, as in a process that is killed.
pub async fn run(scheduler: Scheduler) {
    let jobs = (scheduler.duty == Duty::Everything)
        .then(|| AbortOnDropHandle::new(tokio::spawn(crate::jobs::consume(scheduler.clone()))));
    let mut rounds = Rounds::new(&scheduler);
    while !scheduler.drain.is_begun() {
        match rounds.leads().await {
            Ok(true) => match rounds.round().await {
                Ok(Progress::More) => continue,
                Ok(Progress::Done) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "a round of the scheduler failed; the next one tries again");
                    rest(&scheduler, ROUND_EVERY).await;
                }
            },
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

/// What a round leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// More is owed than was published in one go.
    More,
    /// Nothing that anybody knows of.
    Done,
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
    planned: Option<Instant>,
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
            planned: None,
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

    async fn round(&mut self) -> Result<Progress, SchedulerError> {
        let scheduler = self.scheduler;
        if self.epoch_grown.is_none_or(|at| at.elapsed() > EPOCH_EVERY) {
            scheduler.store.guard_epoch(scheduler.coordination.as_ref()).await?;
            self.epoch_grown = Some(Instant::now());
        }
        if is_due(&mut self.recovered, RECOVER_EVERY) {
            scheduler.recover_lost().await?;
        }
        scheduler.relay().await?;
        if scheduler.duty == Duty::Everything {
            scheduler.open_scheduled().await?;
        }
        let (sweep, measure) = (is_due(&mut self.swept, SWEEP_EVERY), is_due(&mut self.measured, MEASURE_EVERY));
        let (end, mut ended) = watch::channel(false);
        let statistics = is_due(&mut self.planned, STATISTICS_EVERY);
        let slow = async {
            let (done, told) = tokio::join!(slow_part(scheduler, sweep, measure), tell_planner(scheduler, statistics));
            end.send_replace(true);
            told.and(done)
        };
        let (slow, followed) = tokio::join!(slow, self.follow_changes(&mut ended));
        slow?;
        followed
    }

    /// Relays changes and publishes what is owed until the slow part of the round has ended: opening a run of a
    /// large directory takes seconds, and leavers wait for nobody's run. Keeps the lease meanwhile.
    async fn follow_changes(&mut self, ended: &mut watch::Receiver<bool>) -> Result<Progress, SchedulerError> {
        let scheduler = self.scheduler;
        loop {
            let mut more = false;
            if scheduler.duty == Duty::Everything {
                more = scheduler.publish_owed(Part::All).await?;
            }
            if *ended.borrow() || scheduler.drain.is_begun() || !self.leads().await? {
                return Ok(if more { Progress::More } else { Progress::Done });
            }
            if !more {
                tokio::select! {
                    _ = self.outbox.changed() => {}
                    _ = ended.changed() => {}
                    () = tokio::time::sleep(ROUND_EVERY) => {}
                    () = scheduler.drain.begun() => {}
                }
            }
            scheduler.relay().await?;
        }
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

/// What may take long in a large directory.
async fn slow_part(scheduler: &Scheduler, sweep: bool, measure: bool) -> Result<(), SchedulerError> {
    scheduler.move_runs().await?;
    scheduler.publish_due_tasks().await?;
    if sweep {
        scheduler.sweep().await?;
    }
    if measure {
        scheduler.measure_states().await?;
    }
    Ok(())
}

/// An import, or a run that was just opened for a large directory, fills tables in seconds.
async fn tell_planner(scheduler: &Scheduler, is_due: bool) -> Result<(), SchedulerError> {
    if is_due {
        scheduler.store.refresh_statistics().await?;
    }
    Ok(())
}

/// Whether something that is done `every` so often is to be done now; then it counts as done.
fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() > every);
    if due {
        *last = Some(Instant::now());
    }
    due
}
