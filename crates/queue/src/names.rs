//! How exchanges, queues and routing keys are called.

use scimfleet_core::ProviderName;
use scimfleet_core::ports::{QueueError, Source};
use scimfleet_core::task::Lane;

/// The prefix of all names when the configuration gives none.
pub const DEFAULT_PREFIX: &str = "scimfleet";

/// The routing key of jobs.
pub(crate) const JOBS_KEY: &str = "jobs";

/// A queue's name is at most 255 bytes (AMQP 0-9-1 `shortstr`); a provider's name and its lane take
/// up to 72 of them.
const PREFIX_LENGTH_MAX: usize = 128;

/// The names under one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Result<Self, QueueError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if prefix.is_empty() || prefix.len() > PREFIX_LENGTH_MAX || !prefix.bytes().all(allowed) {
            let reason = format!(
                "the queue prefix `{}` is not 1 to {PREFIX_LENGTH_MAX} letters, digits, `-`, `_` or `.`",
                prefix.chars().take(PREFIX_LENGTH_MAX).collect::<String>()
            );
            return Err(QueueError::Unreachable { reason });
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    pub(crate) fn exchange(&self) -> &str {
        &self.prefix
    }

    /// The name of the dead-letter exchange and of its only queue.
    pub(crate) fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// Held by who declares the queues of a provider; there as long as that takes.
    pub(crate) fn lock(&self, provider: &ProviderName) -> String {
        format!("{}.declaring.{provider}", self.prefix)
    }

    pub(crate) fn queue(&self, source: &Source) -> String {
        format!("{}.{}", self.prefix, routing_key(source))
    }
}

/// The key that leads to the queue of `source`.
pub(crate) fn routing_key(source: &Source) -> String {
    match source {
        Source::Jobs => JOBS_KEY.to_owned(),
        Source::Tasks(provider, lane) => format!("{provider}.{lane}"),
    }
}

/// The three queues of a provider.
pub(crate) fn lanes(provider: &ProviderName) -> impl Iterator<Item = Source> + '_ {
    Lane::ALL.iter().map(|lane| Source::Tasks(provider.clone(), *lane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let names = Names::new(DEFAULT_PREFIX).unwrap();
        let acme = ProviderName::parse("acme").unwrap();
        assert_eq!(names.exchange(), "scimfleet");
        assert_eq!(names.dead(), "scimfleet.dead");
        assert_eq!(names.queue(&Source::Jobs), "scimfleet.jobs");
        let queues: Vec<_> = lanes(&acme).map(|source| names.queue(&source)).collect();
        assert_eq!(queues, ["scimfleet.acme.leavers", "scimfleet.acme.changes", "scimfleet.acme.sync"]);
    }

    #[test]
    fn a_prefix_that_cannot_be_part_of_a_name_is_refused() {
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
    }
}
