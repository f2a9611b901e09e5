//! Bulk requests (RFC 7644 §3.7). The objects of a task write one request at a time each, and those that
//! are ready at the same moment travel together. So no two operations for one object share a request,
//! and each object meets its own answer as if it had been alone.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::spoken;
use scimfleet_core::profile::Profile;
use scimfleet_core::provider::{ProviderSettings, Switch};
use scimfleet_core::retry::Class;
use scimfleet_core::scim::ResourceKind;
use scimfleet_core::scim::message::{BulkMethod, BulkOperation, BulkRequest, PATCH_OP_URN};
use scimfleet_core::{RemoteId, ResourceId};
use scimfleet_scim_client::{Answer, ScimError, resource_path};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Session;
use super::reference::{Carried, bytes_at_most, carried, references, with_references};
use super::wire::{Call, Content, Failure, Route};
use crate::referring::Referring;

/// A single operation is cheaper as a request of its own.
const OPERATIONS_MIN: usize = 2;
/// How long an operation waits for others of its task: a slow look-up of one object must not hold them all.
const PATIENCE: Duration = Duration::from_secs(1);
/// A provider that announces no size is not sent more than this.
const PAYLOAD_BYTES_DEFAULT: usize = 1024 * 1024;

/// What became of an operation that was offered. `requests` are the bulk requests that it stands for in
/// the counters.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// It travelled.
    Answered {
        /// Its own answer.
        result: Result<Answer, Failure>,
        /// How long the request took.
        took: Duration,
        requests: u64,
        /// The references in it.
        carried: Vec<Carried>,
    },
    /// It was not sent, and is not to be.
    NotNow { outcome: Outcome, requests: u64 },
    /// It is to be sent as a request of its own.
    Alone { requests: u64 },
}

impl Submitted {
    pub(crate) const fn requests(&self) -> u64 {
        match self {
            Self::Answered { requests, .. } | Self::NotNow { requests, .. } | Self::Alone { requests } => *requests,
        }
    }
}

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) operations: usize,
    pub(crate) bytes: usize,
}

impl Room {
    /// The room that a provider gives; `None`: bulk is not to be used.
    pub(crate) fn of(settings: &ProviderSettings, profile: &Profile) -> Option<Self> {
        let operations = usize::try_from(profile.bulk_operations).unwrap_or(usize::MAX);
        if settings.bulk == Switch::Off || operations < OPERATIONS_MIN {
            return None;
        }
        let bytes = match usize::try_from(profile.bulk_payload_bytes).unwrap_or(usize::MAX) {
            0 => PAYLOAD_BYTES_DEFAULT,
            announced => announced,
        };
        Some(Self { operations, bytes })
    }

    /// How many of these sizes, from the first on, fit into one request.
    fn fits(self, sizes: impl Iterator<Item = usize>) -> usize {
        // The comma before each operation but the first is counted with every one: never too little.
        let mut left = self.bytes.saturating_sub(envelope_bytes());
        let mut count = 0;
        for size in sizes.take(self.operations) {
            match left.checked_sub(size + 1) {
                Some(rest) => left = rest,
                None => break,
            }
            count += 1;
        }
        count
    }
}

fn envelope_bytes() -> usize {
    bytes_of(&BulkRequest::default())
}

pub(crate) fn bytes_of(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX / 4, |bytes| bytes.len())
}

/// Gathers the operations of a task.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// `None`: everything travels alone.
    pub(super) room: Option<Room>,
    /// Objects that may still offer an operation.
    running: usize,
    waiting: Vec<Queued>,
    since: Option<Instant>,
    named: u64,
    /// Operations that were sent and are not answered.
    in_flight: usize,
    /// Accounts that objects of this task have by now.
    pub(super) accounts: HashMap<ResourceId, RemoteId>,
    /// Objects that this task may still create. Whoever refers to one of them travels with it or after it.
    to_come: HashSet<ResourceId>,
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) object: ResourceId,
    pub(super) operation: BulkOperation,
    /// What it may refer to.
    pub(super) referring: Option<Referring>,
    bytes: usize,
    asker: oneshot::Sender<Submitted>,
    requests: u64,
}

enum Next {
    Send(Vec<Queued>),
    Wait(Option<Instant>),
    Done,
}

impl Bulk {
    /// For a provider with this room.
    pub(crate) fn new(room: Option<Room>) -> Self {
        Self { state: Mutex::new(State { room, ..State::default() }), changed: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many objects are worked on from now on, if that is worth a bulk request; says whether it is.
    /// `created`: those among them that others may refer to.
    pub(crate) fn begin(&self, objects: usize, created: HashSet<ResourceId>) -> bool {
        let mut state = self.state();
        if objects < OPERATIONS_MIN {
            state.room = None;
        }
        state.running = objects;
        state.to_come = created;
        state.room.is_some()
    }

    /// One of them is done, and has this account.
    pub(crate) fn leave(&self, object: &ResourceId, account: Option<&RemoteId>) {
        let mut state = self.state();
        if let Some(account) = account {
            state.accounts.insert(object.clone(), account.clone());
        }
        state.to_come.remove(object);
        state.running = state.running.saturating_sub(1);
        drop(state);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.state().room = None;
    }

    fn shrink(&self, operations: usize) {
        if let Some(room) = &mut self.state().room {
            room.operations = room.operations.min(operations);
        }
    }

    /// Offers an operation and waits for its answer.
    pub(crate) async fn submit(&self, object: &ResourceId, call: &Call<'_>, profile: &Profile) -> Submitted {
        let referring = call.referring();
        let answer = {
            let mut state = self.state();
            let name = state.named;
            let offered = state.room.and_then(|room| {
                let operation = operation_of(call, name, profile)?;
                let bytes = referring.map_or_else(|| bytes_of(&operation), |to| bytes_at_most(&operation, to));
                (room.fits(std::iter::once(bytes)) == 1).then_some((operation, bytes))
            });
            let Some((operation, bytes)) = offered else { return Submitted::Alone { requests: 0 } };
            let (asker, answer) = oneshot::channel();
            state.named += 1;
            state.since.get_or_insert_with(Instant::now);
            let (object, referring) = (object.clone(), referring.cloned());
            state.waiting.push(Queued { object, operation, referring, bytes, asker, requests: 0 });
            state.running = state.running.saturating_sub(1);
            answer
        };
        self.changed.notify_one();
        // Whoever gathers answers everybody; without an answer nobody knows what was sent.
        answer.await.unwrap_or(Submitted::NotNow { outcome: unanswered("the task was broken off"), requests: 0 })
    }

    /// The next request to send: when nobody else can join it, when it is full, or when it waited enough.
    fn next(&self, room_now: usize) -> Next {
        let mut state = self.state();
        if state.waiting.is_empty() {
            return if state.running == 0 { Next::Done } else { Next::Wait(None) };
        }
        let Some(mut room) = state.room else { return Next::Send(state.take(1)) };
        room.operations = room.operations.min(room_now);
        let ready = state.ready_first();
        if ready == 0 {
            return Next::Wait(None);
        }
        let fits = room.fits(state.waiting[..ready].iter().map(|one| one.bytes)).max(1);
        let is_full = fits < ready || fits == room.operations;
        let due = state.since.map(|since| since + PATIENCE);
        if is_full || state.running == 0 || due.is_some_and(|due| due <= Instant::now()) {
            return Next::Send(state.take(fits));
        }
        Next::Wait(due)
    }

    fn answer(&self, queued: Queued, submitted: Submitted) {
        let mut state = self.state();
        state.running += 1;
        state.in_flight -= 1;
        if let (BulkMethod::Post, Submitted::Answered { result: Ok(answer), .. }) =
            (queued.operation.method, &submitted)
            && let Some(account) = &answer.remote_id
        {
            state.accounts.insert(queued.object.clone(), account.clone());
            state.to_come.remove(&queued.object);
        }
        drop(state);
        // Nobody waits any more when the task was broken off.
        let _ = queued.asker.send(submitted);
    }
}

impl State {
    fn take(&mut self, count: usize) -> Vec<Queued> {
        let rest = self.waiting.split_off(count);
        let taken = std::mem::replace(&mut self.waiting, rest);
        self.since = (!self.waiting.is_empty()).then(Instant::now);
        self.in_flight += taken.len();
        taken
    }

    /// Puts those first that need not wait for whom they refer to, each after that one; says how many they are.
    /// Those who wait for each other only are all ready.
    fn ready_first(&mut self) -> usize {
        let mut held = std::mem::take(&mut self.waiting);
        let mut missing: HashSet<ResourceId> = self.to_come.clone();
        let mut ready = Vec::with_capacity(held.len());
        loop {
            let is_held = |one: &Queued| one.referring.iter().flat_map(|one| &one.to).any(|to| missing.contains(to));
            let (still, free): (Vec<Queued>, Vec<Queued>) = held.into_iter().partition(is_held);
            held = still;
            if free.is_empty() {
                break;
            }
            for one in &free {
                missing.remove(&one.object);
            }
            ready.extend(free);
        }
        let count = ready.len();
        let is_knot = count == 0 && self.running == 0 && self.in_flight == 0;
        ready.append(&mut held);
        self.waiting = ready;
        if is_knot { self.waiting.len() } else { count }
    }
}

/// The call as an operation of a bulk request.
pub(crate) fn operation_of(call: &Call<'_>, name: u64, profile: &Profile) -> Option<BulkOperation> {
    let (method, data) = match call.content {
        Content::Create(document, _) => (BulkMethod::Post, Some(Value::Object(document.clone()))),
        Content::Replace(document) => {
            let mut document = document.clone();
            if profile.put_with_id {
                document.insert("id".to_owned(), Value::from(call.account?.as_str()));
            }
            (BulkMethod::Put, Some(Value::Object(document)))
        }
        Content::Patch(operations) => {
            (BulkMethod::Patch, Some(json!({ "schemas": [PATCH_OP_URN], "Operations": spoken(operations, profile) })))
        }
        Content::Delete => (BulkMethod::Delete, None),
    };
    let path = match (method, call.account) {
        (BulkMethod::Post, _) => call.kind.endpoint().to_owned(),
        (_, account) => resource_path(call.kind, account?)?,
    };
    // "REQUIRED when method is POST" (§3.7); elsewhere the path names the resource.
    let bulk_id = (method == BulkMethod::Post).then(|| format!("n{name}"));
    Some(BulkOperation { method, bulk_id, version: call.version.clone(), path, data })
}

fn unanswered(words: &str) -> Outcome {
    Outcome::Retry { class: Class::Unknown, words: words.to_owned(), unknown: true }
}

/// What a refusal of a whole bulk request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Too much at once: smaller requests.
    Halve,
    /// It does not know, or will not have, bulk requests: each alone, now and later.
    Never,
    /// Something in it was not to its taste: each alone, for now.
    Alone,
    /// The same would have met a request of its own.
    Each,
}

impl Refusal {
    fn of(error: &ScimError) -> Self {
        match error {
            ScimError::Refused { status: 413, .. } => Self::Halve,
            ScimError::Refused { status: 403 | 404 | 405 | 501, .. } => Self::Never,
            ScimError::Refused { status, .. } if matches!(status, 401 | 408 | 429) || *status >= 500 => Self::Each,
            ScimError::Refused { .. } => Self::Alone,
            _ => Self::Each,
        }
    }
}

impl Session<'_> {
    /// Sends what the objects offer, until all of them are done.
    pub(crate) async fn conduct(&self) {
        let mut under_way = FuturesUnordered::new();
        loop {
            match self.bulk.next(self.health.bulk_room()) {
                Next::Send(batch) => under_way.push(self.send_batch(batch)),
                Next::Done if under_way.is_empty() => return,
                Next::Done => drop(under_way.next().await),
                Next::Wait(due) => {
                    let late = async {
                        match due {
                            Some(due) => tokio::time::sleep_until(due).await,
                            None => pending().await,
                        }
                    };
                    tokio::select! {
                        () = self.bulk.changed.notified() => {}
                        Some(()) = under_way.next() => {}
                        () = late => {}
                    }
                }
            }
        }
    }

    async fn send_batch(&self, batch: Vec<Queued>) {
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            if batch.len() < OPERATIONS_MIN && !self.refers(&batch) {
                self.answer_all(batch, |requests| Submitted::Alone { requests });
                continue;
            }
            if let Some((first, second)) = self.send_one(batch).await {
                left.extend([second, first]);
            }
        }
    }

    fn answer_all(&self, batch: Vec<Queued>, submitted: impl Fn(u64) -> Submitted) {
        for queued in batch {
            let answer = submitted(queued.requests);
            self.bulk.answer(queued, answer);
        }
    }

    /// Sends one bulk request; gives back two halves when it was too large.
    async fn send_one(&self, mut batch: Vec<Queued>) -> Option<(Vec<Queued>, Vec<Queued>)> {
        let kind = batch.first().map_or(ResourceKind::User, |one| kind_of(&one.operation));
        let mut turn = match self.turn(kind, Route::Bulk).await {
            Ok(turn) => turn,
            Err(outcome) => {
                self.answer_all(batch, |requests| Submitted::NotNow { outcome: outcome.clone(), requests });
                return None;
            }
        };
        let references = references(&batch, &self.bulk.state().accounts, &self.provider.profile);
        let operations: Vec<BulkOperation> =
            batch.iter().zip(&references).map(|(one, references)| with_references(one, references)).collect();
        let began = Instant::now();
        let result = turn.wait(self.provider.client.bulk(operations, &self.context)).await;
        self.note_reply(&result);
        drop(turn);
        let took = began.elapsed();
        batch[0].requests += 1;
        match result {
            Ok(results) => {
                self.health.bulk_took(batch.len(), took);
                let carried: Vec<Vec<Carried>> =
                    references.into_iter().map(|references| carried(references, &results)).collect();
                for ((queued, result), carried) in batch.into_iter().zip(results).zip(carried) {
                    let requests = queued.requests;
                    let result = result.map_err(failure_of);
                    self.bulk.answer(queued, Submitted::Answered { result, took, requests, carried });
                }
                None
            }
            Err(error) => self.refused(batch, error, took).await,
        }
    }

    async fn refused(
        &self,
        mut batch: Vec<Queued>,
        error: ScimError,
        took: Duration,
    ) -> Option<(Vec<Queued>, Vec<Queued>)> {
        let refusal = Refusal::of(&error);
        tracing::warn!(provider = %self.provider.row.name(), operations = batch.len(), reason = %error, "a bulk request failed");
        match refusal {
            Refusal::Halve if batch.len() >= OPERATIONS_MIN => {
                let half = batch.len().div_ceil(2);
                self.bulk.shrink(half);
                self.remember_bulk(half).await;
                let second = batch.split_off(half);
                return Some((batch, second));
            }
            Refusal::Never | Refusal::Alone | Refusal::Halve => {
                self.bulk.close();
                if refusal == Refusal::Never {
                    self.remember_bulk(0).await;
                }
                self.answer_all(batch, |requests| Submitted::Alone { requests });
            }
            Refusal::Each => {
                if matches!(error, ScimError::Malformed { .. }) {
                    // It answers, and not in SCIM: what it did is unknown, and it is not asked so again.
                    self.bulk.close();
                    self.remember_bulk(0).await;
                }
                if error.class() == Class::Unknown {
                    self.health.bulk_failed(batch.len());
                }
                self.note_whole(&error);
                let error = Arc::new(error);
                for queued in batch {
                    let (requests, result) = (queued.requests, Err(Failure::shared(error.clone())));
                    self.bulk.answer(queued, Submitted::Answered { result, took, requests, carried: Vec::new() });
                }
            }
        }
        None
    }

    /// One request failed: that is one failure, however many operations it held.
    fn note_whole(&self, error: &ScimError) {
        match error.class() {
            Class::Throttled => self.note_throttled(scimfleet_core::retry::clamp_retry_after(error.retry_after())),
            class => self.note_failure(class, &error.to_string()),
        }
    }
}

fn kind_of(operation: &BulkOperation) -> ResourceKind {
    let is_group = operation.path.starts_with(ResourceKind::Group.endpoint());
    if is_group { ResourceKind::Group } else { ResourceKind::User }
}

/// An operation that the answer leaves out (`failOnErrors`, a short list) says nothing of the provider's health.
fn failure_of(error: ScimError) -> Failure {
    match error {
        ScimError::Malformed { .. } => Failure::shared(Arc::new(error)),
        error => Failure::new(error),
    }
}

#[cfg(test)]
#[path = "bulk_tests.rs"]
mod tests;
