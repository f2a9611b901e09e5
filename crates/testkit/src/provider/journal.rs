//! What the service provider was asked, in order, with counters that cost the same however long it runs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use axum::body::Bytes;

/// Requests that are kept; older ones are forgotten, the counters are not.
pub const ENTRIES_MAX_DEFAULT: usize = 200_000;

/// One request.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Counts from 1.
    pub number: u64,
    /// Since the service provider started.
    pub at: Duration,
    /// GET, POST, PUT, PATCH, DELETE.
    pub method: String,
    /// Below the base URL: `/Users/2819c223`.
    pub path: String,
    /// Without `?`; empty when there was none.
    pub query: String,
    /// What was answered; 0 when the connection was cut instead.
    pub status: u16,
    /// The resource that it was about, also the one that a POST made.
    pub object: Option<String>,
    /// Operations of a PATCH or of a bulk request.
    pub operations: usize,
    /// The W3C trace context that came along.
    pub traceparent: Option<String>,
    /// The body, if `journal_bodies` is on.
    pub body: Option<Bytes>,
}

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests by method.
    pub methods: BTreeMap<String, u64>,
    /// Requests by status; 0 is a cut connection.
    pub statuses: BTreeMap<u16, u64>,
    /// Operations inside bulk requests.
    pub bulk_operations: u64,
}

impl Counts {
    /// Requests of one method.
    pub fn of(&self, method: &str) -> u64 {
        self.methods.get(method).copied().unwrap_or_default()
    }

    /// Requests answered with `status`.
    pub fn answered(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.methods.values().sum()
    }

    /// Requests that ask for a change: all but GET and searches by POST.
    pub fn writes(&self) -> u64 {
        self.total() - self.of("GET") - self.of("SEARCH")
    }

    fn minus(&self, earlier: &Self) -> Self {
        let less = |now: &BTreeMap<String, u64>, then: &BTreeMap<String, u64>| {
            now.iter().map(|(key, n)| (key.clone(), n - then.get(key).unwrap_or(&0))).filter(|(_, n)| *n > 0).collect()
        };
        Self {
            methods: less(&self.methods, &earlier.methods),
            statuses: self
                .statuses
                .iter()
                .map(|(key, n)| (*key, n - earlier.statuses.get(key).unwrap_or(&0)))
                .filter(|(_, n)| *n > 0)
                .collect(),
            bulk_operations: self.bulk_operations - earlier.bulk_operations,
        }
    }
}

/// A point in the journal.
#[derive(Debug, Clone, Default)]
pub struct Mark {
    number: u64,
    counts: Counts,
}

/// A copy of the journal, or of its part since a [`Mark`].
#[derive(Debug, Clone)]
pub struct Journal {
    /// The requests that are still kept, oldest first.
    pub entries: Vec<Entry>,
    /// Counters over all of them, kept or not.
    pub counts: Counts,
}

impl Journal {
    /// Requests of one method whose path contains `path`.
    pub fn matching<'a>(&'a self, method: &'a str, path: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.method == method && entry.path.contains(path))
    }
}

#[derive(Debug)]
pub(crate) struct Recorder {
    entries: VecDeque<Entry>,
    entries_max: usize,
    counts: Counts,
    number: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), entries_max: ENTRIES_MAX_DEFAULT, counts: Counts::default(), number: 0 }
    }

    /// Keeps at most `entries_max` requests from now on; with 0 only counters.
    pub(crate) fn cap(&mut self, entries_max: usize) {
        self.entries_max = entries_max;
        self.trim();
    }

    fn trim(&mut self) {
        while self.entries.len() > self.entries_max {
            self.entries.pop_front();
        }
    }

    /// Whether more than the counters is wanted.
    pub(crate) fn keeps_entries(&self) -> bool {
        self.entries_max > 0
    }

    /// Counts a request.
    pub(crate) fn count(&mut self, method: &str, path: &str, status: u16, operations: usize) {
        self.number += 1;
        let method = if path.ends_with("/.search") { "SEARCH" } else { method };
        match self.counts.methods.get_mut(method) {
            Some(count) => *count += 1,
            None => drop(self.counts.methods.insert(method.to_owned(), 1)),
        }
        *self.counts.statuses.entry(status).or_default() += 1;
        if path == "/Bulk" {
            self.counts.bulk_operations += operations as u64;
        }
    }

    /// Counts the entry, numbers it and adds it.
    pub(crate) fn record(&mut self, mut entry: Entry) {
        self.count(&entry.method, &entry.path, entry.status, entry.operations);
        entry.number = self.number;
        if self.entries_max > 0 {
            self.entries.push_back(entry);
            self.trim();
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { number: self.number, counts: self.counts.clone() }
    }

    pub(crate) fn counts_since(&self, mark: &Mark) -> Counts {
        self.counts.minus(&mark.counts)
    }

    pub(crate) fn since(&self, mark: &Mark) -> Journal {
        let entries = self.entries.iter().filter(|entry| entry.number > mark.number).cloned().collect();
        Journal { entries, counts: self.counts_since(mark) }
    }
}
