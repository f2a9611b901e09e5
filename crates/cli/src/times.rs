//! Times as people read them: UTC, to the second.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

/// `2026-11-24 08:00:00Z`.
pub(crate) fn utc(at_ms: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at_ms.max(0).unsigned_abs());
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.replacen('T', " ", 1)
}

/// `in 12s`, `now`, `3m ago`.
pub(crate) fn relative(at_ms: i64, now_ms: i64) -> String {
    let seconds = (at_ms - now_ms) / 1000;
    let span = humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string();
    // The two largest units say enough.
    let span = span.split(' ').take(2).collect::<Vec<_>>().join(" ");
    match seconds {
        0 => "now".to_owned(),
        later if later > 0 => format!("in {span}"),
        _ => format!("{span} ago"),
    }
}

/// `3m`, `2h 5m`: how long ago, for a column that says so.
pub(crate) fn age(at_ms: i64, now_ms: i64) -> String {
    let seconds = ((now_ms - at_ms) / 1000).max(0);
    let span = humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string();
    span.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// `2026-11-24T08:00:00.123Z`.
pub(crate) fn rfc3339(at_ms: i64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at_ms.max(0).unsigned_abs())).to_string()
}

/// A time that people give: so long ago, or a time itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Before now.
    Ago(Duration),
    /// Milliseconds since 1970.
    At(i64),
}

impl Since {
    /// Milliseconds since 1970.
    pub(crate) fn at_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::Ago(span) => now_ms - i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2),
            Self::At(at_ms) => at_ms,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = humantime::parse_duration(text) {
            return Ok(Self::Ago(span));
        }
        let at = humantime::parse_rfc3339_weak(text).ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at_ms = at.and_then(|at| i64::try_from(at.as_millis()).ok()).map(Self::At);
        at_ms.ok_or_else(|| "write a duration such as `24h`, or a time such as `2026-11-24T08:00:00Z` (UTC)".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        assert_eq!("24h".parse::<Since>().unwrap().at_ms(86_400_001), 1);
        assert_eq!("1970-01-01T00:00:01Z".parse::<Since>().unwrap().at_ms(5), 1000);
        assert_eq!("1970-01-02 00:00:00".parse::<Since>().unwrap().at_ms(5), 86_400_000);
        assert!("yesterday".parse::<Since>().unwrap_err().contains("24h"));
    }

    #[test]
    fn times_read_like_times() {
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(relative(12_000, 0), "in 12s");
        assert_eq!(relative(0, 3_723_000), "1h 2m ago");
        assert_eq!(relative(100, 0), "now");
    }
}
