//! When something repeats: `1h`, a cron expression, or `off`. Time is an argument (milliseconds since
//! 1970, UTC); there is no clock here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;

/// A rule that cuts time into slots, the same for every process that asks: a slot's start is the key
/// by which a scheduled run is opened only once.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Slots of this length, counted from 1970-01-01T00:00Z; whole seconds, at least one.
    Every(Duration),
    /// Slots begin when the expression matches, in UTC.
    Cron(Box<Cron>),
    /// Never.
    Off,
}

/// Text that is no schedule, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no schedule: {reason}")]
pub struct InvalidSchedule {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a schedule may look like; the hint of every refusal.
pub const SCHEDULE_HINT: &str =
    "write a duration such as `1h`, `30m` or `90s`, a cron expression such as `0 */2 * * *` (UTC), or `off`";

/// The longest period between two slots; a longer one is a typing error.
const PERIOD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// 2026-01-01T00:00Z: an expression that never matches after it is refused.
const REFERENCE_MS: i64 = 1_767_225_600_000;

impl Schedule {
    /// The start of the slot that `now_ms` lies in; `None` when there is no such slot.
    pub fn slot(&self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Every(period) => {
                let period_ms = period_ms(*period);
                Some(now_ms.div_euclid(period_ms) * period_ms)
            }
            Self::Cron(cron) => {
                let found = cron.find_previous_occurrence(&instant(now_ms)?, true).ok()?;
                Some(found.timestamp() * 1000)
            }
            Self::Off => None,
        }
    }

    /// The start of the first slot that begins after `now_ms`; `None` when none follows.
    pub fn next_after(&self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Every(period) => {
                let period_ms = period_ms(*period);
                Some((now_ms.div_euclid(period_ms) + 1) * period_ms)
            }
            Self::Cron(cron) => {
                let found = cron.find_next_occurrence(&instant(now_ms)?, false).ok()?;
                Some(found.timestamp() * 1000)
            }
            Self::Off => None,
        }
    }
}

fn period_ms(period: Duration) -> i64 {
    i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1)
}

fn instant(now_ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(now_ms)
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let text = text.trim();
        let refuse = |reason: String| InvalidSchedule { text: text.to_owned(), reason };
        if text == "off" {
            return Ok(Self::Off);
        }
        if text.contains(char::is_whitespace) || text.starts_with('@') {
            return parse_cron(text).map_err(refuse);
        }
        let period = parse_duration(text).ok_or_else(|| refuse("neither a duration nor a cron expression".into()))?;
        if period < Duration::from_secs(1) || period > PERIOD_MAX {
            return Err(refuse("a period lies between 1s and 366d".into()));
        }
        Ok(Self::Every(period))
    }
}

fn parse_cron(text: &str) -> Result<Schedule, String> {
    let cron = Cron::from_str(text).map_err(|error| plain(&error.to_string()))?;
    let schedule = Schedule::Cron(Box::new(cron));
    match schedule.next_after(REFERENCE_MS) {
        Some(_) => Ok(schedule),
        None => Err("it never matches".to_owned()),
    }
}

/// The words of the library in the wording of this project.
fn plain(message: &str) -> String {
    let message = message.rsplit(": ").next().unwrap_or(message).trim_end_matches('.');
    let mut letters = message.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(period) => out.write_str(&format_duration(*period)),
            Self::Cron(cron) => out.write_str(cron.as_str()),
            Self::Off => out.write_str("off"),
        }
    }
}

/// A duration as people write it: `90s`, `30m`, `1h30m`, `2d`; `None` when it is not.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        seconds = seconds.checked_add(count.checked_mul(scale)?)?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    Some(Duration::from_secs(seconds))
}

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

fn format_duration(period: Duration) -> String {
    let mut left = period.as_secs();
    let mut text = String::new();
    for (unit, scale) in UNITS {
        if left >= scale {
            text.push_str(&format!("{}{unit}", left / scale));
            left %= scale;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    #[test]
    fn every_process_cuts_time_at_the_same_marks() {
        // schedule, now, slot, next
        let cases = [
            ("1h", 0, Some(0), Some(HOUR)),
            ("1h", HOUR - 1, Some(0), Some(HOUR)),
            ("1h", HOUR, Some(HOUR), Some(2 * HOUR)),
            ("90s", 100_000, Some(90_000), Some(180_000)),
            ("1h", -1, Some(-HOUR), Some(0)),
            ("0 * * * *", HOUR, Some(HOUR), Some(2 * HOUR)),
            ("0 * * * *", HOUR + 500, Some(HOUR), Some(2 * HOUR)),
            ("0 * * * *", 2 * HOUR - 1, Some(HOUR), Some(2 * HOUR)),
            ("30 2 * * *", 24 * HOUR, Some(5 * HOUR / 2), Some(24 * HOUR + 5 * HOUR / 2)),
            ("*/10 * * * * *", 25_000, Some(20_000), Some(30_000)),
            ("@hourly", HOUR + 1, Some(HOUR), Some(2 * HOUR)),
            ("off", HOUR, None, None),
        ];
        for (text, now, slot, next) in cases {
            assert_eq!(schedule(text).slot(now), slot, "slot of {text} at {now}");
            assert_eq!(schedule(text).next_after(now), next, "next of {text} at {now}");
        }
    }

    #[test]
    fn the_next_slot_is_its_own_slot_and_follows_at_once() {
        for text in ["1h", "7m", "0 3 * * 1", "*/5 * * * *"] {
            let mut now = 1_700_000_000_123;
            for _ in 0..50 {
                let next = schedule(text).next_after(now).unwrap();
                assert!(next > now);
                assert_eq!(schedule(text).slot(next), Some(next), "{text}");
                assert_eq!(schedule(text).slot(next - 1), schedule(text).slot(now), "{text}");
                now = next;
            }
        }
    }

    #[test]
    fn schedules_show_as_they_are_written() {
        for text in ["1h", "1h30m", "90s", "2d", "0 */2 * * *", "off"] {
            let shown = schedule(text).to_string();
            assert_eq!(schedule(&shown), schedule(text), "{text}");
        }
        assert_eq!(schedule("90m").to_string(), "1h30m");
    }

    #[test]
    fn refusals_say_why() {
        let cases = [
            ("hourly", "`hourly` is no schedule: neither a duration nor a cron expression"),
            ("", "`` is no schedule: neither a duration nor a cron expression"),
            ("5", "`5` is no schedule: neither a duration nor a cron expression"),
            ("0s", "`0s` is no schedule: a period lies between 1s and 366d"),
            ("400d", "`400d` is no schedule: a period lies between 1s and 366d"),
            ("0 0 30 2 *", "`0 0 30 2 *` is no schedule: it never matches"),
            ("99 * * * *", "`99 * * * *` is no schedule: number out of bounds"),
            (
                "99999999999999999999h",
                "`99999999999999999999h` is no schedule: neither a duration nor a cron expression",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Schedule>().unwrap_err().to_string(), message);
        }
    }
}
