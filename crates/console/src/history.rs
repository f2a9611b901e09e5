//! Writes per minute of the last hour: what the chart draws and the rates rest on. Minutes that are over
//! are remembered, so that the log is read once.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use scimfleet_core::ProviderId;
use scimfleet_store::{MinuteCount, Store, StoreError};

/// Minutes in the chart.
pub(crate) const MINUTES: usize = 60;
/// Rows of the log are dated before they are committed: minutes that ended this recently are read again.
const READ_AGAIN: i64 = 2;
const MINUTE_MS: i64 = 60_000;

/// What a column of the chart is made of, in the order in which they are stacked.
pub(crate) const SERIES: [&str; 5] = ["created", "updated", "deactivated", "deleted", "failed"];
type Counts = [u64; SERIES.len()];

/// Writes per minute of each provider.
#[derive(Debug, Default)]
pub(crate) struct History {
    known: HashMap<ProviderId, BTreeMap<i64, Counts>>,
    read_until: HashMap<ProviderId, i64>,
}

impl History {
    /// Reads what is new about a provider.
    pub(crate) async fn refresh(&mut self, store: &Store, provider: ProviderId) -> Result<(), StoreError> {
        let now_ms = store.now_ms();
        let now = now_ms / MINUTE_MS;
        let first = now - i64::try_from(MINUTES).unwrap_or(0) + 1;
        let from = self.read_until.get(&provider).map_or(first, |until| first.max(until - READ_AGAIN));
        let rows = store.writes_by_minute(provider, from * MINUTE_MS, now_ms + MINUTE_MS).await?;
        let known = self.known.entry(provider).or_default();
        known.retain(|minute, _| (first..from).contains(minute));
        for row in rows {
            known.entry(row.minute).or_default()[series(&row)] += row.count;
        }
        self.read_until.insert(provider, now);
        Ok(())
    }

    /// Forgets providers that were removed.
    pub(crate) fn keep(&mut self, providers: &[ProviderId]) {
        self.known.retain(|provider, _| providers.contains(provider));
        self.read_until.retain(|provider, _| providers.contains(provider));
    }

    /// Writes per second in the last minute that is over and the one that goes on.
    pub(crate) fn per_second(&self, provider: ProviderId, now_ms: i64) -> f64 {
        let now = now_ms / MINUTE_MS;
        let Some(known) = self.known.get(&provider) else { return 0.0 };
        let sum: u64 = known.range(now - 1..=now).flat_map(|(_, counts)| counts).sum();
        let seconds = 60 + (now_ms % MINUTE_MS) / 1_000;
        let (sum, seconds) = (u32::try_from(sum).unwrap_or(u32::MAX), u32::try_from(seconds).unwrap_or(60));
        f64::from(sum) / f64::from(seconds)
    }

    /// The chart of one provider, or of all.
    pub(crate) fn chart(&self, provider: Option<ProviderId>, now_ms: i64) -> Chart {
        let now = now_ms / MINUTE_MS;
        let mut columns = [Counts::default(); MINUTES];
        for (id, known) in &self.known {
            if provider.is_some_and(|wanted| wanted != *id) {
                continue;
            }
            for (minute, counts) in known {
                let age = usize::try_from(now - minute).unwrap_or(usize::MAX);
                if let Some(column) = MINUTES.checked_sub(age + 1).and_then(|index| columns.get_mut(index)) {
                    column.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                }
            }
        }
        Chart { columns }
    }
}

fn series(row: &MinuteCount) -> usize {
    match row.operation.as_str() {
        _ if !row.done => 4,
        "create" => 0,
        "deactivate" => 2,
        "delete" => 3,
        _ => 1,
    }
}

/// Writes per minute, the oldest minute first.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    columns: [Counts; MINUTES],
}

/// The height of the drawing in its own units.
const HEIGHT: u64 = 100;

impl Chart {
    /// The largest column.
    pub(crate) fn peak(&self) -> u64 {
        self.columns.iter().map(|column| column.iter().sum()).max().unwrap_or(0)
    }

    /// All of the hour, by series; those with nothing left out.
    pub(crate) fn sums(&self) -> Vec<(&'static str, u64)> {
        let sum = |index: usize| self.columns.iter().map(|column| column[index]).sum::<u64>();
        SERIES.iter().enumerate().map(|(index, name)| (*name, sum(index))).filter(|(_, sum)| *sum > 0).collect()
    }

    /// For each series its class and one SVG path of all its bars, stacked on those before it.
    pub(crate) fn paths(&self) -> Vec<(String, String)> {
        let peak = self.peak().max(1);
        let scale = |count: u64| count * HEIGHT / peak;
        let mut paths = Vec::new();
        for (index, name) in SERIES.iter().enumerate() {
            let mut path = String::new();
            for (minute, column) in self.columns.iter().enumerate() {
                let below: u64 = column[..index].iter().sum();
                let (bottom, top) = (HEIGHT - scale(below), HEIGHT - scale(below + column[index]));
                if bottom > top {
                    let _ = write!(path, "M{} {bottom}V{top}h8V{bottom}z", minute * 10 + 1);
                }
            }
            if !path.is_empty() {
                paths.push(((*name).to_owned(), path));
            }
        }
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_stacked_and_scaled_to_the_peak() {
        let mut columns = [Counts::default(); MINUTES];
        columns[0] = [1, 3, 0, 0, 0];
        columns[59] = [0, 2, 0, 0, 0];
        let chart = Chart { columns };
        assert_eq!(chart.peak(), 4);
        assert_eq!(chart.sums(), [("created", 1), ("updated", 5)]);
        let paths = chart.paths();
        assert_eq!(paths[0], ("created".to_owned(), "M1 100V75h8V100z".to_owned()));
        assert_eq!(paths[1], ("updated".to_owned(), "M1 75V0h8V75zM591 100V50h8V100z".to_owned()));
        assert_eq!(paths.len(), 2);
    }
}
