//! What operators do: restart, schedule, approve, import nothing by mistake.

use std::time::{Duration, Instant};

use scimfleet_core::state::RunState;
use scimfleet_testkit::provider::{Behaviour, Mark, Paging};

use crate::failure::{Told, ensure};
use crate::figures::Figures;
use crate::services::Services;
use crate::stage::{Setup, Stage};
use crate::wait::until;

const REST: Duration = Duration::from_secs(200);
const WITHIN: Duration = Duration::from_secs(60);
const PLAIN: &str = "bulk = \"off\"\nguard = { share = \"100%\", cap = 1000000, at_least = 1000000 }";

/// Every worker and scheduler is restarted in order while a sync runs.
pub(super) async fn rolling_restart(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let behaviour = Behaviour { latency_ms: 60, ..Behaviour::default() };
    let setup = Setup { users: 900, groups: 4, workers: 3, behaviour, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.open_run().await?;
    figures.attempted = stage.model.len() as u64;
    let mut longest = Duration::ZERO;
    for at in [60, 200, 350, 500] {
        let target = &stage.target;
        until(WITHIN, "the sync goes on", || async { Ok(target.users_count() >= at) }).await?;
        let worker = stage.workers.remove(0);
        stage.start_worker().await?;
        longest = longest.max(worker.drain().await?);
        let scheduler = stage.schedulers.remove(0);
        stage.start_scheduler().await?;
        longest = longest.max(scheduler.drain().await?);
        figures.recovered += 2;
    }
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let posts = stage.target.counts_since(&Mark::default()).of("POST");
    figures.notes.push(format!("{posts} creates, drained in {:.1} s at the most", longest.as_secs_f64()));
    let wanted = stage.model.len() as u64;
    figures.promise(posts == wanted, || format!("{posts} creates for {wanted} objects"));
    stage.close(figures).await
}

/// A sync is asked for each second, and takes longer than that.
pub(super) async fn triggered(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let behaviour = Behaviour { latency_ms: 50, ..Behaviour::default() };
    let setup = Setup { users: 200, groups: 2, schedulers: 2, behaviour, provider: PLAIN, ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    for _ in 0..20 {
        let ran = stage.try_cli(&["sync", name]).await?;
        ensure(ran.code <= 1, || format!("sync ended with {}: {}", ran.code, ran.stderr))?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let overlaps = "SELECT count(*) FROM runs a JOIN runs b ON a.provider_id = b.provider_id AND a.id < b.id \
                    WHERE a.started_at < b.finished_at AND b.started_at < a.finished_at";
    let overlaps = stage.sql(overlaps).await?;
    let runs = stage.store.runs(Some(stage.provider().await?), 100).await?;
    figures.notes.push(format!("{} runs, {overlaps} at the same time", runs.len()));
    figures.promise(overlaps == "0", || format!("{overlaps} runs of one provider overlapped"));
    stage.close(figures).await
}

/// The leader is killed or stopped again and again; each slot of the schedule gets one run.
pub(super) async fn leader_lost(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 40, groups: 2, schedulers: 2, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    let table = stage.provider_table(name, &stage.target.base_url(), &stage.target.token(), PLAIN);
    stage.apply(&table.replace("schedule = \"off\"", "schedule = \"10s\"")).await?;
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    for n in 0..8 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        if n % 2 == 0 {
            stage.schedulers.remove(0).kill()?;
            stage.start_scheduler().await?;
        } else {
            stage.schedulers[0].pause()?;
            tokio::time::sleep(Duration::from_secs(12)).await;
            stage.schedulers[0].resume()?;
            stage.schedulers.rotate_left(1);
        }
        figures.recovered += 1;
    }
    stage.apply(&table).await?;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let slots = stage.sql("SELECT count(*) || ' ' || count(DISTINCT slot) FROM runs WHERE slot IS NOT NULL").await?;
    let (runs, distinct) = slots.split_once(' ').unwrap_or_default();
    figures.notes.push(format!("{runs} runs in {distinct} slots"));
    figures.promise(runs == distinct && runs != "0", || format!("{runs} runs in {distinct} slots"));
    stage.close(figures).await
}

/// The source returns nothing: nothing is deleted, somebody is asked, and work goes on when it is approved.
pub(super) async fn empty_source(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 200, groups: 3, provider: "bulk = \"off\"", ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load_snapshot().await?;
    stage.rest(REST).await?;
    tokio::fs::write(stage.folder.join("none.jsonl"), "").await?;
    let refused = stage.try_cli(&["import", "none.jsonl", "--source", "faults", "--snapshot"]).await?;
    figures.promise(refused.code != 0, || "an empty snapshot was taken for the truth".to_owned());
    // Somebody insists, and the guard at the provider asks again.
    let leavers: Vec<String> = stage.model.users.keys().take(100).cloned().collect();
    for id in &leavers {
        stage.model.delete_user(id);
    }
    stage.load_snapshot().await?;
    figures.attempted = (stage.model.len() + leavers.len()) as u64;
    stage.rest(REST).await?;
    let deletes = stage.target.counts_since(&Mark::default()).of("DELETE");
    figures.promise(deletes == 0, || format!("{deletes} accounts were deleted before anybody approved"));
    let holds = stage.cli(&["holds", "list"]).await?;
    let waiting: Vec<&str> =
        holds["holds"].as_array().into_iter().flatten().filter_map(|hold| hold["id"].as_str()).collect();
    figures.promise(!waiting.is_empty(), || "nobody was asked".to_owned());
    for id in &waiting {
        stage.cli(&["holds", "approve", id]).await?;
    }
    stage.rest(REST).await?;
    figures.recovered = waiting.len() as u64;
    stage.judge(figures).await?;
    figures.confirmed += stage.target.deleted().len() as u64;
    figures.notes.push(format!("{} holds; {} deleted after approval", waiting.len(), stage.target.deleted().len()));
    stage.close(figures).await
}

/// Listings break off: nothing follows from what they lack.
pub(super) async fn incomplete_listing(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 60, groups: 12, provider: PLAIN, ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    figures.attempted = stage.model.len() as u64;
    let mark = stage.target.mark();
    for paging in [Paging::FirstPageForEver, Paging::Index] {
        stage.target.change_behaviour(|behaviour| {
            behaviour.paging = paging;
            behaviour.page_size_max = 5;
        });
        stage.try_cli(&["sync", name, "--wait"]).await?;
        figures.recovered += 1;
    }
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let seen = stage.target.since(&mark);
    let looked_up = seen.entries.iter().filter(|entry| entry.query.contains("filter=")).count();
    let writes = seen.counts.writes();
    // Whoever is taken for gone is looked for before anything worse: that alone is a conclusion.
    figures.promise(writes == 0 && looked_up == 0, || {
        format!("{writes} writes and {looked_up} look-ups for a bad listing")
    });
    stage.close(figures).await
}

/// A run that is cancelled and a provider that is paused half-way leave nothing half-done.
pub(super) async fn interrupted(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let behaviour = Behaviour { latency_ms: 40, ..Behaviour::default() };
    let setup = Setup { users: 300, groups: 4, behaviour, provider: PLAIN, ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.open_run().await?;
    figures.attempted = stage.model.len() as u64;
    let target = &stage.target;
    until(WITHIN, "the sync is under way", || async { Ok(target.users_count() >= 30) }).await?;
    stage.cli(&["providers", "pause", name]).await?;
    let began = Instant::now();
    let mut last = (stage.target.users_count(), Instant::now());
    until(WITHIN, "writes end after the pause", || {
        let now = stage.target.users_count();
        if now != last.0 {
            last = (now, Instant::now());
        }
        let quiet = last.1.elapsed() > Duration::from_secs(3);
        async move { Ok(quiet) }
    })
    .await?;
    figures.notes.push(format!("writes ended {:.1} s after the pause", (last.1 - began).as_secs_f64()));
    stage.cli(&["providers", "resume", name]).await?;
    let runs = stage.store.runs(Some(stage.provider().await?), 1).await?;
    if let Some(run) = runs.first().filter(|run| !matches!(run.state, RunState::Completed)) {
        let _ = stage.try_cli(&["runs", "cancel", &run.id.to_string()]).await?;
    }
    figures.recovered = 2;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    stage.close(figures).await
}
