//! A figure: the median of several runs with its spread, and the ratio to a ceiling where there is one.

use std::fmt;

use serde::Serialize;

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

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// The median.
    pub(crate) value: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) runs: usize,
    /// The value divided by the ceiling of the same run.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Option<f64>,
}

impl Figure {
    pub(crate) fn of(name: &'static str, unit: &'static str, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |index: usize| samples.get(index).copied().unwrap_or_default();
        Self {
            name,
            unit,
            value: at(samples.len() / 2),
            least: at(0),
            most: at(samples.len().saturating_sub(1)),
            runs: samples.len(),
            ratio: None,
            goal: None,
        }
    }

    pub(crate) fn against(mut self, ceiling: f64, goal: f64) -> Self {
        self.ratio = Some(self.value / ceiling);
        self.goal = Some(goal);
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:<34} {:>12.1} {:<10} ({:.1} to {:.1}, {} runs)",
            self.name, self.value, self.unit, self.least, self.most, self.runs
        )?;
        match (self.ratio, self.goal) {
            (Some(ratio), Some(goal)) => write!(out, "  {ratio:.3} of the ceiling, goal {goal}"),
            _ => Ok(()),
        }
    }
}

/// A count as a number to divide by a time.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^53")]
pub(crate) const fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::Figure;

    #[test]
    fn a_figure_is_the_median_with_its_spread() {
        let figure = Figure::of("x", "s", vec![3.0, 1.0, 2.0]);
        assert_eq!((figure.value, figure.least, figure.most, figure.runs), (2.0, 1.0, 3.0, 3));
        assert_eq!(figure.against(4.0, 0.5).ratio, Some(0.5));
    }
}
