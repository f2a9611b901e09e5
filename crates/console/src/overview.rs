//! The overview: every provider at a glance, the worst first, and one sentence that says whether all is well.
//! It is taken once for everybody who looks, and never takes more than a small share of the database's time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use scimfleet_core::ProviderId;
use scimfleet_core::state::{LinkState, ProviderState, RunState};
use scimfleet_core::task::Lane;
use scimfleet_store::{ProviderRow, RunRow, Store, StoreError};
use tokio::sync::Mutex;

use crate::history::{Chart, History};
use crate::times::{Lasted, counted};
use crate::{Cluster, ConsoleState};

/// Providers shown, the worst ones: the page stays under 100 kB.
pub(crate) const SHOWN_MAX: usize = 100;
/// A leaver that waits longer than this is overdue.
pub(crate) const OVERDUE_AFTER_MS: i64 = 60_000;
/// Leavers read at the most; with more of them the figures say "at least".
const LEAVERS_MAX: usize = 500;
/// An overview is shown for this long, and for this many times what it took: with thousands of providers
/// the database is asked all the more rarely.
const SHOWN_FOR: Duration = Duration::from_secs(1);
const SHOWN_FOR_COSTS: u32 = 10;
/// A service that does not answer in this time is shown as silent.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Questions to the broker and the coordination service at once.
const ASKED_AT_ONCE: usize = 16;

/// All providers at a glance.
#[derive(Debug, Clone)]
pub(crate) struct Overview {
    /// What to know first.
    pub(crate) sentence: String,
    /// `calm`, `warn` or `alarm`: how it is coloured.
    pub(crate) mood: &'static str,
    /// Parts of the cluster that do not answer, in words.
    pub(crate) silent: Vec<String>,
    /// The worst first.
    pub(crate) providers: Vec<Line>,
    /// Providers beyond those shown.
    pub(crate) more: usize,
    /// Writes of the last hour.
    pub(crate) chart: Chart,
    /// Workers alive; `None` when nobody could say.
    pub(crate) workers: Option<usize>,
    /// Milliseconds since 1970.
    pub(crate) taken_at_ms: i64,
}

/// One provider at a glance.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) id: ProviderId,
    pub(crate) name: String,
    pub(crate) state: ProviderState,
    pub(crate) reason: String,
    pub(crate) leavers: usize,
    /// How long the oldest has waited, milliseconds.
    pub(crate) leaver_waits_ms: i64,
    pub(crate) in_sync: u64,
    pub(crate) owed: u64,
    /// How long the oldest change has waited, milliseconds.
    pub(crate) owed_waits_ms: i64,
    pub(crate) parked: u64,
    pub(crate) held: u64,
    pub(crate) per_second: f64,
    /// `25/s` as configured; empty without a limit.
    pub(crate) rate: String,
    /// The provider asked for patience for so long.
    pub(crate) throttled: Option<Duration>,
    /// Tasks that wait at the broker, by lane.
    pub(crate) lanes: Option<[u64; 3]>,
    pub(crate) last: Option<RunRow>,
}

impl Line {
    pub(crate) fn overdue(&self) -> bool {
        self.leavers > 0 && self.leaver_waits_ms >= OVERDUE_AFTER_MS
    }

    /// The word under which the sentence counts it.
    fn standing(&self) -> &'static str {
        match self.state {
            ProviderState::Active if self.throttled.is_some() => "throttled",
            ProviderState::Active if self.owed > 0 => "catching up",
            ProviderState::Active => "in step",
            other => other.as_str(),
        }
    }

    /// What is wrong weighs by who has to do something about it, and how soon.
    fn weight(&self) -> u8 {
        let failed = self.last.as_ref().is_some_and(|run| matches!(run.state, RunState::Stopped | RunState::Failed));
        match self.state {
            _ if self.overdue() => 7,
            ProviderState::Quarantined => 6,
            ProviderState::Degraded => 5,
            _ if self.held > 0 || failed => 4,
            _ if self.parked > 0 => 3,
            ProviderState::Paused => 2,
            ProviderState::Active if self.owed > 0 || self.throttled.is_some() => 1,
            ProviderState::Active | ProviderState::Disabled => 0,
        }
    }
}

/// The overview that everybody sees, with what it rests on.
#[derive(Default)]
pub(crate) struct OverviewCache {
    inner: Mutex<Cached>,
}

#[derive(Default)]
struct Cached {
    history: History,
    taken: Option<(Instant, Arc<Overview>)>,
    cost: Duration,
}

impl ConsoleState {
    /// The overview, at the most a moment old.
    pub(crate) async fn overview(&self) -> Result<Arc<Overview>, StoreError> {
        let mut cached = self.overview.inner.lock().await;
        let fresh_for = SHOWN_FOR.max(cached.cost * SHOWN_FOR_COSTS);
        if let Some((at, overview)) = &cached.taken
            && at.elapsed() < fresh_for
        {
            return Ok(overview.clone());
        }
        // Others wait for this one: an outage is told at once, not when a statement gives up.
        self.store.answers_within(ANSWER_WITHIN).await?;
        let began = Instant::now();
        let overview = Arc::new(take(self, &mut cached.history).await?);
        cached.cost = began.elapsed();
        cached.taken = Some((Instant::now(), overview.clone()));
        Ok(overview)
    }

    /// What is shown next is read anew: a person just changed something.
    pub(crate) async fn forget_overview(&self) {
        self.overview.inner.lock().await.taken = None;
    }

    /// One provider's line and chart.
    pub(crate) async fn line(&self, row: &ProviderRow) -> Result<(Line, Chart), StoreError> {
        let mut cached = self.overview.inner.lock().await;
        cached.history.refresh(&self.store, row.id).await?;
        let now = self.store.now_ms();
        let mut line = line(&self.store, row, &cached.history, now).await?;
        let chart = cached.history.chart(Some(row.id), now);
        drop(cached);
        count_leavers(&self.store, std::slice::from_mut(&mut line), now).await?;
        if let Some(cluster) = &self.cluster {
            ask_cluster(cluster, &mut line).await;
        }
        Ok((line, chart))
    }
}

async fn take(state: &ConsoleState, history: &mut History) -> Result<Overview, StoreError> {
    let store = &state.store;
    let rows = store.providers().await?;
    history.keep(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
    let now = store.now_ms();
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        history.refresh(store, row.id).await?;
        lines.push(line(store, row, history, now).await?);
    }
    count_leavers(store, &mut lines, now).await?;
    lines.sort_by(|a, b| b.weight().cmp(&a.weight()).then_with(|| a.name.cmp(&b.name)));
    let (mut silent, mut workers) = (Vec::new(), None);
    if let Some(cluster) = &state.cluster {
        (silent, workers) = health(cluster).await;
        if silent.is_empty() {
            let shown = lines.iter_mut().take(SHOWN_MAX);
            futures::stream::iter(shown).for_each_concurrent(ASKED_AT_ONCE, |line| ask_cluster(cluster, line)).await;
        }
    }
    let mood = match lines.first().map_or(0, Line::weight) {
        _ if !silent.is_empty() => "alarm",
        0 | 1 => "calm",
        2 | 3 => "warn",
        _ => "alarm",
    };
    let sentence = sentence(&lines);
    let more = lines.len().saturating_sub(SHOWN_MAX);
    lines.truncate(SHOWN_MAX);
    let chart = history.chart(None, now);
    Ok(Overview { sentence, mood, silent, providers: lines, more, chart, workers, taken_at_ms: now })
}

async fn line(store: &Store, row: &ProviderRow, history: &History, now: i64) -> Result<Line, StoreError> {
    let glance = store.glance(row.id).await?;
    let of = |state: LinkState| glance.by_state.get(&state).copied().unwrap_or_default();
    Ok(Line {
        id: row.id,
        name: row.settings.name.to_string(),
        state: row.state,
        reason: row.state_reason.clone().unwrap_or_default(),
        leavers: 0,
        leaver_waits_ms: 0,
        in_sync: of(LinkState::InSync),
        owed: glance.owed,
        owed_waits_ms: glance.owed_since_ms.map_or(0, |since| (now - since).max(0)),
        parked: of(LinkState::Parked),
        held: glance.held,
        per_second: history.per_second(row.id, now),
        rate: row.settings.rate.clone().unwrap_or_default(),
        throttled: None,
        lanes: None,
        last: store.runs(Some(row.id), 1).await?.into_iter().next(),
    })
}

async fn count_leavers(store: &Store, lines: &mut [Line], now: i64) -> Result<(), StoreError> {
    let leavers = store.leavers(0, None, None, i64::try_from(LEAVERS_MAX).unwrap_or(i64::MAX)).await?;
    let mut by_provider: HashMap<ProviderId, (usize, i64)> = HashMap::new();
    for leaver in leavers {
        // They come with the oldest first.
        by_provider.entry(leaver.provider_id).or_insert((0, now - leaver.since_ms)).0 += 1;
    }
    for line in lines {
        (line.leavers, line.leaver_waits_ms) = by_provider.remove(&line.id).unwrap_or_default();
    }
    Ok(())
}

async fn ask_cluster(cluster: &Cluster, line: &mut Line) {
    let Ok(name) = scimfleet_core::ProviderName::parse(line.name.clone()) else { return };
    line.throttled = in_time(cluster.coordination.gate(&name)).await.flatten();
    let mut lanes = [0; 3];
    for (count, lane) in lanes.iter_mut().zip(Lane::ALL) {
        match in_time(cluster.queue.depth(&name, *lane)).await {
            Some(Ok(depth)) => *count = depth,
            _ => return,
        }
    }
    line.lanes = Some(lanes);
}

/// What does not answer, and how many workers live.
async fn health(cluster: &Cluster) -> (Vec<String>, Option<usize>) {
    let (broker, workers) = tokio::join!(in_time(cluster.queue.healthy()), in_time(cluster.coordination.workers()));
    let mut silent = Vec::new();
    match broker {
        Some(Ok(())) => {}
        Some(Err(error)) => silent.push(error.to_string()),
        None => silent.push("the broker does not answer; work stays in the database and is published again".to_owned()),
    }
    let workers = match workers {
        Some(Ok(workers)) => Some(workers.len()),
        Some(Err(error)) => {
            silent.push(error.to_string());
            None
        }
        None => {
            silent.push("the coordination service does not answer; limits are applied per process".to_owned());
            None
        }
    };
    (silent, workers)
}

pub(crate) async fn in_time<T>(answer: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(ANSWER_WITHIN, answer).await.ok()
}

fn sentence(lines: &[Line]) -> String {
    let leavers: usize = lines.iter().map(|line| line.leavers).sum();
    let longest = lines.iter().map(|line| line.leaver_waits_ms).max().unwrap_or(0);
    let mut text = match leavers {
        0 => "All leavers are out.".to_owned(),
        _ => {
            let at_least = if leavers >= LEAVERS_MAX { "At least " } else { "" };
            let noun = counted(leavers as u64, "leaver still has access", "leavers still have access");
            format!("{at_least}{noun}, the longest for {}.", Lasted(longest))
        }
    };
    if !lines.is_empty() {
        let parts: Vec<String> = STANDINGS
            .iter()
            .map(|word| (*word, lines.iter().filter(|line| line.standing() == *word).count()))
            .filter(|(_, count)| *count > 0)
            .enumerate()
            .map(|(index, (word, count))| match index {
                0 => format!("{} {word}", counted(count as u64, "provider", "providers")),
                _ => format!("{count} {word}"),
            })
            .collect();
        text.push_str(&format!(" {}.", parts.join(", ")));
    }
    let held: u64 = lines.iter().map(|line| line.held).sum();
    if held > 0 {
        text.push_str(&format!(" {} for approval.", counted(held, "removal waits", "removals wait")));
    }
    let parked: u64 = lines.iter().map(|line| line.parked).sum();
    if parked > 0 {
        text.push_str(&format!(" {} parked.", counted(parked, "object is", "objects are")));
    }
    text
}

/// In the order of the sentence: what is well first, as a measure for the rest.
const STANDINGS: [&str; 7] = ["in step", "catching up", "throttled", "degraded", "quarantined", "paused", "disabled"];

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, state: ProviderState) -> Line {
        Line {
            id: ProviderId(serde_json::from_str("\"00000000-0000-0000-0000-000000000000\"").unwrap()),
            name: name.to_owned(),
            state,
            reason: String::new(),
            leavers: 0,
            leaver_waits_ms: 0,
            in_sync: 10,
            owed: 0,
            owed_waits_ms: 0,
            parked: 0,
            held: 0,
            per_second: 0.0,
            rate: String::new(),
            throttled: None,
            lanes: None,
            last: None,
        }
    }

    #[test]
    fn the_sentence_says_first_whether_leavers_are_out() {
        use ProviderState::{Active, Paused};
        let well = || line("a", Active);
        let throttled = Line { throttled: Some(Duration::from_secs(5)), ..well() };
        let late = Line { leavers: 2, leaver_waits_ms: 130_000, ..well() };
        let trouble = Line { held: 37, parked: 1, ..line("b", Paused) };
        let cases: &[(&[Line], &str)] = &[
            (&[], "All leavers are out."),
            (&[well()], "All leavers are out. 1 provider in step."),
            (&[well(), well(), throttled], "All leavers are out. 2 providers in step, 1 throttled."),
            (&[late], "2 leavers still have access, the longest for 2 min. 1 provider in step."),
            (
                &[well(), trouble],
                "All leavers are out. 1 provider in step, 1 paused. 37 removals wait for approval. 1 object is parked.",
            ),
        ];
        for (lines, words) in cases {
            assert_eq!(sentence(lines), *words);
        }
    }

    #[test]
    fn the_worst_weighs_most() {
        use ProviderState::{Active, Degraded, Disabled, Paused, Quarantined};
        let order = [
            Line { leavers: 1, leaver_waits_ms: 61_000, ..line("late", Active) },
            line("quarantined", Quarantined),
            line("degraded", Degraded),
            Line { held: 1, ..line("held", Active) },
            Line { parked: 1, ..line("parked", Active) },
            line("paused", Paused),
            Line { owed: 1, ..line("busy", Active) },
            line("off", Disabled),
        ];
        for pair in order.windows(2) {
            assert!(pair[0].weight() > pair[1].weight(), "{} before {}", pair[0].name, pair[1].name);
        }
    }
}
