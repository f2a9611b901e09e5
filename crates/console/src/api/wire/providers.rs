//! Providers and their figures.

use std::collections::BTreeMap;

use scimfleet_core::task::Lane;
use scimfleet_store::ProviderRow;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::overview::{Line, Overview};
use crate::settings::{Setting, without_credentials};

/// A provider in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderSummary {
    pub(crate) name: String,
    /// `active`, `paused`, `degraded`, `quarantined` or `disabled`.
    pub(crate) state: String,
    /// Why it is in that state.
    pub(crate) reason: Option<String>,
    pub(crate) state_since_ms: i64,
    pub(crate) base_url: String,
    /// Grows with every change of its settings or mappings.
    pub(crate) generation: i64,
}

impl From<&ProviderRow> for ProviderSummary {
    fn from(row: &ProviderRow) -> Self {
        Self {
            name: row.settings.name.to_string(),
            state: row.state.to_string(),
            reason: row.state_reason.clone(),
            state_since_ms: row.state_since_ms,
            base_url: without_credentials(&row.settings.base_url),
            generation: row.generation,
        }
    }
}

/// A provider with its figures and settings; secrets are never part of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderDetail {
    #[serde(flatten)]
    pub(crate) summary: ProviderSummary,
    /// Whether a token, password or client secret is stored.
    pub(crate) has_secret: bool,
    pub(crate) figures: Figures,
    #[schema(value_type = Object)]
    pub(crate) settings: Map<String, Value>,
    /// What the provider can and cannot do, each value with where it comes from.
    pub(crate) profile: Vec<Setting>,
}

/// A provider's figures.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// People and groups who are to lose access and still have it; the count ends at 500.
    pub(crate) leavers: usize,
    /// How long the oldest of them has waited.
    pub(crate) leaver_waits_ms: i64,
    /// Objects whose desired state may not have been sent.
    pub(crate) owed: u64,
    /// How long the oldest of them has waited.
    pub(crate) owed_waits_ms: i64,
    pub(crate) in_sync: u64,
    pub(crate) parked: u64,
    /// Withheld by the guard until a person decides.
    pub(crate) held: u64,
    /// Writes per second in the last minute.
    pub(crate) writes_per_second: f64,
    /// The provider asked for patience for so long.
    pub(crate) throttled_ms: Option<u64>,
    /// Tasks that wait at the broker, by lane; null when it does not answer.
    #[schema(value_type = Option<std::collections::HashMap<String, u64>>)]
    pub(crate) queued: Option<BTreeMap<&'static str, u64>>,
}

impl From<&Line> for Figures {
    fn from(line: &Line) -> Self {
        let queued = line.lanes.map(|lanes| Lane::ALL.iter().map(|lane| lane.as_str()).zip(lanes).collect());
        Self {
            leavers: line.leavers,
            leaver_waits_ms: line.leaver_waits_ms,
            owed: line.owed,
            owed_waits_ms: line.owed_waits_ms,
            in_sync: line.in_sync,
            parked: line.parked,
            held: line.held,
            writes_per_second: line.per_second,
            throttled_ms: line.throttled.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            queued,
        }
    }
}

/// All providers at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewBody {
    /// What to know first.
    pub(crate) sentence: String,
    /// `calm`, `warn` or `alarm`.
    pub(crate) mood: &'static str,
    /// Parts of the cluster that do not answer.
    pub(crate) silent: Vec<String>,
    /// The worst first, at most 100.
    pub(crate) providers: Vec<OverviewLine>,
    /// Providers beyond those.
    pub(crate) more: usize,
    pub(crate) workers: Option<usize>,
    pub(crate) taken_at_ms: i64,
}

/// One provider at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewLine {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) figures: Figures,
    pub(crate) last_run: Option<LastRun>,
}

/// The newest run of a provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastRun {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) created_at_ms: i64,
}

impl From<&Overview> for OverviewBody {
    fn from(overview: &Overview) -> Self {
        let line = |line: &Line| OverviewLine {
            name: line.name.clone(),
            state: line.state.to_string(),
            reason: Some(line.reason.clone()).filter(|reason| !reason.is_empty()),
            figures: line.into(),
            last_run: line.last.as_ref().map(|run| LastRun {
                id: run.id.to_string(),
                state: run.state.to_string(),
                created_at_ms: run.created_at_ms,
            }),
        };
        Self {
            sentence: overview.sentence.clone(),
            mood: overview.mood,
            silent: overview.silent.clone(),
            providers: overview.providers.iter().map(line).collect(),
            more: overview.more,
            workers: overview.workers,
            taken_at_ms: overview.taken_at_ms,
        }
    }
}
