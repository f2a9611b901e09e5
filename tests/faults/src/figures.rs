//! One line of the table, and the table.

use std::fmt::Write as _;
use std::time::Duration;

/// What a scenario showed.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Rows of the hazards table that it proves.
    pub rows: &'static str,
    /// Its name.
    pub scenario: &'static str,
    /// Objects times edits that were asked for.
    pub attempted: u64,
    /// Of them, those that the target shows at rest.
    pub confirmed: u64,
    /// Missing or outdated at the target, and not parked with a reason.
    pub lost: u64,
    /// There twice.
    pub duplicated: u64,
    /// Deleted, and there again.
    pub resurrected: u64,
    /// Parked with a reason.
    pub parked: u64,
    /// Faults that it went on after.
    pub recovered: u64,
    /// Makes the same directory, edits and faults again.
    pub seed: u64,
    /// From its first process to its last.
    pub duration: Duration,
    /// Figures of its own, in words.
    pub notes: Vec<String>,
    /// Promises that were broken, in words.
    pub broken: Vec<String>,
}

impl Figures {
    /// Whether the suite may end green.
    pub fn is_green(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.resurrected == 0 && self.broken.is_empty()
    }

    /// Notes a promise that was broken unless it holds.
    pub fn promise(&mut self, holds: bool, words: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(words());
        }
    }
}

/// The table as Markdown, notes and broken promises after it.
pub fn table(all: &[Figures]) -> String {
    let mut text = String::from(
        "| row | scenario | attempted | confirmed | **lost** | **duplicated** | **resurrected** | parked | recovered | seed | seconds | measured |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for one in all {
        let verdict = if one.is_green() { "" } else { " ✗" };
        let _ = writeln!(
            text,
            "| {} | {}{verdict} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} |",
            one.rows,
            one.scenario,
            one.attempted,
            one.confirmed,
            one.lost,
            one.duplicated,
            one.resurrected,
            one.parked,
            one.recovered,
            one.seed,
            one.duration.as_secs_f64(),
            one.notes.join("; ")
        );
    }
    for one in all.iter().filter(|one| !one.broken.is_empty()) {
        let _ = writeln!(text, "\n{} ({}):", one.scenario, one.rows);
        for words in &one.broken {
            let _ = writeln!(text, "  ✗ {words}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bold_figure_is_enough_to_fail() {
        assert!(Figures { parked: 1, ..Figures::default() }.is_green());
        for bad in [
            Figures { lost: 1, ..Figures::default() },
            Figures { duplicated: 1, ..Figures::default() },
            Figures { resurrected: 1, ..Figures::default() },
            Figures { broken: vec!["a promise".to_owned()], ..Figures::default() },
        ] {
            assert!(!bad.is_green() && table(&[bad]).contains('✗'));
        }
    }
}
