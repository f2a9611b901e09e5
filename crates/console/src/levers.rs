//! What a person can do to providers, runs and holds, the same from a page and by the API. Each says in
//! words why it cannot be done.

use std::time::Duration;

use scimfleet_core::provider::{LeaverAction, Leavers};
use scimfleet_core::state::{HoldState, ProviderState, RunState};
use scimfleet_core::{ResourceKind, RunId};
use scimfleet_store::{HoldItem, HoldRow, Opening, ProviderRow, ResourceRow, RunError, RunKind, RunRow, StoreError};

use crate::ConsoleState;
use crate::api::problem::ApiError;
use crate::times::counted;

/// Changes of a provider's state by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lever {
    Pause,
    Resume,
    Disable,
}

impl std::str::FromStr for Lever {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            "disable" => Ok(Self::Disable),
            _ => Err(()),
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("`{name}` is {state} already")]
    Already { name: String, state: ProviderState },
    #[error("`{name}` is disabled; resume it first")]
    Disabled { name: String },
    #[error("`{name}` is {state}: there is no full sync until it is active")]
    NotActive { name: String, state: ProviderState },
    #[error("the run is {state} already")]
    Ended { state: RunState },
    #[error("the hold is {state} already")]
    Decided { state: HoldState },
    #[error("`{name}` cannot be changed here: {why}")]
    ReadOnly { name: String, why: &'static str },
    #[error("`{name}` is used by {providers}; take it out of their mappings first")]
    Used { name: String, providers: String },
    #[error("a dry run of `{name}` goes on already")]
    Rehearsing { name: String },
    #[error("`{name}` was deleted from the directory already")]
    Deleted { name: String },
    #[error("no worker `{name}` is alive")]
    NoWorker { name: String },
    #[error("`{name}` lives in this very process, together with these pages; end the process by SIGTERM")]
    Ourselves { name: String },
}

/// Changes a provider's state by hand; the new state.
pub(crate) async fn pull(
    state: &ConsoleState,
    row: &ProviderRow,
    lever: Lever,
    by: &str,
) -> Result<Result<ProviderState, Refusal>, StoreError> {
    let target = match lever {
        Lever::Pause => ProviderState::Paused,
        Lever::Resume => ProviderState::Active,
        Lever::Disable => ProviderState::Disabled,
    };
    let name = row.settings.name.to_string();
    if row.state == target {
        return Ok(Err(Refusal::Already { name, state: target }));
    }
    if lever == Lever::Pause && row.state == ProviderState::Disabled {
        return Ok(Err(Refusal::Disabled { name }));
    }
    state.store.set_provider_state(row.id, target, Some(&format!("by hand, {by}"))).await?;
    Ok(Ok(target))
}

/// Queues a full sync; one that is queued already serves.
pub(crate) async fn start_run(state: &ConsoleState, row: &ProviderRow) -> Result<Result<RunId, Refusal>, StoreError> {
    // A degraded provider's run waits for it (states of a provider).
    if matches!(row.state, ProviderState::Paused | ProviderState::Disabled | ProviderState::Quarantined) {
        return Ok(Err(Refusal::NotActive { name: row.settings.name.to_string(), state: row.state }));
    }
    loop {
        if let Some(run) = state.store.queue_run(row.id, RunKind::Full, Opening::Asked).await? {
            return Ok(Ok(run));
        }
        // It may have been opened between the two.
        if let Some(run) = state.store.queued_run(row.id).await? {
            return Ok(Ok(run));
        }
    }
}

/// Ends a run; requests under way finish.
pub(crate) async fn cancel_run(
    state: &ConsoleState,
    run: &RunRow,
    by: &str,
) -> Result<Result<(), Refusal>, StoreError> {
    let error = RunError {
        code: "cancelled".to_owned(),
        message: format!("cancelled by hand, {by}"),
        object: None,
        mapping: None,
        violations: Vec::new(),
    };
    if state.store.end_run(run.id, RunState::Cancelled, Some(&error)).await? {
        return Ok(Ok(()));
    }
    let ended = state.store.run_state(run.id).await?.unwrap_or(run.state);
    Ok(Err(Refusal::Ended { state: ended }))
}

/// Takes every access of a user away now: inactive in the directory, and sent to every provider (R31).
pub(crate) async fn offboard(
    state: &ConsoleState,
    user: &ResourceRow,
    by: &str,
) -> Result<Result<(), Refusal>, ApiError> {
    let insight = state.insight()?;
    let Some(user) = state.store.deactivate_user(&user.id).await? else {
        return Ok(Err(Refusal::Deleted { name: user.name().to_owned() }));
    };
    tracing::info!(object = %user.id, by, "a user is offboarded by hand");
    insight.offboard(&user).await?;
    Ok(Ok(()))
}

/// For how long a worker may take to notice that it was asked to end.
const ASKED_FOR: Duration = Duration::from_secs(3600);

/// Asks a worker to finish what it holds and to end.
pub(crate) async fn end_worker(state: &ConsoleState, worker: &str) -> Result<Result<(), Refusal>, ApiError> {
    let coordination = &state.cluster.as_ref().ok_or(ApiError::NoCluster)?.coordination;
    let name = worker.to_owned();
    let workers = coordination.workers().await?;
    let Some(beat) = workers.iter().find(|beat| beat.worker == worker) else {
        return Ok(Err(Refusal::NoWorker { name }));
    };
    if beat.pid == std::process::id() && beat.host == hostname() {
        return Ok(Err(Refusal::Ourselves { name }));
    }
    coordination.ask_to_end(worker, ASKED_FOR).await?;
    Ok(Ok(()))
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// Decides about what the guard withheld; the items that changed since are not executed, and returned.
pub(crate) async fn decide(
    state: &ConsoleState,
    hold: &HoldRow,
    decision: HoldState,
    by: &str,
) -> Result<Result<Vec<HoldItem>, Refusal>, StoreError> {
    match state.store.decide_hold(&hold.id, decision, by).await? {
        Some(moved) => Ok(Ok(moved)),
        None => {
            let now = state.store.hold(&hold.id).await?.map_or(hold.state, |hold| hold.state);
            Ok(Err(Refusal::Decided { state: now }))
        }
    }
}

/// What one withheld object would lose: `delete`, `deactivate`, `change` or `keep`. The scheduler notes how it
/// leaves, the worker what it planned.
pub(crate) fn fate(item: &HoldItem, leavers: &Leavers) -> &'static str {
    let action = match (item.operation.as_str(), item.kind) {
        ("delete", _) => return "delete",
        ("deactivate", _) => return "deactivate",
        ("deleted" | "out_of_scope", ResourceKind::Group) => leavers.groups,
        ("deleted", ResourceKind::User) => leavers.deleted,
        ("out_of_scope", ResourceKind::User) => leavers.out_of_scope,
        ("disabled", _) => leavers.disabled,
        _ => return "change",
    };
    match action {
        LeaverAction::Delete => "delete",
        LeaverAction::Deactivate => "deactivate",
        LeaverAction::Keep => "keep",
    }
}

/// What approving a hold does, in words: `Delete 37 accounts, deactivate 2 accounts at acme`.
pub(crate) fn deed(items: &[HoldItem], leavers: &Leavers, provider: &str) -> String {
    let mut words = Vec::new();
    for verb in ["delete", "deactivate", "change", "keep"] {
        let count = items.iter().filter(|item| fate(item, leavers) == verb).count() as u64;
        if count > 0 {
            words.push(format!("{verb} {}", counted(count, "account", "accounts")));
        }
    }
    let mut text = format!("{} at {provider}", words.join(", "));
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use scimfleet_core::ResourceId;

    #[test]
    fn a_button_names_what_it_does() {
        let item = |operation: &str, kind| HoldItem {
            resource_id: ResourceId::parse("u").unwrap(),
            kind,
            name: String::new(),
            operation: operation.to_owned(),
            marked: 1,
        };
        let user = |operation| item(operation, ResourceKind::User);
        let items = [
            user("deleted"),
            user("delete"),
            user("disabled"),
            user("members"),
            item("out_of_scope", ResourceKind::Group),
        ];
        assert_eq!(
            deed(&items, &Leavers::default(), "acme"),
            "Delete 3 accounts, deactivate 1 account, change 1 account at acme"
        );
        let keep = Leavers { deleted: LeaverAction::Keep, ..Leavers::default() };
        assert_eq!(deed(&items[..1], &keep, "acme"), "Keep 1 account at acme");
    }
}
