//! Every request about one object goes through here: it waits for its turn, is sent alone or as part of
//! a bulk request, and is logged if it writes. Whoever asks for it cannot tell which way it went.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use scimfleet_core::outcome::Outcome;
use scimfleet_core::ports::Rate;
use scimfleet_core::profile::Profile;
use scimfleet_core::retry::Class;
use scimfleet_core::scim::Document;
use scimfleet_core::scim::message::PatchOperation;
use scimfleet_core::task::Lane;
use scimfleet_core::{RemoteId, ResourceKind};
use scimfleet_scim_client::{Answer, Found, ScimError};
use tokio::sync::{MutexGuard, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::attempt::Attempt;
use super::bulk::{Submitted, bytes_of, operation_of};
use super::pace::PACE_WAIT_MAX;
use super::password::PASSWORD;
use super::{Session, may_work};
use crate::allowance::{allowance, steady};
use crate::patience::Patience;
use crate::referring::Referring;

/// A request that was not granted, or lacks an answer that can be used.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Arc<ScimError>,
    /// One bulk request failed for all of its operations: the provider's health was told once already.
    pub(crate) counted: bool,
}

impl Failure {
    pub(crate) fn new(error: ScimError) -> Self {
        Self { error: Arc::new(error), counted: false }
    }

    pub(crate) fn shared(error: Arc<ScimError>) -> Self {
        Self { error, counted: true }
    }
}

impl Deref for Failure {
    type Target = ScimError;

    fn deref(&self) -> &ScimError {
        &self.error
    }
}

/// Why a request brought nothing.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It was not sent: this is not the time for it.
    NotNow(Outcome),
    /// The provider said no, or nothing.
    Failed(Failure),
}

/// What a request that writes carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    /// POST of a whole resource; in a bulk request perhaps with a reference to somebody else in it.
    Create(&'a Document, Option<&'a Referring>),
    /// PUT of a whole resource.
    Replace(&'a Document),
    /// PATCH.
    Patch(&'a [PatchOperation]),
    /// DELETE.
    Delete,
}

/// One request that writes.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) kind: ResourceKind,
    /// `None` for a create only.
    pub(crate) account: Option<&'a RemoteId>,
    pub(crate) content: Content<'a>,
    /// For `If-Match`.
    pub(crate) version: Option<String>,
}

impl Call<'_> {
    /// What a create may refer to.
    pub(crate) const fn referring(&self) -> Option<&Referring> {
        match self.content {
            Content::Create(_, referring) => referring,
            _ => None,
        }
    }

    fn carries_password(&self) -> bool {
        match self.content {
            Content::Create(document, _) | Content::Replace(document) => document.contains_key(PASSWORD),
            Content::Patch(operations) => operations.iter().any(|one| one.path.as_deref() == Some(PASSWORD)),
            Content::Delete => false,
        }
    }

    /// The length of its body.
    fn bytes(&self, profile: &Profile) -> usize {
        operation_of(self, 0, profile).and_then(|operation| operation.data).map_or(0, |body| bytes_of(&body))
    }

    const fn method(&self) -> &'static str {
        match self.content {
            Content::Create(..) => "POST",
            Content::Replace(_) => "PUT",
            Content::Patch(_) => "PATCH",
            Content::Delete => "DELETE",
        }
    }

    const fn route(&self) -> Route {
        match self.content {
            Content::Create(..) => Route::Create,
            Content::Replace(_) | Content::Patch(_) => Route::Update,
            Content::Delete => Route::Delete,
        }
    }
}

/// A write as it is logged.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    /// The operation's word.
    pub(crate) operation: &'static str,
    /// Names of the attributes that it touches.
    pub(crate) attributes: Vec<String>,
    /// What the guard counts of it (R28).
    pub(crate) removal: i64,
}

impl Write {
    /// The same, with one attribute more.
    fn and(&self, attribute: Option<&str>) -> Self {
        let mut write = self.clone();
        write
            .attributes
            .extend(attribute.filter(|name| !self.attributes.iter().any(|one| one == name)).map(str::to_owned));
        write
    }
}

/// How a write travelled, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// As a request of its own.
    Request(&'static str),
    /// Inside a bulk request.
    Bulk,
}

/// A place among the provider's requests, and one among the worker's; given back when the answer was noted.
pub(crate) struct Turn<'a> {
    _place: OwnedSemaphorePermit,
    of_worker: Option<OwnedSemaphorePermit>,
    _ahead: Option<MutexGuard<'a, ()>>,
    patience: &'a Patience,
}

impl Turn<'_> {
    /// Waits for an answer. The place among the worker's requests goes to others when it takes long; the one among
    /// the provider's is kept.
    pub(crate) async fn wait<T>(&mut self, answer: impl Future<Output = T>) -> T {
        self.patience.keep(self.of_worker.take(), answer).await
    }
}

/// What a request does, for the provider's allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// GET.
    Read,
    /// POST.
    Create,
    /// PUT, PATCH.
    Update,
    /// DELETE.
    Delete,
    /// POST to `/Bulk`.
    Bulk,
}

impl Route {
    /// As the rates of a profile name it.
    pub(crate) const fn action(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Bulk => "bulk",
        }
    }
}

impl Session<'_> {
    /// Sends a write and logs it.
    pub(crate) async fn deliver(&self, attempt: &mut Attempt, write: &Write, call: Call<'_>) -> Result<Answer, Halt> {
        let (kind, object) = (call.kind, attempt.id().clone());
        match self.travel(attempt, write, call).await {
            Err(Halt::Failed(failure)) if failure.status() == Some(404) => {
                self.note_not_found(&object, &failure.to_string());
                Err(Halt::Failed(failure))
            }
            Err(Halt::Failed(failure)) if failure.class() == Class::Refused && self.refuses_everything(kind).await => {
                let words = format!("{}; it refuses to list anything, too", *failure);
                self.note_failure(Class::Credentials, &words);
                Err(Halt::NotNow(Outcome::Retry { class: Class::Credentials, words, unknown: false }))
            }
            other => other,
        }
    }

    async fn travel(&self, attempt: &mut Attempt, write: &Write, call: Call<'_>) -> Result<Answer, Halt> {
        attempt.carried.clear();
        if call.carries_password() {
            // What a bulk request is answered may quote it, and nobody could tell where.
            return self.send_alone(attempt, write, call).await;
        }
        let submitted = self.bulk.submit(attempt.id(), &call, &self.provider.profile).await;
        attempt.requests.request_if_any("POST", submitted.requests());
        match submitted {
            Submitted::Answered { result, took, carried, .. } => {
                let task = self.task;
                let write = &write.and(call.referring().filter(|_| !carried.is_empty()).map(Referring::attribute));
                attempt.carried = carried;
                attempt.log_write(write, Via::Bulk, task, result.as_ref().map_err(|failure| &**failure), took);
                result.map_err(Halt::Failed)
            }
            Submitted::NotNow { outcome, .. } => Err(Halt::NotNow(outcome)),
            Submitted::Alone { .. } => self.send_alone(attempt, write, call).await,
        }
    }

    async fn send_alone(&self, attempt: &mut Attempt, write: &Write, call: Call<'_>) -> Result<Answer, Halt> {
        let bytes = if self.provider.profile.counts_bytes() { call.bytes(&self.provider.profile) } else { 0 };
        let mut turn = self.turn_for(call.kind, call.route(), bytes).await.map_err(Halt::NotNow)?;
        let (client, context, kind, version) =
            (&self.provider.client, &self.context, call.kind, call.version.as_deref());
        let began = Instant::now();
        let result = match (call.content, call.account) {
            (Content::Replace(document), Some(account)) => {
                turn.wait(client.replace(kind, account, document, version, context)).await
            }
            (Content::Patch(operations), Some(account)) => {
                turn.wait(client.patch(kind, account, operations, version, context)).await
            }
            (Content::Delete, Some(account)) => turn.wait(client.delete(kind, account, version, context)).await,
            (Content::Create(document, _), _) => turn.wait(client.create(kind, document, context)).await,
            (_, None) => return Err(Halt::NotNow(Outcome::NotBegun)),
        };
        self.note_reply(&result);
        attempt.log_write(write, Via::Request(call.method()), self.task, result.as_ref(), began.elapsed());
        result.map_err(|error| Halt::Failed(Failure::new(error)))
    }

    /// GET of an account.
    pub(crate) async fn get(&self, attempt: &mut Attempt, account: &RemoteId) -> Result<Answer, Halt> {
        let kind = attempt.link.kind;
        let mut turn = self.turn(kind, Route::Read).await.map_err(Halt::NotNow)?;
        attempt.requests.request("GET", 1);
        let got = turn.wait(self.provider.client.get(kind, account, &self.context)).await;
        self.note_reply(&got);
        got.map_err(|error| Halt::Failed(Failure::new(error)))
    }

    /// Accounts whose `attribute` is `value`.
    pub(crate) async fn find(&self, attempt: &mut Attempt, attribute: &str, value: &str) -> Result<Found, Halt> {
        let kind = attempt.link.kind;
        let mut turn = self.turn(kind, Route::Read).await.map_err(Halt::NotNow)?;
        attempt.requests.request("GET", 1);
        let found = turn.wait(self.provider.client.find(kind, attribute, value, &self.context)).await;
        self.note_reply(&found);
        found.map_err(|error| Halt::Failed(Failure::new(error)))
    }

    /// Leavers that a person, or a probe, sends to a provider that is set aside.
    fn goes_anyway(&self) -> bool {
        self.task.lane == Lane::Leavers && may_work(self.task, self.provider.row.state)
    }

    /// Waits for a place among the provider's requests, for the first answer after a quiet time, and for the
    /// allowance. A longer wait, a lost tenure or a provider that was set aside ends it.
    pub(crate) async fn turn(&self, kind: ResourceKind, route: Route) -> Result<Turn<'_>, Outcome> {
        self.turn_for(kind, route, 0).await
    }

    /// The same for a request with a body of so many bytes.
    async fn turn_for(&self, kind: ResourceKind, route: Route, bytes: usize) -> Result<Turn<'_>, Outcome> {
        let lane = self.task.lane;
        let place = self.provider.in_flight.take(lane).await.ok_or(Outcome::NotBegun)?;
        let ahead = self.health.proof.ahead().await;
        for (class, rate) in self.provider.profile.rates_of(kind, route.action(), bytes) {
            self.allowed(class, Some(steady(rate))).await?;
        }
        while let Some(wait) = self.ramp().await {
            if wait > PACE_WAIT_MAX {
                return Err(Outcome::Throttled(wait));
            }
            tokio::time::sleep(wait).await;
            self.goes_on()?;
        }
        self.allowed("all", None).await?;
        // Last, so that who waits for a slow provider keeps no place from the others.
        let of_worker = self.worker.requests.take(lane).await.ok_or(Outcome::NotBegun)?;
        self.health.learning.sent(Instant::now());
        Ok(Turn { _place: place, of_worker: Some(of_worker), _ahead: ahead, patience: &self.health.patience })
    }

    /// What an answer says of the provider, noted before anybody else has a turn: after a refusal of the
    /// credentials nobody sends any more.
    pub(crate) fn note_reply<T>(&self, answer: &Result<T, ScimError>) {
        let class = answer.as_ref().err().map(ScimError::class);
        self.health.proof.answered(class, Instant::now());
        if let (Some(class @ Class::Credentials), Err(error)) = (class, answer) {
            self.note_failure(class, &error.to_string());
        }
    }

    /// Whether this is still the time for a request.
    fn goes_on(&self) -> Result<(), Outcome> {
        let gives_up = self.worker.drain.give_up_token().is_cancelled();
        let stopped = (self.health.is_tripped() || self.health.is_set_aside()) && !self.goes_anyway();
        if gives_up || stopped || !self.tenure.allows_request() {
            return Err(Outcome::NotBegun);
        }
        self.throttled_for().map_or(Ok(()), |wait| Err(Outcome::Throttled(wait)))
    }

    /// Waits for one request's worth of a class's own rate, or of the provider's allowance, which may grow meanwhile.
    async fn allowed(&self, class: &str, own: Option<Rate>) -> Result<(), Outcome> {
        loop {
            self.goes_on()?;
            let rate = if own.is_some() { own } else { self.allowance().await };
            match self.worker.coordination.try_acquire(self.provider.row.name(), class, rate).await {
                None => return Ok(()),
                Some(wait) if wait <= PACE_WAIT_MAX => tokio::time::sleep(wait).await,
                Some(wait) => return Err(Outcome::Throttled(wait)),
            }
        }
    }

    /// Leavers may go one request ahead of what everybody else may: so the next one that is allowed is
    /// theirs, and the provider's limit is kept all the same.
    async fn allowance(&self) -> Option<Rate> {
        let rate = allowance(&*self.worker.coordination, &self.provider).await?;
        let ahead = u32::from(self.task.lane == Lane::Leavers);
        Some(Rate { burst: rate.burst.saturating_add(ahead), ..rate })
    }

    /// How long to wait while a provider that is back after an outage is called slowly.
    async fn ramp(&self) -> Option<Duration> {
        let rate = self.health.learning.ramp(Instant::now())?;
        self.worker.coordination.try_acquire(self.provider.row.name(), "ramp", Some(rate)).await
    }

    fn throttled_for(&self) -> Option<Duration> {
        self.throttled.lock().ok().and_then(|wait| *wait)
    }

    /// What a halt means for the object, if it means nothing special.
    pub(crate) fn halted(&self, halt: &Halt) -> Outcome {
        match halt {
            Halt::NotNow(outcome) => outcome.clone(),
            Halt::Failed(failure) => self.failed(failure),
        }
    }
}
