//! Workers that die at a named point. The target and the proxies decide where that is, so that the binary
//! under test holds no code for it.

use std::collections::HashSet;
use std::time::Duration;

use scimfleet_core::task::Lane;
use scimfleet_testkit::provider::{Behaviour, Fault, Mark, Matcher};
use scimfleet_testkit::proxy::Mode;
use serde_json::Value;

use crate::failure::{Told, ensure};
use crate::figures::Figures;
use crate::process::Role;
use crate::services::Services;
use crate::stage::{Setup, Stage};
use crate::wait::until;

/// Longer than any scenario: who waits that long is killed meanwhile.
const NEVER: Duration = Duration::from_secs(300);
/// A lease of the dead (45 s), the broker's redelivery and the work itself.
const RECOVERY: Duration = Duration::from_secs(150);
const WITHIN: Duration = Duration::from_secs(60);
/// The broker sees at once that the connection of a dead process is closed.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(10);

/// Many requests at once, so that one kill finds hundreds of creates at the same point.
fn wide(users: usize, provider: &'static str) -> Setup {
    let environment = vec![("SCIMFLEET_WORKER_REQUESTS_IN_FLIGHT".to_owned(), "100".to_owned())];
    Setup { users, groups: 4, workers: 2, provider, environment, ..Setup::default() }
}

const WIDE: &str = "in_flight = 100\nbulk = \"off\"";

/// SIGKILL while 200 creates wait at the target; none was applied.
pub(super) async fn before_the_write(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    killed(services, name, figures, Fault::Delay(NEVER), 0).await
}

/// SIGKILL when 200 creates were applied and no answer came back.
pub(super) async fn after_the_write(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    killed(services, name, figures, Fault::DelayAnswer(NEVER), 200).await
}

async fn killed(services: &Services, name: &str, figures: &mut Figures, fault: Fault, applied: usize) -> Told<()> {
    let mut stage = Stage::open(services, name, figures.seed, wide(200, WIDE)).await?;
    // Asked before, so that both workers begin at once and not one while the other asks.
    stage.cli(&["providers", "probe", name]).await?;
    stage.target.script(Matcher::on("POST", "/Users").times(200), fault);
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    let target = &stage.target;
    until(WITHIN, "two hundred creates are at the target", || async {
        // Each create is preceded by two look-ups; a create that waits is in no journal yet.
        let looked = target.counts_since(&Mark::default()).of("GET") >= 400;
        Ok(target.users_count() == applied && looked)
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Schedulers stand still meanwhile, else what is found in the broker may have been published anew.
    stage.schedulers.iter().try_for_each(Role::pause)?;
    let waiting = stage.tasks_waiting(Lane::Changes).await?;
    figures.recovered += stage.kill_workers()? as u64;
    let back = given_back(&stage, waiting, figures.recovered).await;
    stage.schedulers.iter().try_for_each(Role::resume)?;
    figures.promise(back.is_ok(), || "a task was acknowledged before anything of it was recorded".to_owned());
    stage.target.clear_script();
    ensure(stage.target.users_count() == applied, || "the creates were not where they should be".to_owned())?;
    stage.start_worker().await?;
    stage.start_worker().await?;
    stage.rest(RECOVERY).await?;
    stage.judge(figures).await?;
    let posts = stage.target.journal().matching("POST", "/Users").filter(|entry| entry.status == 201).count();
    figures.promise(posts <= 200, || format!("{posts} users were created for 200"));
    stage.close(figures).await
}

/// The broker gives back the task of each of the dead: none had acknowledged it.
async fn given_back(stage: &Stage, waiting: u64, dead: u64) -> Told<()> {
    until(GIVEN_BACK_WITHIN, "the broker gives back what the dead had in hand", || async {
        Ok(stage.tasks_waiting(Lane::Changes).await? == waiting + dead)
    })
    .await
}

/// SIGKILL when everything is recorded and no acknowledgement reached the broker.
pub(super) async fn after_recording(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    // Each create is a request of its own, so that they can be counted.
    let setup = Setup { proxied: true, users: 200, provider: "bulk = \"off\"", ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    // The first write arrives, and from then on nothing that workers say reaches the broker.
    stage.target.script(Matcher::on("POST", "/Users").times(Matcher::EVER), Fault::Delay(Duration::from_millis(300)));
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    let target = &stage.target;
    until(WITHIN, "creates are under way", || async { Ok(target.counts_since(&Mark::default()).of("GET") > 2) })
        .await?;
    stage.switch(|doors| &doors.broker, Mode::BlackHole).await;
    let (store, provider) = (&stage.store, stage.provider().await?);
    until(WITHIN, "what was in hand is recorded", || async {
        let glance = store.glance(provider).await?;
        Ok(glance.by_state.get(&scimfleet_core::state::LinkState::InSync).is_some_and(|count| *count > 0))
    })
    .await?;
    let created = stage.target.users_count();
    figures.recovered += stage.kill_workers()? as u64;
    stage.target.clear_script();
    stage.start_worker().await?;
    stage.start_worker().await?;
    stage.rest(RECOVERY).await?;
    stage.judge(figures).await?;
    let posts = user_creates(&stage);
    figures.notes.push(format!("{created} recorded and unacknowledged"));
    figures.promise(created > 0 && posts == stage.model.users.len(), || format!("{posts} creates were sent"));
    stage.close(figures).await
}

/// Every create is applied and its answer dropped.
pub(super) async fn answers_lost(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let behaviour = Behaviour { journal_bodies: true, ..Behaviour::default() };
    let mut stage = Stage::open(services, name, figures.seed, Setup { behaviour, ..wide(200, WIDE) }).await?;
    // Asked before, so that both workers begin at once and not one while the other asks.
    stage.cli(&["providers", "probe", name]).await?;
    // The breaker opens in between: what is asked later is sent by the probe's return.
    stage.target.script(Matcher::on("POST", "/Users").times(200), Fault::DropAnswerAfterApplying);
    stage.target.script(Matcher::on("POST", "/Groups").times(4), Fault::DropAnswerAfterApplying);
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    let twice = tokio::select! {
        // Each return of the provider loses a few more answers, half a minute apart.
        rested = stage.rest(Duration::from_secs(600)) => rested.map(|()| None)?,
        user = created_twice(&stage) => Some(user),
    };
    if let Some(user) = twice {
        figures.promise(false, || format!("the create of `{user}` was sent twice"));
        return stage.close(figures).await;
    }
    let posts = user_creates(&stage);
    stage.judge(figures).await?;
    figures.recovered = stage.target.journal().counts.answered(0);
    figures.notes.push(format!("{posts} creates sent, {} answers dropped", figures.recovered));
    stage.workers.truncate(2);
    stage.close(figures).await
}

/// Ends with whoever was created, and then created again without a look at what became of it.
async fn created_twice(stage: &Stage) -> String {
    loop {
        let mut seen = HashSet::new();
        let journal = stage.target.journal();
        let bodies = journal.matching("POST", "/Users").filter_map(|entry| entry.body.as_deref());
        let users = bodies.filter_map(|body| serde_json::from_slice::<Value>(body).ok());
        let mut ids = users.filter_map(|user| user["externalId"].as_str().map(str::to_owned));
        if let Some(user) = ids.find(|id| !seen.insert(id.clone())) {
            return user;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn user_creates(stage: &Stage) -> usize {
    stage.target.journal().matching("POST", "/Users").count()
}
