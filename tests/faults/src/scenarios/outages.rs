//! Services that go away while work is under way.

use std::time::{Duration, Instant};

use scimfleet_core::ProviderName;
use scimfleet_testkit::provider::{Behaviour, Mark, RateLimit, RetryAfter};
use scimfleet_testkit::proxy::Mode;

use crate::failure::Told;
use crate::figures::Figures;
use crate::process::get;
use crate::services::{Service, Services, Verb};
use crate::stage::{Setup, Stage};
use crate::wait::until;

const REST: Duration = Duration::from_secs(200);
/// What a broker or a queue lost is noticed within seconds; a worker whose answer was lost with it, after its lease.
const AFTER_LOSS: Duration = Duration::from_secs(120);
/// The memory alarm lasts this long: longer than a publish waits for its confirm.
const ALARM: Duration = Duration::from_secs(30);
const WITHIN: Duration = Duration::from_secs(60);

fn slow_target() -> Behaviour {
    Behaviour { latency_ms: 40, ..Behaviour::default() }
}

async fn half_way(stage: &Stage, users: usize) -> Told<()> {
    let target = &stage.target;
    until(WITHIN, "the sync is under way", || async { Ok(target.users_count() >= users) }).await
}

/// The broker is killed twice while changes and a full sync are under way.
pub(super) async fn broker(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup =
        Setup { users: 600, behaviour: slow_target(), provider: "in_flight = 4\nbulk = \"off\"", ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.open_run().await?;
    for at in [50, 250] {
        half_way(&stage, at).await?;
        services.act(Verb::Kill, Service::Rabbitmq).await?;
        let edited = stage.model.edit_some(20);
        stage.import(&stage.model.lines(Some(&edited), false)).await?;
        services.act(Verb::Start, Service::Rabbitmq).await?;
        figures.recovered += 1;
    }
    figures.attempted = stage.model.len() as u64 + 40;
    stage.rest(AFTER_LOSS).await?;
    stage.judge(figures).await?;
    figures.confirmed += 40_u64.saturating_sub(figures.lost);
    stage.close(figures).await
}

/// A provider's queues are deleted under load, and for half a minute nobody can tell the broker anything.
pub(super) async fn publish_nowhere(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup =
        Setup { users: 400, behaviour: slow_target(), provider: "in_flight = 4\nbulk = \"off\"", ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    half_way(&stage, 20).await?;
    let queue = scimfleet_queue::connect(&services.amqp, &format!("f{name}")).await?;
    let provider: ProviderName = stage.name.parse()?;
    for at in [60, 120, 200] {
        half_way(&stage, at).await?;
        queue.delete_provider(&provider).await?;
        let edited = stage.model.edit_some(20);
        stage.import(&stage.model.lines(Some(&edited), false)).await?;
        figures.recovered += 1;
    }
    queue.close().await;
    figures.attempted = stage.model.len() as u64 + 60;
    stage.rest(AFTER_LOSS).await?;
    stage.judge(figures).await?;
    figures.confirmed += 60_u64.saturating_sub(figures.lost);
    stage.close(figures).await
}

/// The broker is short of memory for half a minute: it reads nothing from whoever publishes.
pub(super) async fn memory_alarm(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup =
        Setup { users: 400, behaviour: slow_target(), provider: "in_flight = 4\nbulk = \"off\"", ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.open_run().await?;
    half_way(&stage, 20).await?;
    let scheduler = stage.schedulers[0].address();
    let ready = move || get(scheduler, "/readyz").unwrap_or_default();
    services.act(Verb::Alarm, Service::Rabbitmq).await?;
    let began = Instant::now();
    let edited = stage.model.edit_some(20);
    let changed = stage.import(&stage.model.lines(Some(&edited), false)).await;
    let named = until(WITHIN, "the scheduler says why it is not ready", || async {
        Ok(ready().contains("blocks publishers because it is short of memory"))
    });
    let named = named.await;
    tokio::time::sleep(ALARM.saturating_sub(began.elapsed())).await;
    // Whatever failed meanwhile: the broker is needed again.
    services.act(Verb::Calm, Service::Rabbitmq).await?;
    changed?;
    named?;
    figures.recovered += 1;
    let calm = Instant::now();
    until(WITHIN, "the scheduler is ready again", || async { Ok(ready().starts_with("HTTP/1.0 200")) }).await?;
    figures.notes.push(format!("ready again {:.1} s after the alarm", calm.elapsed().as_secs_f64()));
    figures.attempted = stage.model.len() as u64 + 20;
    stage.rest(AFTER_LOSS).await?;
    stage.judge(figures).await?;
    figures.confirmed += 20_u64.saturating_sub(figures.lost);
    stage.close(figures).await
}

/// The database is restarted ten times during a sync.
pub(super) async fn database(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup =
        Setup { users: 600, behaviour: slow_target(), provider: "in_flight = 4\nbulk = \"off\"", ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.open_run().await?;
    half_way(&stage, 30).await?;
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        services.act(Verb::Restart, Service::Postgres).await?;
        let (began, before) = (Instant::now(), stage.target.counts_since(&Mark::default()).total());
        let target = &stage.target;
        let goes_on = until(Duration::from_secs(30), "the sync goes on", || async {
            Ok(target.users_count() >= 600 || target.counts_since(&Mark::default()).total() > before)
        });
        goes_on.await?;
        longest = longest.max(began.elapsed());
        figures.recovered += 1;
    }
    figures.attempted = stage.model.len() as u64;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    figures.notes.push(format!("requests again after {:.1} s at the most", longest.as_secs_f64()));
    stage.close(figures).await
}

/// Redis is killed for a while and flushed again and again, with a limit to keep.
pub(super) async fn redis(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let rate = RateLimit { per_second: 25.0, burst: 25, retry_after: RetryAfter::Seconds };
    let behaviour = Behaviour { rate: Some(rate), ..Behaviour::default() };
    let setup = Setup { users: 500, behaviour, provider: "rate = \"20/s\"\nbulk = \"off\"", ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    half_way(&stage, 20).await?;
    services.act(Verb::Kill, Service::Redis).await?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let throttled = stage.target.counts_since(&Mark::default()).answered(429);
    services.act(Verb::Start, Service::Redis).await?;
    figures.recovered += 1;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        services.flush_redis().await?;
        figures.recovered += 1;
    }
    figures.attempted = stage.model.len() as u64;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let counts = stage.target.counts_since(&Mark::default());
    figures.notes.push(format!(
        "{} of {} requests answered 429, {throttled} without Redis",
        counts.answered(429),
        counts.total()
    ));
    figures.promise(counts.answered(429) * 20 < counts.total(), || "without Redis the limit was not kept".to_owned());
    stage.close(figures).await
}

/// A worker stands still for two leases while it holds objects, and Redis is flushed every five seconds.
pub(super) async fn holder_stopped(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup =
        Setup { users: 150, behaviour: slow_target(), provider: "in_flight = 4\nbulk = \"off\"", ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    half_way(&stage, 20).await?;
    stage.workers[0].pause()?;
    for _ in 0..19 {
        let edited = stage.model.edit_some(10);
        figures.attempted += 10;
        stage.import(&stage.model.lines(Some(&edited), false)).await?;
        services.flush_redis().await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    stage.workers[0].resume()?;
    figures.recovered = 1;
    let edited = stage.model.edit_some(50);
    stage.import(&stage.model.lines(Some(&edited), false)).await?;
    figures.attempted += stage.model.len() as u64 + 50;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    figures.confirmed += 240_u64.saturating_sub(figures.lost);
    stage.close(figures).await
}

/// Every connection of every worker is cut in turn: broker, database, Redis.
pub(super) async fn cut(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup {
        users: 300,
        behaviour: slow_target(),
        provider: "in_flight = 4\nbulk = \"off\"",
        proxied: true,
        ..Setup::default()
    };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    half_way(&stage, 20).await?;
    for mode in [Mode::Reset, Mode::Down, Mode::CutAfter(20_000), Mode::Latency(Duration::from_millis(20))] {
        stage.switch(|doors| &doors.broker, mode).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stage.switch(|doors| &doors.broker, Mode::Pass).await;
        stage.switch(|doors| &doors.database, mode).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stage.switch(|doors| &doors.database, Mode::Pass).await;
        stage.switch(|doors| &doors.redis, mode).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stage.switch(|doors| &doors.redis, Mode::Pass).await;
        figures.recovered += 3;
    }
    figures.attempted = stage.model.len() as u64;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    stage.close(figures).await
}
