//! The metrics that every role writes, in one table, and the recorder that renders them for
//! Prometheus. Nothing here listens: [`crate::health`] serves what [`Metrics::render`] gives.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

use crate::drain::Drain;

/// How a metric is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// A level.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name; it ends in the unit, or in `_total` for a counter.
    pub name: &'static str,
    /// How it is counted.
    pub kind: MetricKind,
    /// The labels, all of bounded variety.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn row(name: &'static str, kind: MetricKind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

/// Requests sent to providers.
pub const REQUESTS_TOTAL: &str = "scimfleet_requests_total";
/// Time until a provider's answer was read.
pub const REQUEST_SECONDS: &str = "scimfleet_request_seconds";
/// What was done to objects.
pub const OPERATIONS_TOTAL: &str = "scimfleet_operations_total";
/// Time that a worker held a task.
pub const TASK_SECONDS: &str = "scimfleet_task_seconds";
/// Messages that wait.
pub const QUEUE_MESSAGES: &str = "scimfleet_queue_messages";
/// Objects whose sent state is not the desired one.
pub const DIRTY_OBJECTS: &str = "scimfleet_dirty_objects";
/// Objects that wait for a person.
pub const PARKED_OBJECTS: &str = "scimfleet_parked_objects";
/// From the directory's commit to the provider's answer.
pub const CHANGE_LATENCY_SECONDS: &str = "scimfleet_change_latency_seconds";
/// 1 for the state that a provider is in.
pub const PROVIDER_STATE: &str = "scimfleet_provider_state";
/// Time that runs took.
pub const RUN_SECONDS: &str = "scimfleet_run_seconds";
/// How often a provider asked for patience.
pub const THROTTLED_TOTAL: &str = "scimfleet_throttled_total";
/// Accounts that somebody changed at the provider.
pub const DRIFTED_TOTAL: &str = "scimfleet_drifted_total";
/// Workers that live.
pub const WORKERS: &str = "scimfleet_workers";
/// Whoever is to lose access and still has it.
pub const LEAVERS_WAITING: &str = "scimfleet_leavers_waiting";
/// How long the oldest of them has waited.
pub const LEAVER_OLDEST_SECONDS: &str = "scimfleet_leaver_oldest_seconds";
/// How far a provider is behind the directory.
pub const DIRTY_OLDEST_SECONDS: &str = "scimfleet_dirty_oldest_seconds";
/// What the guard withholds.
pub const HELD_OBJECTS: &str = "scimfleet_held_objects";
/// How long a provider has been in its state.
pub const PROVIDER_STATE_SECONDS: &str = "scimfleet_provider_state_seconds";
/// Whether this scheduler has the lease.
pub const SCHEDULER_LEADS: &str = "scimfleet_scheduler_leads";
/// 1 while a service that the role stands on answers.
pub const SERVICE_UP: &str = "scimfleet_service_up";

/// Every metric of Scimfleet.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    row(REQUESTS_TOTAL, MetricKind::Counter, &["provider", "method", "status"], "requests sent to a provider, by HTTP method and the status of the answer (`none`: no answer came)"),
    row(REQUEST_SECONDS, MetricKind::Histogram, &["provider", "method"], "time from sending a request to having read the answer"),
    row(OPERATIONS_TOTAL, MetricKind::Counter, &["provider", "kind", "operation", "outcome"], "operations on users and groups, by what became of them"),
    row(TASK_SECONDS, MetricKind::Histogram, &["provider", "lane"], "time that a worker held a task of up to 100 objects"),
    row(QUEUE_MESSAGES, MetricKind::Gauge, &["provider", "lane"], "tasks that wait at the broker"),
    row(DIRTY_OBJECTS, MetricKind::Gauge, &["provider"], "objects whose desired state may not have been sent yet"),
    row(PARKED_OBJECTS, MetricKind::Gauge, &["provider"], "objects that are not tried again until something changes"),
    row(CHANGE_LATENCY_SECONDS, MetricKind::Histogram, &["provider", "lane"], "time from the commit of a change in the directory to the provider's answer"),
    row(PROVIDER_STATE, MetricKind::Gauge, &["provider", "state"], "1 for the state that a provider is in, 0 for the others"),
    row(RUN_SECONDS, MetricKind::Histogram, &["provider"], "time from the start to the end of a full synchronisation"),
    row(THROTTLED_TOTAL, MetricKind::Counter, &["provider"], "answers with status 429"),
    row(DRIFTED_TOTAL, MetricKind::Counter, &["provider", "kind"], "users and groups that a listing showed to have been changed at the provider since our last write"),
    row(WORKERS, MetricKind::Gauge, &[], "workers whose last sign of life is fresh"),
    row(LEAVERS_WAITING, MetricKind::Gauge, &["provider"], "accounts that are to be taken away and are not yet; those that are held not counted"),
    row(LEAVER_OLDEST_SECONDS, MetricKind::Gauge, &["provider"], "how long the oldest of them has waited; 0 when all are out"),
    row(DIRTY_OLDEST_SECONDS, MetricKind::Gauge, &["provider"], "how long the oldest object that is owed something has waited; 0 when none is"),
    row(HELD_OBJECTS, MetricKind::Gauge, &["provider"], "objects that the guard withholds until somebody decides"),
    row(PROVIDER_STATE_SECONDS, MetricKind::Gauge, &["provider"], "how long a provider has been in its state"),
    row(SCHEDULER_LEADS, MetricKind::Gauge, &[], "1 on the scheduler that has the lease, 0 on those that stand by"),
    row(SERVICE_UP, MetricKind::Gauge, &["service"], "1 while the store, the broker or the coordination service answers, 0 while it does not"),
];

/// Upper bounds for what takes a request's time: from a loopback answer to the request timeout.
const SHORT_SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Upper bounds for what waits in queues: from an idle cluster to an outage.
const LATENCY_SECONDS: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3_600.0, 86_400.0];

/// Upper bounds for whole runs: from nothing to do to a rate-limited first run.
const RUN_BOUNDS_SECONDS: [f64; 11] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// A gauge that nobody sets any more is forgotten: a provider that was removed, a scheduler that leads no more.
/// Longer than the slowest of those who set one.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// Samples are folded into buckets this often even when nobody asks, or they would pile up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The recorder of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Metrics")
    }
}

/// Why metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("cannot record metrics: {source}")]
pub struct MetricsError {
    #[from]
    source: BuildError,
}

impl Metrics {
    /// Makes this process record, once; a second call returns the same recorder. Fails when
    /// something else records already.
    pub fn install() -> Result<Self, MetricsError> {
        static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = installed.as_ref() {
            return Ok(metrics.clone());
        }
        let metrics = Self { handle: builder()?.install_recorder()? };
        describe();
        Ok(installed.insert(metrics).clone())
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps memory bounded while nobody renders; ends with the drain.
    pub fn keep_up(&self, drain: &Drain) {
        let (handle, begun) = (self.handle.clone(), drain.token());
        drain.spawn(async move {
            let mut ticks = tokio::time::interval(UPKEEP_EVERY);
            while begun.run_until_cancelled(ticks.tick()).await.is_some() {
                handle.run_upkeep();
            }
        });
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    PrometheusBuilder::new()
        .idle_timeout(MetricKindMask::GAUGE, Some(STALE_AFTER))
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SHORT_SECONDS)?
        .set_buckets_for_metric(full(TASK_SECONDS), &LATENCY_SECONDS)?
        .set_buckets_for_metric(full(CHANGE_LATENCY_SECONDS), &LATENCY_SECONDS)?
        .set_buckets_for_metric(full(RUN_SECONDS), &RUN_BOUNDS_SECONDS)
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => {
                metrics::describe_histogram!(metric.name, metrics::Unit::Seconds, metric.help);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_unit_and_stand_once() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..index].iter().all(|other| other.name != metric.name), "{}", metric.name);
            assert!(metric.name.starts_with("scimfleet_"), "{}", metric.name);
            assert_eq!(metric.kind == MetricKind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.kind != MetricKind::Histogram || metric.name.ends_with("_seconds"), "{}", metric.name);
        }
    }

    #[test]
    fn what_is_recorded_is_rendered_with_help_and_buckets() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(REQUESTS_TOTAL, "provider" => "acme", "method" => "GET", "status" => "200").increment(2);
            metrics::gauge!(WORKERS).set(3.0);
            metrics::histogram!(REQUEST_SECONDS, "provider" => "acme", "method" => "GET").record(0.02);
            metrics::histogram!(CHANGE_LATENCY_SECONDS, "provider" => "acme", "lane" => "leavers").record(70.0);
        });
        let text = recorder.handle().render();
        let wanted = [
            "# HELP scimfleet_workers workers whose last sign of life is fresh",
            "# TYPE scimfleet_requests_total counter",
            r#"scimfleet_requests_total{provider="acme",method="GET",status="200"} 2"#,
            "scimfleet_workers 3",
            r#"scimfleet_request_seconds_bucket{provider="acme",method="GET",le="0.025"} 1"#,
            r#"scimfleet_request_seconds_bucket{provider="acme",method="GET",le="0.01"} 0"#,
            r#"scimfleet_change_latency_seconds_bucket{provider="acme",lane="leavers",le="300"} 1"#,
        ];
        for line in wanted {
            assert!(text.lines().any(|found| found == line), "{line}\nnot in\n{text}");
        }
    }
}
