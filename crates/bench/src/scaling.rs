//! More workers, more throughput; and one provider that is slow harms nobody else.

use std::time::Instant;

use scimfleet_testkit::provider::{Behaviour, Fault, Matcher};

use crate::figure::{BenchError, Figure, Goal, number};
use crate::install::{Installation, Place};
use crate::services::Services;
use crate::target::{Target, sample};

/// Slow enough that workers wait rather than compute, even eight of them on two cores.
const LATENCY_MS: u64 = 50;
/// Requests in flight for each worker.
const IN_FLIGHT: usize = 16;
/// Nineteen providers take five seconds: one of them is the last, and which one is chance.
const LORIS_RUNS: usize = 3;

/// The same work for each worker, by 1, 2, 4 and 8 of them.
pub(crate) async fn workers(services: &Services, users_per_worker: usize) -> Result<Vec<Figure>, BenchError> {
    let mut figures = Vec::new();
    let mut alone = f64::NAN;
    for workers in [1, 2, 4, 8] {
        let sample = sample(users_per_worker * workers, 0);
        let target = Target::start(LATENCY_MS).await?;
        let installation = Installation::new(Place::Cluster { services, workers }, &[])?;
        installation.import(sample).await?;
        let settings = format!("in_flight = {IN_FLIGHT}\nbulk = \"off\"");
        installation.apply(&[("bench".to_owned(), &target)], &settings).await?;
        let done = installation.sync("bench").await?;
        done.expect("created", sample.users)?;
        target.check(sample)?;
        let users_per_s = number(sample.users) / done.run_s();
        if workers == 1 {
            alone = users_per_s;
        }
        // The most that the requests in flight allow.
        let most = number(IN_FLIGHT * workers) * 1000.0 / f64::from(u32::try_from(LATENCY_MS).unwrap_or(u32::MAX));
        let name = format!("{workers} workers, {IN_FLIGHT} in flight each, target {LATENCY_MS} ms");
        figures.push(
            Figure::of(name, "users/s", vec![users_per_s]).beside(most).note(done.usage.per_user(number(sample.users))),
        );
        if workers == 8 {
            let times = Figure::of("8 workers ÷ 1 worker", "times", vec![users_per_s / alone]);
            figures.push(times.goal(Goal::AtLeast(7.6)));
        }
        target.stop().await?;
    }
    Ok(figures)
}

/// Nineteen providers with and without a twentieth that never answers.
pub(crate) async fn slow_loris(services: &Services, users: usize) -> Result<Vec<Figure>, BenchError> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..LORIS_RUNS {
        without.push(nineteen(services, users, false).await?);
        with.push(nineteen(services, users, true).await?);
    }
    let alone = Figure::of("19 providers alone", "users/s", without);
    let beside = Figure::of("19 providers beside a slow-loris", "users/s", with).beside(alone.value);
    Ok(vec![alone, beside.goal(Goal::AtLeast(0.95))])
}

async fn nineteen(services: &Services, users: usize, with_loris: bool) -> Result<f64, BenchError> {
    let sample = sample(users, 0);
    let installation = Installation::new(Place::Cluster { services, workers: 2 }, &[])?;
    installation.import(sample).await?;
    let mut targets = Vec::new();
    for number in 1..=19 {
        targets.push((format!("p{number:02}"), Target::start(10).await?));
    }
    let loris = Target::with(Behaviour::default()).await?;
    let mut named: Vec<(String, &Target)> = targets.iter().map(|(name, target)| (name.clone(), target)).collect();
    if with_loris {
        named.push(("loris".to_owned(), &loris));
    }
    installation.apply(&named, "bulk = \"off\"").await?;
    if with_loris {
        loris.provider().script(Matcher::on("POST", "/Users").times(Matcher::EVER), Fault::BlackHole);
        installation.call(&["sync", "loris"]).await?;
        // It holds what it can get hold of before the others begin.
        let began = Instant::now();
        while began.elapsed().as_secs() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    let mut arguments = vec!["sync"];
    arguments.extend(targets.iter().map(|(name, _)| name.as_str()));
    arguments.push("--wait");
    let done = installation.call(&arguments).await?;
    for (_, target) in &targets {
        target.check(sample)?;
    }
    for (_, target) in targets {
        target.stop().await?;
    }
    loris.stop().await?;
    Ok(number(users * 19) / done.wall_s)
}
