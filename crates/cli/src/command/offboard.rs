//! `offboard` and `leavers`: access is taken away now, and an answer per provider is the evidence (R31).

use std::time::Duration;

use scimfleet_core::TaskId;
use scimfleet_core::state::LinkState;
use scimfleet_core::task::{Cause, Lane, Task};
use scimfleet_runtime::{Drain, Exit};
use scimfleet_scheduler::{Duty, Scheduler, sync_object};
use scimfleet_store::{LinkRow, ProviderRow, ResourceRow, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::{LeaversArgs, OffboardArgs};
use crate::context::{Context, object};
use crate::error::CliError;
use crate::output::table;
use crate::standing::OVERDUE_MS;
use crate::times::{relative, utc};
use crate::wire::Parts;

const LOOK_EVERY: Duration = Duration::from_millis(50);
const LISTED: i64 = 500;

pub(crate) async fn run(context: Context, args: OffboardArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let user = object(&store, &args.user).await?;
    let began = store.now_ms();
    let Some(user) = store.deactivate_user(&user.id).await? else {
        return Err(CliError::usage(format!("`{}` is no user", args.user)));
    };
    let alone = context.works_alone(&store).await?;
    let drain = Drain::default();
    let parts = Parts::new(&context, store.clone(), drain.clone()).await?;
    if alone {
        drain.spawn(scimfleet_worker::run(parts.worker(&context)));
    }
    let providers = store.providers().await?;
    hand_over(&parts.scheduler(&context, Duty::RunsOnly), &providers, &user).await?;
    let wait = Duration::from_secs(args.wait.as_secs());
    let answers = answers(&store, &providers, &user, began, wait).await?;
    drain.begin();
    drain.finish().await;
    let confirmed = answers.iter().all(|answer| answer.confirmed);
    let document: Vec<Value> = answers.iter().map(Answer::document).collect();
    context.output.print(
        &json!({ "user": user.id, "name": user.name(), "confirmed": confirmed, "providers": document }),
        || {
            let lines = answers.iter().map(Answer::line);
            format!(
                "{} is inactive in the directory.\n\n{}",
                user.name(),
                table(&["PROVIDER", "ACCESS", "ACCOUNT", "SAID"], lines)
            )
        },
    )?;
    Ok(if confirmed { Exit::Done } else { Exit::Failed })
}

/// Marks the user at every provider and puts a task of cause `job` into each `leavers` lane: workers take
/// that one even where a provider is paused.
pub(crate) async fn hand_over(
    scheduler: &Scheduler,
    providers: &[ProviderRow],
    user: &ResourceRow,
) -> Result<(), CliError> {
    for row in providers {
        let name = &row.settings.name;
        let id = sync_object(scheduler, name, user.id.as_str()).await?;
        let task =
            Task::new(TaskId(Uuid::now_v7()), None, name.clone(), user.kind, Lane::Leavers, Cause::Job, vec![id]);
        scheduler.queue.declare_provider(name).await?;
        scheduler.queue.publish(&[task], None).await?;
    }
    Ok(())
}

/// What one provider answered.
struct Answer {
    provider: String,
    confirmed: bool,
    access: &'static str,
    account: String,
    words: String,
}

impl Answer {
    fn of(row: &ProviderRow, link: Option<&LinkRow>, began: i64) -> Self {
        let settled = link.is_none_or(|link| !link.dirty && link.updated_at_ms >= began);
        let state = link.map(|link| link.state);
        let has_account = link.is_some_and(|link| link.remote_id.is_some());
        let (confirmed, access) = match state {
            _ if !settled => (false, "not confirmed"),
            None | Some(LinkState::Gone) => (true, "no account"),
            Some(LinkState::InSync | LinkState::Kept) if has_account => (true, "account off"),
            Some(LinkState::InSync | LinkState::Kept) => (true, "no account"),
            _ => (false, "not confirmed"),
        };
        Self {
            provider: row.settings.name.to_string(),
            confirmed,
            access,
            account: link.and_then(|link| link.remote_id.as_ref()).map(ToString::to_string).unwrap_or_default(),
            words: link.and_then(|link| link.last_error.clone()).unwrap_or_default(),
        }
    }

    fn document(&self) -> Value {
        json!({ "provider": self.provider, "confirmed": self.confirmed, "access": self.access,
            "remote_id": self.account, "words": self.words })
    }

    fn line(&self) -> Vec<String> {
        vec![self.provider.clone(), self.access.to_owned(), self.account.clone(), self.words.clone()]
    }
}

async fn answers(
    store: &Store,
    providers: &[ProviderRow],
    user: &ResourceRow,
    began: i64,
    wait: Duration,
) -> Result<Vec<Answer>, CliError> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let links = store.links_of(&user.id).await?;
        let answers: Vec<Answer> = providers
            .iter()
            .map(|row| Answer::of(row, links.iter().find(|link| link.provider_id == row.id), began))
            .collect();
        if answers.iter().all(|answer| answer.confirmed) || tokio::time::Instant::now() > deadline {
            return Ok(answers);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(crate) async fn leavers(context: Context, args: LeaversArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let overdue = args.action.is_some_and(|action| action.overdue());
    let leavers = store.leavers(if overdue { OVERDUE_MS } else { 0 }, None, None, LISTED).await?;
    let providers = store.providers().await?;
    let now = store.now_ms();
    let (mut documents, mut lines) = (Vec::new(), Vec::new());
    for leaver in &leavers {
        let Some(row) = providers.iter().find(|row| row.id == leaver.provider_id) else { continue };
        documents.push(json!({ "provider": row.settings.name, "provider_state": row.state,
            "object": leaver.resource_id, "kind": leaver.kind, "name": leaver.name, "state": leaver.state,
            "since_ms": leaver.since_ms, "due_at_ms": leaver.due_at_ms, "held": leaver.held,
            "overdue": now - leaver.since_ms > OVERDUE_MS, "error": leaver.last_error }));
        let next = if leaver.held { "held for approval".to_owned() } else { relative(leaver.due_at_ms.max(now), now) };
        lines.push(vec![
            row.settings.name.to_string(),
            row.state.to_string(),
            leaver.name.clone(),
            utc(leaver.since_ms),
            next,
            leaver.last_error.clone().unwrap_or_default(),
        ]);
    }
    context.output.print(&json!({ "leavers": documents }), || {
        if lines.is_empty() {
            return if overdue { "No leaver is overdue." } else { "All leavers are out." }.to_owned();
        }
        table(&["PROVIDER", "STATE", "LEAVER", "SINCE", "NEXT ATTEMPT", "SAID"], lines)
    })?;
    Ok(if overdue && !documents.is_empty() { Exit::Failed } else { Exit::Done })
}
