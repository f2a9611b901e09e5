//! Times and durations as people read them.

use std::borrow::Borrow;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// A moment, milliseconds since 1970. On a page it is the exact time in UTC; the script makes it relative
/// and gives the exact one in the viewer's zone on hover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When(pub(crate) i64);

impl When {
    /// RFC 3339, to the second.
    pub(crate) fn rfc3339(self) -> String {
        let at = UNIX_EPOCH + Duration::from_millis(self.0.max(0).unsigned_abs());
        humantime::format_rfc3339_seconds(at).to_string()
    }
}

impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.rfc3339();
        let plain = exact.replacen('T', " ", 1);
        write!(out, "<time datetime=\"{exact}\">{plain}</time>")
    }
}

/// Written above: a number made the text.
impl askama::filters::HtmlSafe for When {}

/// How long something took or has waited, in one unit that fits: `840 ms`, `12 s`, `5 min`, `3 h`, `2 d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lasted(pub(crate) i64);

impl fmt::Display for Lasted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.max(0);
        match ms {
            0..1_000 => write!(out, "{ms} ms"),
            1_000..120_000 => write!(out, "{} s", ms / 1_000),
            120_000..7_200_000 => write!(out, "{} min", ms / 60_000),
            7_200_000..172_800_000 => write!(out, "{} h", ms / 3_600_000),
            _ => write!(out, "{} d", ms / 86_400_000),
        }
    }
}

/// A moment, from a template (which passes references).
pub(crate) fn when(ms: impl Borrow<i64>) -> When {
    When(*ms.borrow())
}

/// A duration in milliseconds, from a template.
pub(crate) fn lasted(ms: impl Borrow<i64>) -> Lasted {
    Lasted(*ms.borrow())
}

/// A number with its word, in the singular or the plural.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_the_unit_that_fits() {
        let cases =
            [(0, "0 ms"), (999, "999 ms"), (61_000, "61 s"), (300_000, "5 min"), (10_800_000, "3 h"), (-5, "0 ms")];
        for (ms, words) in cases {
            assert_eq!(Lasted(ms).to_string(), words);
        }
        assert_eq!(Lasted(3 * 86_400_000).to_string(), "3 d");
    }

    #[test]
    fn a_moment_is_exact_and_marked_up() {
        assert_eq!(
            When(1_764_000_000_000).to_string(),
            "<time datetime=\"2025-11-24T16:00:00Z\">2025-11-24 16:00:00Z</time>"
        );
    }
}
