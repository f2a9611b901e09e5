//! One object on its way through a task: what is known, what is planned, and a ledger of what was done.

use std::collections::HashSet;
use std::time::Duration;

use scimfleet_core::outcome::Outcome;
use scimfleet_core::plan::doubt::as_shown;
use scimfleet_core::plan::{Member, Operation, Plan, Standing, digest};
use scimfleet_core::scim::Document;
use scimfleet_core::state::Ownership;
use scimfleet_core::task::Task;
use scimfleet_core::{RemoteId, ResourceId, ResourceKind};
use scimfleet_scim_client::{Answer, ScimError};
use scimfleet_store::{
    ClaimedLink, Counts, DeliveredPassword, LogEntry, MembershipChange, OwedMember, PendingPassword, ResourceRow,
    Wanted,
};
use serde_json::Value;

use super::reference::Carried;
use super::wire::{Via, Write};
use crate::desire::Desired;

/// Keys of an intent, as it is kept with the link: the operation, whether its write has a row in the log, and
/// which attributes it is about; never a value.
pub(crate) const INTENT_OPERATION: &str = "operation";
pub(crate) const INTENT_LOGGED: &str = "logged";
/// The paths of what it changes.
pub(crate) const INTENT_PATHS: &str = "paths";

/// Stands among the paths for the account as a whole: whether it is there at all.
pub(crate) const ACCOUNT_PATH: &str = "id";

/// The outcome in the log of a write that was announced and of which nobody knows whether it was sent.
const UNCERTAIN: &str = "uncertain";
/// The outcome in the log of a write that the provider took.
pub(crate) const DONE: &str = "done";

/// The account as we know it after what was done so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) remote_id: Option<RemoteId>,
    pub(crate) ownership: Option<Ownership>,
    pub(crate) version: Option<String>,
    pub(crate) sent_digest: Option<String>,
    pub(crate) sent: Option<Document>,
    /// What an adopted account showed, before anything was sent to it.
    pub(crate) shown: Option<Document>,
}

/// What a group lacks and has too many.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Members {
    pub(crate) add: Vec<(ResourceId, RemoteId)>,
    pub(crate) remove: Vec<(ResourceId, RemoteId)>,
    pub(crate) vanished: Vec<(ResourceId, RemoteId)>,
    /// Vanished members that the provider may still list.
    pub(crate) dangling: Vec<(ResourceId, RemoteId)>,
    /// Members that a write of unknown outcome may have put there.
    pub(crate) suspect: Vec<(ResourceId, RemoteId)>,
    pub(crate) waiting: Vec<ResourceId>,
    /// Members that are not sent and not waited for: without an account, or not wanted there (R24). The group
    /// is looked at again when that changes.
    pub(crate) left_out: Vec<ResourceId>,
    /// All that should be there, for a POST or PUT of the whole.
    pub(crate) whole: Vec<(ResourceId, RemoteId)>,
    /// Those of them that are groups themselves.
    pub(crate) groups: HashSet<ResourceId>,
    /// What was noted as owed when the differences were read.
    pub(crate) owed: Vec<OwedMember>,
    /// All members were compared, not only those.
    pub(crate) compared: bool,
}

impl Members {
    /// As they are sent.
    pub(crate) fn sent(&self, list: &[(ResourceId, RemoteId)]) -> Vec<Member> {
        let kind = |id: &ResourceId| {
            if self.groups.contains(id) { ResourceKind::Group } else { ResourceKind::User }
        };
        list.iter().map(|(id, account)| Member { account: account.clone(), kind: kind(id) }).collect()
    }

    pub(crate) fn differ(&self) -> bool {
        [&self.add, &self.remove, &self.dangling, &self.suspect].iter().any(|list| !list.is_empty())
    }
}

/// One object of a task.
pub(crate) struct Attempt {
    pub(crate) link: ClaimedLink,
    pub(crate) resource: Option<ResourceRow>,
    pub(crate) desired: Option<Box<Desired>>,
    pub(crate) plan: Option<Plan>,
    pub(crate) members: Members,
    pub(crate) account: Account,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) requests: Counts,
    pub(crate) log: Vec<LogEntry>,
    pub(crate) sent_members: Vec<MembershipChange>,
    pub(crate) waits_for: Vec<ResourceId>,
    /// Users that it refers to and who shall have no account.
    pub(crate) left_out: Vec<ResourceId>,
    pub(crate) arrived: bool,
    /// A password that its account lacks.
    pub(crate) password: Option<PendingPassword>,
    pub(crate) delivered: Vec<DeliveredPassword>,
    /// Somebody changed it at the provider: what it shows is to be compared and mended (R22).
    pub(crate) repairs: bool,
    /// That was done.
    pub(crate) compared: bool,
    /// Nothing was owed: its link is given back as it was.
    pub(crate) untouched: bool,
    /// Paths that a write of unknown outcome may have changed, and that the plan does not set anyhow.
    pub(crate) doubts: Vec<String>,
    /// The identity of an object whose create may have been applied and that shall have no account.
    pub(crate) orphan: Option<Document>,
    /// It was seen what became of the write that somebody began.
    pub(crate) resolved: bool,
    /// The references that its last write carried in a bulk request.
    pub(crate) carried: Vec<Carried>,
    /// A group that is gone: the provider holds none of its members any more.
    pub(crate) emptied: bool,
}

impl Attempt {
    pub(crate) fn new(link: ClaimedLink, resource: Option<ResourceRow>) -> Self {
        let account = Account {
            remote_id: link.remote_id.clone(),
            ownership: link.ownership,
            version: link.version.clone(),
            sent_digest: link.sent_digest.clone(),
            sent: link.sent_document.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            shown: None,
        };
        Self {
            link,
            resource,
            desired: None,
            plan: None,
            members: Members::default(),
            account,
            outcome: None,
            requests: Counts::default(),
            log: Vec::new(),
            sent_members: Vec::new(),
            waits_for: Vec::new(),
            left_out: Vec::new(),
            arrived: false,
            password: None,
            delivered: Vec::new(),
            repairs: false,
            compared: false,
            untouched: false,
            doubts: Vec::new(),
            orphan: None,
            resolved: false,
            carried: Vec::new(),
            emptied: false,
        }
    }

    pub(crate) fn id(&self) -> &ResourceId {
        &self.link.resource_id
    }

    /// What planning needs to know of the account.
    pub(crate) fn standing(&self) -> Standing<'_> {
        Standing {
            remote_id: self.account.remote_id.as_ref(),
            ownership: self.account.ownership,
            baseline: self.account.sent.as_ref().or(self.account.shown.as_ref()),
            sent_digest: self.account.sent_digest.as_deref(),
        }
    }

    /// Whether every difference that was read is settled: what was noted as owed is owed no more.
    pub(crate) fn settles_members(&self) -> bool {
        let sent = matches!(
            self.outcome,
            Some(Outcome::Created | Outcome::Adopted(_) | Outcome::Updated | Outcome::Unchanged)
        );
        sent && !self.members.differ()
    }

    /// Whether the groups that hold it at the provider hold too much now.
    pub(crate) fn has_left(&self) -> bool {
        let another = self.link.remote_id.is_some() && self.link.remote_id != self.account.remote_id;
        let dealt_with =
            matches!(self.outcome, Some(Outcome::Deactivated | Outcome::Deleted | Outcome::Absent | Outcome::Kept));
        another || self.link.wanted != Wanted::Yes && dealt_with
    }

    /// Whether a listing failed to show the account: what was sent is known, that it counts is not.
    pub(crate) fn is_suspect(&self) -> bool {
        self.account.remote_id.is_some() && self.account.sent_digest.is_none() && self.account.sent.is_some()
    }

    /// Whether the provider must be asked for anything.
    pub(crate) fn writes(&self) -> bool {
        let planned = self.plan.as_ref().is_some_and(|plan| !matches!(plan.operation, Operation::Nothing(_)));
        self.outcome.is_none()
            && (planned
                || self.members.differ()
                || self.is_suspect()
                || self.repairs
                || self.owes_password()
                || self.in_doubt())
    }

    /// Whether somebody began a write and nobody knows what became of it.
    pub(crate) fn has_open_intent(&self) -> bool {
        self.link.intent.is_some()
    }

    /// Whether it must be seen first what became of a write that somebody began.
    pub(crate) fn in_doubt(&self) -> bool {
        !self.doubts.is_empty() || self.orphan.is_some()
    }

    /// The paths that an open intent names; [`ACCOUNT_PATH`] when the account itself was to go.
    pub(crate) fn intended_paths(&self) -> Vec<String> {
        let intent = self.link.intent.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let Some(intent) = intent else { return Vec::new() };
        let named = intent[INTENT_PATHS].as_array().into_iter().flatten();
        let mut paths: Vec<String> = named.filter_map(|path| path.as_str().map(str::to_owned)).collect();
        if intent[INTENT_OPERATION] == Operation::Delete.word() {
            paths.push(ACCOUNT_PATH.to_owned());
        }
        paths
    }

    /// Whether a create may have been applied of which no account is known.
    pub(crate) fn has_lost_create(&self) -> bool {
        self.has_open_intent() && self.account.remote_id.is_none()
    }

    /// Whether the provider took a write of this attempt itself.
    pub(crate) fn has_written(&self) -> bool {
        self.log.iter().any(|entry| entry.outcome == DONE)
    }

    /// Nothing was owed, or nothing was begun: the link stays as it is, its words and its reason included.
    pub(crate) fn leaves_link_as_it_was(&self) -> bool {
        let begun = !matches!(self.outcome, None | Some(Outcome::NotBegun));
        self.untouched || !begun && self.log.is_empty() && !self.arrived
    }

    /// What was sent is what the provider holds now.
    pub(crate) fn has_sent(&mut self, document: &Document, digest: &str) {
        self.account.sent = Some(document.clone());
        self.account.sent_digest = Some(digest.to_owned());
        self.account.shown = None;
    }

    /// An account that is there already is taken: it is as the provider shows it.
    pub(crate) fn has_found(&mut self, account: RemoteId, ours: bool, shown: Answer) {
        self.account.remote_id = Some(account);
        self.account.ownership = Some(if ours { Ownership::Created } else { Ownership::Adopted });
        self.account.version = shown.version;
        self.account.shown = shown.document.map(|mut shown| {
            // What is read-only must not come back in a PUT (RFC 7643 §7).
            for read_only in ["id", "meta", "groups"] {
                shown.shift_remove(read_only);
            }
            shown
        });
    }

    /// The account is from our own create: what it shows of what that named was sent, so that what is not wanted any
    /// more is taken away (R20).
    pub(crate) fn has_sent_what_it_shows(&mut self) {
        let shown = self.account.shown.take().unwrap_or_default();
        let sent = as_shown(&Document::new(), &shown, &self.intended_paths());
        let digest = digest(&sent);
        self.has_sent(&sent, &digest);
    }

    /// The account went away: nothing that was sent counts any more.
    pub(crate) fn has_lost_account(&mut self) {
        self.account = Account::default();
        self.emptied = self.link.kind == ResourceKind::Group;
        self.sent_members.clear();
    }

    /// Somebody announced a write and ended before it told what became of it. It may have been sent, so it
    /// gets its row, and the row says that nobody knows.
    pub(crate) fn log_what_was_announced(&mut self, task: &Task) {
        let Some(intent) = self.link.intent.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
            return;
        };
        if intent[INTENT_LOGGED] == true {
            return;
        }
        let mut row = self.row(task, Duration::ZERO);
        row.operation = intent[INTENT_OPERATION].as_str().unwrap_or("write").to_owned();
        row.outcome = UNCERTAIN.to_owned();
        row.detail = Some("announced by a worker that ended before it told what became of it".to_owned());
        self.log.push(row);
    }

    /// Notes a write in the log and in the counters.
    pub(crate) fn log_write(
        &mut self,
        write: &Write,
        via: Via,
        task: &Task,
        result: Result<&Answer, &ScimError>,
        took: Duration,
    ) {
        let (outcome, status, detail) = match result {
            Ok(answer) => (DONE.to_owned(), Some(i64::from(answer.status)), None),
            Err(error) => (error.class().as_str().to_owned(), error.status().map(i64::from), Some(error.to_string())),
        };
        match via {
            Via::Request(method) => self.requests.request(method, 1),
            Via::Bulk => self.requests.request("bulk_operations", 1),
        }
        let row = self.row(task, took);
        self.log.push(LogEntry {
            operation: write.operation.to_owned(),
            outcome,
            removal: write.removal,
            attributes: serde_json::json!(write.attributes).to_string(),
            status,
            detail,
            ..row
        });
    }

    /// The row of a create is written before anybody knows the account; it names it, too.
    pub(crate) fn name_created(&mut self, account: &RemoteId) {
        if let Some(row) = self.log.last_mut().filter(|row| row.operation == "create") {
            row.remote_id = Some(account.clone());
        }
    }

    /// A row of the log about this object, without what became of it.
    fn row(&self, task: &Task, took: Duration) -> LogEntry {
        LogEntry {
            id: LogEntry::key(),
            resource_id: self.link.resource_id.clone(),
            kind: self.link.kind,
            operation: String::new(),
            outcome: String::new(),
            removal: 0,
            remote_id: self.account.remote_id.clone(),
            attributes: "[]".to_owned(),
            status: None,
            detail: None,
            cause: task.cause.as_str().to_owned(),
            run_id: task.run.map(|run| run.to_string()),
            task_id: Some(task.task.to_string()),
            duration_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        }
    }
}
