//! How a provider stands, and the one sentence about all of them. Pure, so that the wording is tested.

use scimfleet_core::state::{ProviderState, RunState};

/// A leaver is overdue after a minute.
pub(crate) const OVERDUE_MS: i64 = 60_000;

/// What one row of `status` is made of.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) state: ProviderState,
    pub(crate) reason: Option<String>,
    /// Leavers that are not out yet, those that the guard withholds not counted.
    pub(crate) leavers: usize,
    pub(crate) leavers_since_ms: Option<i64>,
    pub(crate) changes: u64,
    pub(crate) changes_since_ms: Option<i64>,
    pub(crate) in_sync: u64,
    pub(crate) parked: u64,
    pub(crate) held: u64,
    pub(crate) last_run: Option<LastRun>,
    pub(crate) writes_last_minute: u64,
    pub(crate) rate: Option<String>,
}

/// The newest run of a provider.
#[derive(Debug, Clone)]
pub(crate) struct LastRun {
    pub(crate) id: String,
    pub(crate) state: RunState,
    pub(crate) at_ms: i64,
    pub(crate) error: Option<String>,
}

/// In the order of alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Nothing to do.
    InStep,
    /// Switched off by a person.
    Off,
    /// It sorts itself out, or is on its way.
    Waiting,
    /// Somebody has to decide or to mend.
    Person,
}

impl Standing {
    /// The word for programs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InStep => "in step",
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Person => "needs a person",
        }
    }

    /// A shape for people; never colour alone.
    pub(crate) const fn shape(self) -> &'static str {
        match self {
            Self::InStep => "●",
            Self::Off => "○",
            Self::Waiting => "▲",
            Self::Person => "■",
        }
    }
}

impl Figures {
    /// Whether somebody still has access more than a minute after they should not.
    pub(crate) fn overdue(&self, now_ms: i64) -> bool {
        self.leavers_since_ms.is_some_and(|since| now_ms - since > OVERDUE_MS)
    }

    pub(crate) fn standing(&self, now_ms: i64) -> Standing {
        let stopped =
            self.last_run.as_ref().is_some_and(|run| matches!(run.state, RunState::Stopped | RunState::Failed));
        match self.state {
            _ if self.overdue(now_ms) || self.held > 0 => Standing::Person,
            ProviderState::Quarantined => Standing::Person,
            ProviderState::Paused | ProviderState::Disabled => Standing::Off,
            ProviderState::Degraded => Standing::Waiting,
            ProviderState::Active if stopped => Standing::Person,
            // Never synchronised: nobody knows.
            ProviderState::Active if self.last_run.is_none() && self.in_sync == 0 => Standing::Waiting,
            ProviderState::Active if self.parked > 0 || self.changes > 0 || self.leavers > 0 => Standing::Waiting,
            ProviderState::Active => Standing::InStep,
        }
    }

    /// The state, or what an active provider is about.
    pub(crate) fn word(&self, now_ms: i64) -> String {
        match (self.state, self.standing(now_ms)) {
            (ProviderState::Active, Standing::InStep) => "in step".to_owned(),
            (ProviderState::Active, _) if self.last_run.is_none() && self.in_sync == 0 => "never synced".to_owned(),
            (state, _) => state.to_string(),
        }
    }
}

/// `All leavers are out. 3 providers in step, 1 degraded.`
pub(crate) fn sentence(providers: &[Figures], now_ms: i64) -> String {
    if providers.is_empty() {
        return "No provider yet: `scimfleet providers add`, or describe one in a fleet file and `scimfleet apply` it."
            .to_owned();
    }
    let overdue: Vec<&Figures> = providers.iter().filter(|one| one.overdue(now_ms)).collect();
    let waiting: usize = providers.iter().map(|one| one.leavers).sum();
    let leavers = match (overdue.as_slice(), waiting) {
        ([], 0) => "All leavers are out.".to_owned(),
        ([], count) => format!("{} on the way out.", plural(count, "leaver is", "leavers are")),
        (late, _) => {
            let count = late.iter().map(|one| one.leavers).sum();
            let names: Vec<&str> = late.iter().map(|one| one.name.as_str()).collect();
            format!("{} access at {}.", plural(count, "leaver still has", "leavers still have"), names.join(", "))
        }
    };
    let mut parts: Vec<String> = Vec::new();
    let in_step = providers.iter().filter(|one| one.standing(now_ms) == Standing::InStep).count();
    if in_step > 0 {
        parts.push(format!("{} in step", plural(in_step, "provider", "providers")));
    }
    let catching_up =
        providers.iter().filter(|one| one.state == ProviderState::Active && one.standing(now_ms) != Standing::InStep);
    match catching_up.count() {
        0 => {}
        count => parts.push(format!("{count} not in step")),
    }
    for state in ProviderState::ALL.iter().filter(|state| **state != ProviderState::Active) {
        match providers.iter().filter(|one| one.state == *state).count() {
            0 => {}
            count => parts.push(format!("{count} {state}")),
        }
    }
    let held: u64 = providers.iter().map(|one| one.held).sum();
    let held = if held > 0 { format!(" {held} removals wait for approval.") } else { String::new() };
    format!("{leavers} {}.{held}", parts.join(", "))
}

fn plural(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 10_000_000;

    fn calm(name: &str) -> Figures {
        Figures {
            name: name.to_owned(),
            state: ProviderState::Active,
            reason: None,
            leavers: 0,
            leavers_since_ms: None,
            changes: 0,
            changes_since_ms: None,
            in_sync: 5,
            parked: 0,
            held: 0,
            last_run: None,
            writes_last_minute: 0,
            rate: None,
        }
    }

    fn ended(state: RunState) -> Option<LastRun> {
        Some(LastRun { id: "1".to_owned(), state, at_ms: NOW, error: None })
    }

    #[test]
    fn the_sentence_says_whether_leavers_are_out_and_who_is_in_step() {
        let late = Figures { leavers: 2, leavers_since_ms: Some(NOW - 60_001), ..calm("acme") };
        let leaving = Figures { leavers: 1, leavers_since_ms: Some(NOW - 1), ..calm("acme") };
        let down = Figures { state: ProviderState::Degraded, ..calm("acme") };
        let held = Figures { held: 7, ..calm("acme") };
        let cases: [(&[Figures], &str); 6] = [
            (
                &[],
                "No provider yet: `scimfleet providers add`, or describe one in a fleet file and `scimfleet apply` it.",
            ),
            (&[calm("a"), calm("b")], "All leavers are out. 2 providers in step."),
            (&[calm("a"), down], "All leavers are out. 1 provider in step, 1 degraded."),
            (&[calm("a"), leaving], "1 leaver is on the way out. 1 provider in step, 1 not in step."),
            (&[late], "2 leavers still have access at acme. 1 not in step."),
            (&[held], "All leavers are out. 1 not in step. 7 removals wait for approval."),
        ];
        for (providers, expected) in cases {
            assert_eq!(sentence(providers, NOW), expected);
        }
    }

    #[test]
    fn whoever_needs_a_person_comes_first() {
        let cases = [
            (calm("a"), Standing::InStep, "in step"),
            (Figures { in_sync: 0, ..calm("a") }, Standing::Waiting, "never synced"),
            (Figures { changes: 1, ..calm("a") }, Standing::Waiting, "active"),
            (Figures { parked: 1, ..calm("a") }, Standing::Waiting, "active"),
            (Figures { last_run: ended(RunState::Stopped), ..calm("a") }, Standing::Person, "active"),
            (Figures { last_run: ended(RunState::Completed), ..calm("a") }, Standing::InStep, "in step"),
            (Figures { state: ProviderState::Paused, ..calm("a") }, Standing::Off, "paused"),
            (Figures { state: ProviderState::Degraded, ..calm("a") }, Standing::Waiting, "degraded"),
            (Figures { state: ProviderState::Quarantined, ..calm("a") }, Standing::Person, "quarantined"),
            (
                Figures { state: ProviderState::Paused, leavers: 1, leavers_since_ms: Some(0), ..calm("a") },
                Standing::Person,
                "paused",
            ),
        ];
        for (figures, standing, word) in cases {
            assert_eq!((figures.standing(NOW), figures.word(NOW).as_str()), (standing, word), "{figures:?}");
        }
        assert!(Standing::Person > Standing::Waiting && Standing::Waiting > Standing::Off);
    }
}
