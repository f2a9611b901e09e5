//! From outcomes to rows: one function says what each outcome means for the link, one place records.

use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::Operation;
use scimfleet_core::retry::{ATTEMPTS_MAX, Class, back_off, spread};
use scimfleet_core::state::{LinkState, ParkReason};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_runtime::metrics::{CHANGE_LATENCY_SECONDS, OPERATIONS_TOTAL};
use scimfleet_store::{Counts, LinkResult, Recorded, Released, StoreError, TaskClose, TaskRecord, Wanted};

use super::Session;
use super::attempt::{Attempt, DONE, INTENT_LOGGED, INTENT_OPERATION, INTENT_PATHS};

/// A snoozed run task is looked at again after this long at the earliest.
const LATER_MS_MIN: i64 = 200;
/// Whoever holds an object is mostly done with it long before the lease ends.
const ELSEWHERE_MS_MAX: i64 = 1_000;

impl Session<'_> {
    /// Records what became of the attempts, and closes the run's task unless something of it is left.
    /// `elsewhere`, `elsewhere_ms`: how many of its objects others hold, and for how long.
    pub(crate) async fn record(
        &self,
        mut attempts: Vec<Attempt>,
        elsewhere: u64,
        elsewhere_ms: Option<i64>,
    ) -> Result<Recorded, StoreError> {
        let now = self.worker.store.now_ms();
        let mut record = TaskRecord::default();
        let mut counts = Counts::default();
        let mut left = elsewhere;
        let mut later = elsewhere_ms.map(|wait| now + wait.clamp(LATER_MS_MIN, ELSEWHERE_MS_MAX));
        for attempt in &mut attempts {
            let result = self.result_of(attempt, now);
            let unfinished = attempt.outcome.as_ref().is_none_or(|outcome| outcome.counter().is_none());
            if unfinished {
                left += 1;
                let due = result.due_at_ms.max(now + LATER_MS_MIN);
                later = Some(later.map_or(due, |known| known.min(due)));
            }
            self.count(attempt, &mut counts);
            if attempt.leaves_link_as_it_was() {
                record.released.push(Released {
                    resource_id: attempt.id().clone(),
                    fencing: attempt.link.fencing,
                    last_run: result.last_run,
                });
                continue;
            }
            record.results.push(result);
            if attempt.emptied {
                record.emptied.push(attempt.id().clone());
            }
            record.memberships.append(&mut attempt.sent_members);
            if attempt.settles_members() {
                record.compared.append(&mut attempt.members.owed);
            }
            if attempt.has_left() {
                record.left.push(attempt.id().clone());
            }
            let id = attempt.id().clone();
            let expected = attempt.waits_for.drain(..).map(|needed| (id.clone(), needed));
            record.expected.extend(expected);
            let left_out = attempt.left_out.drain(..).chain(std::mem::take(&mut attempt.members.left_out));
            record.waits.extend(left_out.map(|needed| (id.clone(), needed)));
            if attempt.arrived && attempt.account.remote_id.is_some() {
                record.arrived.push(id);
            }
            record.log.append(&mut attempt.log);
            record.passwords.append(&mut attempt.delivered);
        }
        record.waits.extend(record.expected.iter().cloned());
        record.close = self.task.run.map(|_| self.close(counts, later, left));
        match self.worker.store.record(self.provider.row.id, &record).await {
            Err(StoreError::Refused(error)) if record.results.len() > 1 => {
                tracing::warn!(error = %error, "a task could not be recorded as a whole; object by object");
                self.record_singly(record).await
            }
            other => other,
        }
    }

    fn close(&self, counts: Counts, later: Option<i64>, left: u64) -> TaskClose {
        let (task, worker) = (self.task.task, self.worker.name.clone());
        match later {
            None => TaskClose::Done { task, counts, worker },
            Some(due_at_ms) => TaskClose::Later { task, counts, worker, due_at_ms, left },
        }
    }

    /// One object that breaks a rule of the database (an account that two objects claim) must not take
    /// its neighbours with it.
    async fn record_singly(&self, record: TaskRecord) -> Result<Recorded, StoreError> {
        let mut all = Recorded::default();
        let provider = self.provider.row.id;
        for result in &record.results {
            let of = |id: &ResourceId| *id == result.resource_id;
            let mut single = TaskRecord {
                results: vec![result.clone()],
                released: Vec::new(),
                memberships: record.memberships.iter().filter(|one| of(&one.group_id)).cloned().collect(),
                compared: record.compared.iter().filter(|one| of(&one.group_id)).cloned().collect(),
                left: record.left.iter().filter(|id| of(id)).cloned().collect(),
                emptied: record.emptied.iter().filter(|id| of(id)).cloned().collect(),
                waits: record.waits.iter().filter(|(waiting, _)| of(waiting)).cloned().collect(),
                expected: record.expected.iter().filter(|(waiting, _)| of(waiting)).cloned().collect(),
                arrived: record.arrived.iter().filter(|id| of(id)).cloned().collect(),
                log: record.log.iter().filter(|entry| of(&entry.resource_id)).cloned().collect(),
                passwords: record.passwords.iter().filter(|one| of(&one.resource_id)).cloned().collect(),
                close: None,
            };
            let done = match self.worker.store.record(provider, &single).await {
                Err(StoreError::Refused(error)) => {
                    park_refused(&mut single.results[0], &error.to_string());
                    single.arrived.clear();
                    self.worker.store.record(provider, &single).await?
                }
                other => other?,
            };
            all.again.extend(done.again);
            all.woken.extend(done.woken);
            all.stale.extend(done.stale);
        }
        let rest = TaskRecord { released: record.released, close: record.close, ..TaskRecord::default() };
        self.worker.store.record(provider, &rest).await?;
        Ok(all)
    }

    fn count(&self, attempt: &Attempt, counts: &mut Counts) {
        for (method, count) in &attempt.requests.requests {
            counts.request(method, *count);
        }
        let Some(outcome) = &attempt.outcome else { return };
        let kind = attempt.link.kind.as_str();
        let provider = self.provider.row.name().to_string();
        let operation = attempt.plan.as_ref().map_or("nothing", |plan| plan.operation.word());
        metrics::counter!(OPERATIONS_TOTAL, "provider" => provider.clone(), "kind" => kind,
            "operation" => operation, "outcome" => outcome.word())
        .increment(1);
        if self.task.run.is_none() && !attempt.log.is_empty() {
            let waited = self.worker.store.now_ms().saturating_sub(attempt.link.marked_at_ms).max(0);
            #[expect(clippy::cast_precision_loss, reason = "a latency in seconds needs no 53 bits")]
            metrics::histogram!(CHANGE_LATENCY_SECONDS, "provider" => provider, "lane" => self.task.lane.as_str())
                .record(waited as f64 / 1000.0);
        }
        let run = self.task.run.map(|run| run.to_string());
        let counted_before = run.is_some() && attempt.link.last_run == run;
        if let Some(counter) = outcome.counter()
            && !(counted_before && counter == "unchanged")
        {
            counts.object(counter);
        }
    }

    /// What an outcome means for the link.
    fn result_of(&self, attempt: &mut Attempt, now: i64) -> LinkResult {
        attempt.forget_vanished();
        let outcome = attempt.outcome.clone().unwrap_or(Outcome::NotBegun);
        let fate = self.fate(attempt, &outcome, now);
        let synced = attempt.resource.as_ref().map_or(attempt.link.synced_generation, |row| row.generation);
        let counted = outcome.counter().is_some();
        let rewritten = attempt.compared || attempt.log.iter().any(|entry| entry.outcome == DONE);
        LinkResult {
            resource_id: attempt.id().clone(),
            fencing: attempt.link.fencing,
            marked: attempt.link.marked,
            state: fate.state,
            park_reason: fate.park_reason,
            remote_id: attempt.account.remote_id.clone(),
            ownership: attempt.account.ownership,
            version: attempt.account.version.clone(),
            sent_digest: attempt.account.sent_digest.clone(),
            sent_document: attempt.account.sent.as_ref().map(|sent| serde_json::to_string(sent).unwrap_or_default()),
            synced_generation: if counted { synced } else { attempt.link.synced_generation },
            still_dirty: fate.still_dirty,
            attempts: fate.attempts,
            due_at_ms: fate.due_at_ms,
            last_error: fate.words,
            intent: fate.intent.or_else(|| still_open(attempt, &outcome)),
            last_run: self.task.run.filter(|_| counted),
            rewritten,
            members_compared: attempt.members.compared && attempt.settles_members(),
        }
    }

    fn fate(&self, attempt: &Attempt, outcome: &Outcome, now: i64) -> Fate {
        let wanted = attempt.link.wanted == Wanted::Yes;
        let before = attempt.link.state;
        let settled = |state| Fate { state, ..Fate::default() };
        match outcome {
            Outcome::Created | Outcome::Adopted(_) | Outcome::Updated | Outcome::Unchanged => {
                settled(if attempt.waits_for.is_empty() { LinkState::InSync } else { LinkState::Waiting })
            }
            Outcome::Deactivated => settled(if wanted { LinkState::InSync } else { LinkState::Kept }),
            Outcome::Deleted | Outcome::Absent => settled(LinkState::Gone),
            Outcome::Kept => settled(LinkState::Kept),
            Outcome::Held => settled(if wanted { before } else { LinkState::Leaving }),
            Outcome::Invalid(data) => {
                let mapping = data.mapping.as_deref().map(|name| format!("mapping `{name}`: ")).unwrap_or_default();
                let mut fate = parked(ParkReason::Invalid, format!("{mapping}{}", data.message));
                // A run that stops for it finds it again next time, until it is mended.
                fate.still_dirty = self.stops_on_invalid();
                fate
            }
            Outcome::Parked(reason, words) => parked(*reason, words.clone()),
            Outcome::Retry { class, words, unknown } => self.retry(attempt, *class, words, *unknown, now),
            Outcome::Throttled(wait) => Fate {
                state: before,
                still_dirty: true,
                attempts: attempt.link.attempts,
                due_at_ms: now + i64::try_from(wait.as_millis()).unwrap_or(0),
                words: Some("the provider asked to wait".to_owned()),
                ..Fate::default()
            },
            Outcome::Again(words) => {
                let wait = if attempt.link.attempts == 0 { 0 } else { self.wait_ms(attempt, attempt.link.attempts) };
                Fate {
                    state: if wanted { LinkState::Pending } else { LinkState::Leaving },
                    still_dirty: true,
                    attempts: attempt.link.attempts + 1,
                    due_at_ms: if wait == 0 { 0 } else { now + wait },
                    words: Some(words.clone()),
                    ..Fate::default()
                }
            }
            Outcome::NotBegun => Fate {
                state: before,
                still_dirty: attempt.link.dirty,
                attempts: attempt.link.attempts,
                intent: attempt.link.intent.clone(),
                ..Fate::default()
            },
        }
    }

    /// How long an object waits after so many attempts.
    fn wait_ms(&self, attempt: &Attempt, attempts: u32) -> i64 {
        let unit = spread(self.provider.row.name(), attempt.id(), attempts);
        i64::try_from(back_off(attempts, unit).as_millis()).unwrap_or(i64::MAX / 2)
    }

    fn retry(&self, attempt: &Attempt, class: Class, words: &str, unknown: bool, now: i64) -> Fate {
        let attempts = attempt.link.attempts + 1;
        // Its row in the log was written by now.
        let open = unknown.then(|| intent(attempt, true));
        // A provider that is down is nobody's object's fault, nor is one of ours that still holds the name: who waits
        // for them is not exhausted by it.
        if attempts >= ATTEMPTS_MAX && !matches!(class, Class::Credentials | Class::Transient | Class::Conflict) {
            return Fate { intent: open, ..parked(ParkReason::Exhausted, words.to_owned()) };
        }
        Fate {
            state: LinkState::Retrying,
            still_dirty: true,
            attempts,
            due_at_ms: now + self.wait_ms(attempt, attempts),
            words: Some(words.to_owned()),
            intent: open,
            park_reason: None,
        }
    }
}

/// The part of a link that follows from an outcome.
#[derive(Debug)]
struct Fate {
    state: LinkState,
    park_reason: Option<ParkReason>,
    still_dirty: bool,
    attempts: u32,
    due_at_ms: i64,
    words: Option<String>,
    intent: Option<String>,
}

impl Default for Fate {
    fn default() -> Self {
        Self {
            state: LinkState::Pending,
            park_reason: None,
            still_dirty: false,
            attempts: 0,
            due_at_ms: 0,
            words: None,
            intent: None,
        }
    }
}

fn parked(reason: ParkReason, words: String) -> Fate {
    Fate { state: LinkState::Parked, park_reason: Some(reason), words: Some(words), ..Fate::default() }
}

/// A write that somebody announced stays announced until it is known what became of it: neither a look-up
/// that failed, nor an object that may not be sent now, nor a write that was refused tells.
fn still_open(attempt: &Attempt, outcome: &Outcome) -> Option<String> {
    // What it shows of itself says nothing of the members that it may have been sent.
    let seen = attempt.resolved && !attempt.members.differ();
    let told = match outcome {
        Outcome::Retry { .. } | Outcome::Throttled(_) | Outcome::Again(_) | Outcome::Held => seen,
        Outcome::Invalid(_) | Outcome::Parked(..) | Outcome::Kept if attempt.account.remote_id.is_some() => {
            attempt.has_written() || seen
        }
        Outcome::Invalid(_) | Outcome::Parked(..) | Outcome::Kept => false,
        _ => true,
    };
    (attempt.has_open_intent() && !told).then(|| intent(attempt, true))
}

fn park_refused(result: &mut LinkResult, words: &str) {
    result.state = LinkState::Parked;
    result.park_reason = Some(ParkReason::Conflict);
    result.remote_id = None;
    result.ownership = None;
    result.still_dirty = false;
    result.last_error = Some(format!("the account seems to belong to another object of ours ({words})"));
}

/// The intent of an attempt, as it is recorded: the operation, never a value.
pub(crate) fn intent_of(attempt: &Attempt) -> String {
    intent(attempt, false)
}

fn intent(attempt: &Attempt, logged: bool) -> String {
    let word = match &attempt.plan {
        Some(plan) if !matches!(plan.operation, Operation::Nothing(_)) => plan.operation.word(),
        _ if attempt.link.kind == ResourceKind::Group => "members",
        _ => "write",
    };
    // What an open intent may have changed stays in doubt until it was seen, or set again.
    let mut paths = if attempt.resolved { Vec::new() } else { attempt.intended_paths() };
    let planned = attempt.plan.iter().flat_map(|plan| &plan.changes).map(|change| change.path.clone());
    paths.extend(planned);
    paths.sort_unstable();
    paths.dedup();
    serde_json::json!({ INTENT_OPERATION: word, INTENT_LOGGED: logged, INTENT_PATHS: paths }).to_string()
}
