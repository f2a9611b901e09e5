//! Faults by script: the nth request of a kind meets something other than an answer.

use std::time::Duration;

/// Which requests a fault is for. Empty fields match everything.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// `POST`, `PATCH`, …
    pub method: Option<String>,
    /// A part of the path and query below the base URL.
    pub path_contains: Option<String>,
    /// The first matching request that meets the fault; 1 (and 0) is the next one.
    pub nth: u64,
    /// How many matching requests in a row meet it; 0 is one, [`Matcher::EVER`] is all.
    pub times: u64,
}

impl Matcher {
    /// For [`Matcher::times`]: no end.
    pub const EVER: u64 = u64::MAX;

    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests of one method whose path and query contain `path`.
    pub fn on(method: &str, path: &str) -> Self {
        Self { method: Some(method.to_owned()), path_contains: Some(path.to_owned()), ..Self::default() }
    }

    /// Beginning with the `nth` match, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// For so many matches.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    fn matches(&self, method: &str, target: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path_contains.as_deref().is_none_or(|part| target.contains(part))
    }
}

/// What happens instead of a plain answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A SCIM error with this status; nothing is applied.
    Status(u16),
    /// 400 with `expiredCursor` (RFC 9865 §2.1).
    ExpiredCursor,
    /// 429 with `Retry-After` as given.
    Throttled(String),
    /// The request is applied, then answered with a SCIM error of this status.
    StatusAfterApplying(u16),
    /// The connection is reset; nothing is applied.
    ResetBeforeApplying,
    /// The request is applied, then the connection is reset.
    ResetAfterApplying,
    /// The request is applied, then the connection is closed without an answer.
    DropAnswerAfterApplying,
    /// The request is applied after this time.
    Delay(Duration),
    /// The request is applied at once and answered after this time.
    DelayAnswer(Duration),
    /// No answer until the provider stops; nothing is applied.
    BlackHole,
    /// 200 with something that is not JSON; nothing is applied.
    Garbage,
    /// An HTML page with this status; nothing is applied.
    HtmlPage(u16),
    /// This status and body as JSON; nothing is applied.
    Body(u16, String),
    /// The request is applied, the answer has its status and headers but no body.
    EmptyAfterApplying,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    matcher: Matcher,
    fault: Fault,
    seen: u64,
}

impl Script {
    pub(crate) fn push(&mut self, matcher: Matcher, fault: Fault) {
        self.steps.push(Step { matcher, fault, seen: 0 });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.steps.clear();
    }

    /// The fault that this request meets. Every matching step counts it; the first due one wins.
    pub(crate) fn next(&mut self, method: &str, target: &str) -> Option<Fault> {
        let mut due = None;
        for step in &mut self.steps {
            if !step.matcher.matches(method, target) {
                continue;
            }
            step.seen += 1;
            let first = step.matcher.nth.max(1);
            let last = first.saturating_add(step.matcher.times.max(1) - 1);
            if due.is_none() && (first..=last).contains(&step.seen) {
                due = Some(step.fault.clone());
            }
        }
        self.steps.retain(|step| step.seen < step.matcher.nth.max(1).saturating_add(step.matcher.times.max(1) - 1));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_match_meets_the_fault_and_then_no_more() {
        let mut script = Script::default();
        script.push(Matcher::on("POST", "/Users").nth(2).times(2), Fault::Status(503));
        let mut ask = |method: &str| script.next(method, "/Users").is_some();
        assert_eq!([ask("POST"), ask("GET"), ask("POST"), ask("POST"), ask("POST")], [false, false, true, true, false]);
        assert!(script.steps.is_empty());
    }

    #[test]
    fn ever_does_not_end() {
        let mut script = Script::default();
        script.push(Matcher::any().times(Matcher::EVER), Fault::Garbage);
        assert!((0..100).all(|_| script.next("GET", "/").is_some()));
    }
}
