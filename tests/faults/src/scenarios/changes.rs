//! Changes that race: with the relay's death, with one another, with full syncs, with deletions.

use std::time::Duration;

use scimfleet_core::ResourceKind;
use scimfleet_core::task::{Cause, Lane, OBJECTS_PER_TASK_MAX, Task};
use scimfleet_core::{ProviderName, ResourceId, TaskId};
use scimfleet_testkit::provider::{Behaviour, Mark};

use crate::failure::Told;
use crate::figures::Figures;
use crate::oracle::{links, writes_of};
use crate::services::Services;
use crate::stage::{Setup, Stage};

const REST: Duration = Duration::from_secs(150);
/// Where creates are counted, each is a request of its own.
const ONE_BY_ONE: &str = "bulk = \"off\"";

/// Every user is edited twenty times, while whoever relays is killed with SIGKILL again and again.
pub(super) async fn relay_killed(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    const ROUNDS: usize = 20;
    let setup = Setup { users: 500, groups: 4, schedulers: 2, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    let mark = stage.target.mark();
    for round in 0..ROUNDS {
        let ids: Vec<String> = stage.model.users.keys().cloned().collect();
        for id in &ids {
            stage.model.edit_user(id);
        }
        stage.import(&stage.model.lines(Some(&ids), false)).await?;
        if round % 2 == 0 {
            stage.schedulers.remove(0).kill()?;
            figures.recovered += 1;
            stage.start_scheduler().await?;
        }
    }
    figures.attempted = (ROUNDS * stage.model.users.len() + stage.model.len()) as u64;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let edits = (ROUNDS * stage.model.users.len()) as u64;
    figures.confirmed += edits.saturating_sub(figures.lost);
    let writes = writes_of(&stage.target.since(&mark));
    figures.notes.push(format!("{writes} writes for {edits} edits"));
    figures.promise(writes < edits, || format!("{writes} writes for {edits} edits: nothing was coalesced"));
    stage.close(figures).await
}

/// Users are edited and deleted while a full sync runs; half of them are hired again.
pub(super) async fn deletes_race(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    const ROUNDS: usize = 5;
    const USERS: usize = 200;
    let behaviour = Behaviour { latency_ms: 5, ..Behaviour::default() };
    let setup = Setup { users: USERS, groups: 5, workers: 3, behaviour, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    for round in 0..ROUNDS {
        let leavers = stage.model.edit_some(USERS / 2);
        figures.attempted += 2 * leavers.len() as u64;
        stage.import(&stage.model.lines(Some(&leavers), false)).await?;
        if round % 2 == 0 {
            stage.open_run().await?;
        }
        for id in &leavers {
            stage.model.delete_user(id);
        }
        stage.load_snapshot().await?;
        for id in leavers.iter().step_by(2) {
            stage.model.add_user(id);
            stage.model.edit_user(id);
        }
        stage.load().await?;
        figures.attempted += leavers.len() as u64 / 2;
    }
    stage.rest(REST).await?;
    stage.sync().await?;
    let failed = stage.sql("SELECT count(*), min(error) FROM runs WHERE state NOT IN ('completed', 'skipped')").await?;
    figures.promise(failed.starts_with("0|"), || format!("runs failed in the race: {failed}"));
    stage.judge(figures).await?;
    figures.notes.push(format!("{} accounts deleted", stage.target.deleted().len()));
    stage.close(figures).await
}

/// Users, managers and groups arrive in an order drawn by lot, and a full sync takes them.
pub(super) async fn any_order(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 1_500, groups: 60, workers: 0, provider: ONE_BY_ONE, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    let ids: Vec<String> = stage.model.users.keys().cloned().collect();
    for (n, id) in ids.iter().enumerate().skip(1) {
        let manager = &ids[(n - 1) / 8];
        if let Some(user) = stage.model.users.get_mut(id) {
            user["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] =
                serde_json::json!({"manager": {"value": manager}});
            user["schemas"] = serde_json::json!([
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
            ]);
        }
    }
    let lines = stage.model.shuffled_lines();
    for part in lines.chunks(400) {
        stage.import(&(part.join("\n") + "\n")).await?;
    }
    stage.start_worker().await?;
    stage.start_worker().await?;
    figures.attempted = stage.model.len() as u64;
    stage.open_run().await?;
    stage.rest(Duration::from_secs(240)).await?;
    stage.judge(figures).await?;
    let patches = stage.target.journal().matching("PATCH", "/Groups").count();
    let groups = stage.model.groups.len();
    figures.notes.push(format!("{patches} PATCH for {groups} groups"));
    figures.promise(patches <= 2 * groups, || format!("{patches} PATCH for {groups} groups"));
    stage.close(figures).await
}

/// Every task is delivered three times, to three workers at once.
pub(super) async fn thrice(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 300, groups: 8, workers: 0, provider: ONE_BY_ONE, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    repeat(&stage, ResourceKind::User).await?;
    repeat(&stage, ResourceKind::Group).await?;
    for _ in 0..3 {
        stage.start_worker().await?;
    }
    stage.rest(REST).await?;
    repeat(&stage, ResourceKind::User).await?;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let posts = stage.target.counts_since(&Mark::default()).of("POST");
    figures.notes.push(format!("{posts} creates for {} objects", stage.model.len()));
    figures.promise(posts == stage.model.len() as u64, || format!("{posts} creates for {}", stage.model.len()));
    stage.close(figures).await
}

/// Publishes a task for every object of a kind three times.
async fn repeat(stage: &Stage, kind: ResourceKind) -> Told<()> {
    let prefix = format!("f{}", stage.name);
    let queue = scimfleet_queue::connect(&stage.services.amqp, &prefix).await?;
    let provider: ProviderName = stage.name.parse()?;
    queue.declare_provider(&provider).await?;
    crate::wait::until(REST, "all changes are relayed", || async { Ok(stage.store.count_outbox().await? == 0) })
        .await?;
    let ids: Vec<ResourceId> = links(&stage.store, stage.provider().await?)
        .await?
        .into_iter()
        .filter(|link| link.kind == kind)
        .map(|link| link.resource_id)
        .collect();
    for chunk in ids.chunks(OBJECTS_PER_TASK_MAX) {
        let id = TaskId(uuid::Uuid::now_v7());
        let task = Task::new(id, None, provider.clone(), kind, Lane::Changes, Cause::Change, chunk.to_vec());
        queue.publish(&[task.clone(), task.clone(), task], None).await?;
    }
    queue.close().await;
    Ok(())
}
