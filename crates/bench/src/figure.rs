//! A figure: the median of several runs with its spread, beside its ceiling and its goal.

use std::fmt;
use std::fmt::Write as _;

use serde::{Serialize, Serializer};

/// Why nothing was measured.
#[derive(Debug)]
pub(crate) struct BenchError(pub(crate) String);

impl fmt::Display for BenchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for BenchError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Shorthand for the error of a case that found something else than it should.
pub(crate) fn wrong<T>(what: impl Into<String>) -> Result<T, BenchError> {
    Err(BenchError(what.into()))
}

/// What a figure should reach: its ratio to the ceiling where there is one, else its value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(out, "≥ {goal}"),
            Self::AtMost(goal) => write!(out, "≤ {goal}"),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// The median.
    #[serde(serialize_with = "rounded")]
    pub(crate) value: f64,
    #[serde(serialize_with = "rounded")]
    pub(crate) least: f64,
    #[serde(serialize_with = "rounded")]
    pub(crate) most: f64,
    pub(crate) runs: usize,
    /// The same by bare means in the same run.
    pub(crate) ceiling: Option<f64>,
    /// The value divided by the ceiling.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Option<Goal>,
    pub(crate) reached: Option<bool>,
    /// CPU by role, requests, memory: what belongs to the figure.
    pub(crate) note: Option<String>,
}

/// Nobody reads the sixth digit.
fn rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1000.0).round() / 1000.0)
}

impl Figure {
    pub(crate) fn of(name: impl Into<String>, unit: &'static str, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |index: usize| samples.get(index).copied().unwrap_or(f64::NAN);
        Self {
            name: name.into(),
            unit,
            value: at(samples.len() / 2),
            least: at(0),
            most: at(samples.len().saturating_sub(1)),
            runs: samples.len(),
            ceiling: None,
            ratio: None,
            goal: None,
            reached: None,
            note: None,
        }
    }

    /// The share of `samples` that is below the value: a latency, by its percentile.
    pub(crate) fn percentile(name: impl Into<String>, unit: &'static str, percent: usize, samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        let mut figure = Self::of(name, unit, sorted.clone());
        figure.value = sorted.get(index).copied().unwrap_or(f64::NAN);
        figure
    }

    pub(crate) fn beside(mut self, ceiling: f64) -> Self {
        self.ceiling = Some(ceiling);
        self.ratio = Some(self.value / ceiling);
        self
    }

    /// Set after [`Self::beside`].
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.reached = Some(goal.reached(self.ratio.unwrap_or(self.value)));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread = if self.runs > 1 {
            format!("({} to {}, {} runs)", digits(self.least), digits(self.most), self.runs)
        } else {
            String::new()
        };
        let mut line = format!("  {:<52} {:>10} {:<9} {spread}", self.name, digits(self.value), self.unit);
        if let (Some(ratio), Some(ceiling)) = (self.ratio, self.ceiling) {
            let _ = write!(line, " {ratio:.3} of {}", digits(ceiling));
        }
        if let (Some(goal), Some(reached)) = (self.goal, self.reached) {
            let _ = write!(line, " goal {goal}: {}", if reached { "reached" } else { "NOT reached" });
        }
        out.write_str(line.trim_end())?;
        match &self.note {
            Some(note) => write!(out, "\n      {note}"),
            None => Ok(()),
        }
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A count as a number to divide by a time.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^53")]
pub(crate) const fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{Figure, Goal};

    #[test]
    fn a_figure_is_the_median_with_its_spread() {
        let figure = Figure::of("x", "s", vec![3.0, 1.0, 2.0]);
        assert_eq!((figure.value, figure.least, figure.most, figure.runs), (2.0, 1.0, 3.0, 3));
        let beside = figure.clone().beside(4.0).goal(Goal::AtLeast(0.5));
        assert_eq!((beside.ratio, beside.reached), (Some(0.5), Some(true)));
        assert_eq!(figure.goal(Goal::AtMost(1.5)).reached, Some(false));
    }

    #[test]
    fn a_percentile_is_a_sample_that_was_seen() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let at = |percent| Figure::percentile("x", "ms", percent, &samples).value;
        assert_eq!((at(50), at(99), at(100)), (50.0, 99.0, 100.0));
        assert!(Figure::percentile("x", "ms", 50, &[]).value.is_nan());
    }
}
