//! Times as people read them: UTC, to the second.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_times() {
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(relative(12_000, 0), "in 12s");
        assert_eq!(relative(0, 3_723_000), "1h 2m ago");
        assert_eq!(relative(100, 0), "now");
    }
}
