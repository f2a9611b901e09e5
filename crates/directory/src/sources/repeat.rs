//! Sources that are read again and again. One process does it at a time, by a lease of its own: everything at first
//! and then by the hour, what changed in between. Only a complete read removes, behind the guard (R2, R28).

use std::collections::HashMap;
use std::time::Duration;

use scimfleet_core::provider::Guard;
use scimfleet_runtime::Drain;
use scimfleet_runtime::config::SourceConfig;
use scimfleet_scim_client::Egress;
use scimfleet_store::Store;
use tokio::time::Instant;

use super::{Removals, Source, SourceError, Taken};

/// The lease on a source lasts this long after its holder vanished, and longer than a look takes to come back.
const LEASE: Duration = Duration::from_secs(60);
/// The holder renews it this often, also while a read goes on.
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// A read that failed is tried again after this long, doubling up to the period of complete reads.
const RETRY_MIN: Duration = Duration::from_secs(30);

/// What the reading of sources works with.
#[derive(Clone)]
pub struct Repeating {
    /// The directory.
    pub store: Store,
    /// As configured.
    pub sources: Vec<SourceConfig>,
    /// Where requests may go.
    pub egress: Egress,
    /// Unique among all processes.
    pub name: String,
    /// When it ends.
    pub drain: Drain,
}

/// Reads every source until the drain begins; each on its own, so that a slow one holds up nobody.
pub async fn repeat(work: Repeating) {
    let reading = work.sources.iter().map(|source| keep_reading(&work, source));
    futures::future::join_all(reading).await;
}

async fn keep_reading(work: &Repeating, config: &SourceConfig) {
    let lease = format!("source:{}", config.name);
    let mut clock = Clock::new(config);
    while !work.drain.is_begun() {
        let holds = work.store.take_lease(&lease, &work.name, LEASE).await;
        match holds {
            Ok(Some(_)) => {
                // A read in the middle of a drain is given up: it is repeated, and has written nothing by halves.
                tokio::select! {
                    () = turn(work, config, &mut clock) => {}
                    () = renew(work, &lease) => {}
                    () = work.drain.begun() => {}
                }
            }
            // Whoever takes over begins with a complete read: what the other one saw is unknown here.
            Ok(None) => clock = Clock::new(config),
            Err(error) => {
                tracing::warn!(source = %config.name, error = %error, "the lease on the source could not be taken");
            }
        }
        let pause = clock.pause(Instant::now()).min(RENEW_EVERY);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = work.drain.begun() => {}
        }
    }
    if let Err(error) = work.store.release_lease(&lease, &work.name).await {
        tracing::warn!(source = %config.name, error = %error, "the lease on the source could not be given back");
    }
}

/// Renews the lease until a read is done; never returns by itself.
async fn renew(work: &Repeating, lease: &str) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        if let Err(error) = work.store.take_lease(lease, &work.name, LEASE).await {
            tracing::warn!(lease, error = %error, "the lease on the source could not be renewed");
        }
    }
}

async fn turn(work: &Repeating, config: &SourceConfig, clock: &mut Clock) {
    let Some(look) = clock.due(Instant::now()) else { return };
    let outcome = match &look {
        Look::Everything => everything(work, config).await,
        Look::Changes(since) => changes(work, config, since).await,
    };
    match &outcome {
        Ok(taken) => {
            let report = &taken.report;
            let (created, updated, removed) = (report.created, report.updated, report.removed);
            let (rejected, whole) = (report.rejected_count, look == Look::Everything);
            if whole || created + updated + removed + rejected > 0 {
                tracing::info!(source = %config.name, whole, created, updated, removed, rejected, "the source was read");
            }
            for one in &report.rejected {
                tracing::warn!(source = %config.name, reason = one.reason, "the source shows somebody who was refused");
            }
        }
        Err(error) => {
            tracing::error!(source = %config.name, error = %error, "the source could not be read");
        }
    }
    clock.done(Instant::now(), &look, outcome.ok().map(|taken| taken.latest));
}

async fn everything(work: &Repeating, config: &SourceConfig) -> Result<Taken, SourceError> {
    let guard: Guard = config.guard.clone();
    Source::open(config, work.egress.clone())?.take_whole(&work.store, &Removals { guard, allowed: None }).await
}

async fn changes(work: &Repeating, config: &SourceConfig, since: &str) -> Result<Taken, SourceError> {
    Source::open(config, work.egress.clone())?.take_changed(&work.store, since).await
}

/// What to read next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Everything,
    Changes(String),
}

/// When to read what. Knows times only, and reads no clock itself.
#[derive(Debug)]
struct Clock {
    full_every: Option<Duration>,
    changes_every: Option<Duration>,
    full_at: Option<Instant>,
    changes_at: Option<Instant>,
    /// Where the next look at changes begins.
    latest: Option<String>,
    failures: HashMap<bool, u32>,
}

impl Clock {
    fn new(config: &SourceConfig) -> Self {
        Self {
            full_every: config.full_every,
            changes_every: config.changes_every,
            full_at: config.full_every.map(|_| Instant::now()),
            changes_at: None,
            latest: None,
            failures: HashMap::new(),
        }
    }

    fn due(&self, now: Instant) -> Option<Look> {
        if self.full_at.is_some_and(|at| at <= now) {
            return Some(Look::Everything);
        }
        let changes = self.changes_at.is_some_and(|at| at <= now);
        self.latest.clone().filter(|_| changes).map(Look::Changes)
    }

    /// `read`: where changes go on from, of a look that succeeded.
    fn done(&mut self, now: Instant, look: &Look, read: Option<Option<String>>) {
        let whole = *look == Look::Everything;
        let failures = self.failures.entry(whole).or_default();
        *failures = if read.is_some() { 0 } else { failures.saturating_add(1) };
        let back_off = RETRY_MIN * 2_u32.saturating_pow(failures.saturating_sub(1).min(10));
        let next = |period: Duration| if *failures == 0 { period } else { back_off.min(period) };
        if whole {
            self.full_at = self.full_every.map(|period| now + next(period));
        }
        if let Some(latest) = read.flatten() {
            self.latest = Some(latest);
        }
        self.changes_at = self.changes_every.map(|period| now + if whole { period } else { next(period) });
    }

    fn pause(&self, now: Instant) -> Duration {
        let next = [self.full_at, self.changes_at.filter(|_| self.latest.is_some())].into_iter().flatten().min();
        next.map_or(RENEW_EVERY, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock {
            full_every: Some(Duration::from_secs(3600)),
            changes_every: Some(Duration::from_secs(30)),
            full_at: Some(Instant::now()),
            changes_at: None,
            latest: None,
            failures: HashMap::new(),
        }
    }

    #[test]
    fn everything_comes_first_then_changes_and_everything_by_the_hour() {
        let (mut clock, start) = (clock(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(clock.due(at(0)), Some(Look::Everything));
        clock.done(at(1), &Look::Everything, Some(Some("t1".to_owned())));
        assert_eq!((clock.due(at(2)), clock.pause(at(1))), (None, Duration::from_secs(30)));
        let look = Look::Changes("t1".to_owned());
        assert_eq!(clock.due(at(31)), Some(look.clone()));
        // Nothing changed: the next look begins where this one did.
        clock.done(at(31), &look, Some(None));
        assert_eq!(clock.due(at(61)), Some(look.clone()));
        clock.done(at(61), &look, Some(Some("t2".to_owned())));
        assert_eq!(clock.due(at(91)), Some(Look::Changes("t2".to_owned())));
        assert_eq!(clock.due(at(3601)), Some(Look::Everything));
    }

    #[test]
    fn failures_are_tried_again_ever_later_and_changes_wait_for_a_whole_read() {
        let (mut clock, start) = (clock(), Instant::now());
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            clock.done(now, &Look::Everything, None);
            assert_eq!(clock.due(now + Duration::from_secs(29)), None);
            pauses.push(clock.pause(now).as_secs());
            now += clock.pause(now);
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }
}
