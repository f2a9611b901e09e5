//! Targets that limit, break, lie or stall.

use std::time::{Duration, Instant};

use scimfleet_core::state::{LinkState, ProviderState};
use scimfleet_testkit::provider::{Behaviour, Fault, Mark, Matcher, Paging, RateLimit, RetryAfter, ServiceProvider};
use scimfleet_testkit::proxy::{Mode, Proxy};

use crate::failure::Told;
use crate::figures::Figures;
use crate::services::Services;
use crate::stage::{Setup, Stage};
use crate::wait::until;

const REST: Duration = Duration::from_secs(200);
const WITHIN: Duration = Duration::from_secs(60);
const PLAIN: &str = "bulk = \"off\"\nguard = { share = \"100%\", cap = 1000000, at_least = 1000000 }";

/// Four workers share a limit of five requests a second.
pub(super) async fn limited(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    // As many at once as we are told, and no more: what overtakes on the way must fit into it.
    let rate = RateLimit { per_second: 5.0, burst: 5, retry_after: RetryAfter::Seconds };
    let behaviour = Behaviour { rate: Some(rate), ..Behaviour::default() };
    let setup = Setup {
        users: 120,
        groups: 0,
        workers: 4,
        behaviour,
        provider: "rate = \"5/s\"\nbulk = \"off\"",
        ..Setup::default()
    };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    let journal = stage.target.journal();
    let answered: Vec<Duration> = journal.entries.iter().map(|entry| entry.at).collect();
    // The first second is the burst's, and the last requests wait for nobody.
    let (Some(first), Some(last)) = (answered.first(), answered.last()) else { return stage.close(figures).await };
    let seconds = (*last - *first).as_secs_f64();
    let used = answered.len() as f64 / (seconds * 5.0 + 5.0) * 100.0;
    let throttled = journal.counts.answered(429);
    figures.notes.push(format!(
        "{} requests in {seconds:.1} s: {used:.1} % of the limit used, {throttled} × 429",
        answered.len()
    ));
    figures.promise(used >= 95.0, || format!("only {used:.1} % of the limit were used"));
    figures.promise(throttled * 100 < answered.len() as u64, || format!("{throttled} × 429"));
    stage.close(figures).await
}

/// The target is away while much is owed; what comes afterwards keeps to the limit.
pub(super) async fn outage(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup =
        Setup { users: 1_500, groups: 0, workers: 3, provider: "rate = \"50/s\"\nbulk = \"off\"", ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    let front = Proxy::start(stage.target.address()).await?;
    let base = stage.target.base_url().replace(&stage.target.address().to_string(), &front.address().to_string());
    let table = stage.provider_table(name, &base, &stage.target.token(), "rate = \"50/s\"\nbulk = \"off\"");
    stage.apply(&table).await?;
    stage.cli(&["providers", "probe", name]).await?;
    front.set(Mode::Reset).await;
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    let (store, id) = (&stage.store, stage.provider().await?);
    until(WITHIN, "the breaker opens", || async {
        Ok(store.providers().await?.iter().any(|row| row.id == id && row.state == ProviderState::Degraded))
    })
    .await?;
    let opened = front.accepted();
    tokio::time::sleep(Duration::from_secs(80)).await;
    let probes = front.accepted() - opened;
    front.set(Mode::Pass).await;
    let mark = stage.target.mark();
    stage.rest(Duration::from_secs(300)).await?;
    figures.recovered = 1;
    stage.judge(figures).await?;
    let entries = stage.target.since(&mark).entries;
    let most = entries.iter().map(|one| {
        entries.iter().filter(|other| other.at >= one.at && other.at < one.at + Duration::from_secs(10)).count()
    });
    let most = most.max().unwrap_or_default();
    figures.notes.push(format!(
        "{opened} connections before the breaker opened, {probes} in 80 s while it was open, then {:.1} requests a second at the most over 10 s",
        most as f64 / 10.0
    ));
    // A probe may try its connection again once.
    figures.promise(probes <= 8, || format!("{probes} connections while the breaker was open"));
    figures.promise(most <= 50 * 11 + 50, || format!("{most} requests in 10 s at a limit of 50 a second"));
    stage.close(figures).await
}

/// The target refuses the token, for everybody; the token comes back.
pub(super) async fn unauthorised(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 300, groups: 0, workers: 3, provider: "bulk = \"off\"", ..Setup::default() };
    let stage = Stage::open(services, name, figures.seed, setup).await?;
    let token = stage.target.token();
    stage.cli(&["providers", "probe", name]).await?;
    stage.target.set_token("another-token");
    let mark = stage.target.mark();
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    let (store, id) = (&stage.store, stage.provider().await?);
    until(WITHIN, "the breaker opens", || async {
        Ok(store.providers().await?.iter().any(|row| row.id == id && row.state == ProviderState::Degraded))
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let refused = stage.target.counts_since(&mark).answered(401);
    stage.target.set_token(&token);
    let began = Instant::now();
    until(Duration::from_secs(60), "the breaker closes", || async {
        Ok(store.providers().await?.iter().any(|row| row.id == id && row.state == ProviderState::Active))
    })
    .await?;
    let closed = began.elapsed();
    stage.rest(REST).await?;
    figures.recovered = 1;
    stage.judge(figures).await?;
    figures.notes.push(format!("{refused} requests refused, in service again after {:.1} s", closed.as_secs_f64()));
    figures.promise(refused <= 10, || format!("{refused} requests were sent with a refused token"));
    figures.promise(closed <= Duration::from_secs(40), || format!("closed after {:.1} s", closed.as_secs_f64()));
    stage.close(figures).await
}

/// One object that the target refuses, one that the mapping cannot do, among a thousand, and a worker killed.
pub(super) async fn poison(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let behaviour = Behaviour { characters_refused: "~".to_owned(), latency_ms: 5, ..Behaviour::default() };
    let setup = Setup { users: 1_000, groups: 3, behaviour, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    let more = format!("{PLAIN}\nmappings = [\"10-user-default\", \"10-group-default\", \"90-poison\"]");
    let table = stage.provider_table(name, &stage.target.base_url(), &stage.target.token(), &more);
    let mapping = "[[mapping]]\nname = \"90-poison\"\nresource = \"user\"\nexpression = '''\n\
                   if user.userName.startswith(\"u8@\"):\n    return {\"title\": 1 // 0}\nreturn None\n'''\n";
    stage.apply(&format!("{table}\n{mapping}")).await?;
    if let Some(user) = stage.model.users.get_mut("u7") {
        user["displayName"] = serde_json::json!("Po~ison");
    }
    stage.load().await?;
    figures.attempted = stage.model.len() as u64;
    let target = &stage.target;
    until(WITHIN, "the sync is under way", || async { Ok(target.users_count() >= 100) }).await?;
    stage.workers.remove(0).kill()?;
    figures.recovered = 1;
    stage.start_worker().await?;
    stage.rest(REST).await?;
    // A group holds the members that are there; the parked two are in nobody's group.
    for id in ["u7", "u8"] {
        for (_, members) in stage.model.groups.values_mut() {
            members.remove(id);
        }
    }
    stage.judge(figures).await?;
    let dead = stage.cli(&["dead", "list"]).await?;
    let dead = dead["dead"].as_array().map_or(0, Vec::len);
    figures.notes.push(format!("{dead} dead letters"));
    figures.promise(figures.parked == 2, || "not exactly the two poisoned objects are parked".to_owned());
    figures.promise(dead == 0, || format!("{dead} innocents in the dead-letter queue"));
    stage.close(figures).await
}

/// One of six targets swallows everything; the others must not notice.
pub(super) async fn black_hole(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 60, groups: 0, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    let mut others = Vec::new();
    let mut fleet = stage.provider_table(name, &stage.target.base_url(), &stage.target.token(), PLAIN);
    for n in 0..5 {
        let other = ServiceProvider::start(Behaviour::default()).await?;
        fleet += &stage.provider_table(&format!("{name}-{n}"), &other.base_url(), &other.token(), PLAIN);
        others.push(other);
    }
    stage.apply(&fleet).await?;
    let users = stage.model.users.len();
    let began = Instant::now();
    stage.load().await?;
    until(REST, "all six are served", || async {
        Ok(stage.target.users_count() == users && others.iter().all(|other| other.users_count() == users))
    })
    .await?;
    let before = began.elapsed();
    let mut marks: Vec<Mark> = others.iter().map(scimfleet_testkit::provider::Running::mark).collect();
    stage.target.script(Matcher::any().times(Matcher::EVER), Fault::BlackHole);
    let ids: Vec<String> = stage.model.users.keys().cloned().collect();
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        for id in &ids {
            stage.model.edit_user(id);
        }
        let began = Instant::now();
        stage.import(&stage.model.lines(Some(&ids), false)).await?;
        until(REST, "the five others are served", || async {
            Ok(others.iter().zip(&marks).all(|(other, mark)| other.counts_since(mark).writes() >= users as u64))
        })
        .await?;
        longest = longest.max(began.elapsed());
        marks = others.iter().map(scimfleet_testkit::provider::Running::mark).collect();
    }
    figures.attempted = stage.model.len() as u64;
    stage.target.clear_script();
    figures.recovered = 1;
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    figures.notes.push(format!(
        "five targets: {:.1} s with six healthy (creates), {:.1} s at the most with one black-holed (updates)",
        before.as_secs_f64(),
        longest.as_secs_f64()
    ));
    figures.promise(longest <= before.mul_f64(1.2), || "a black-holed target slowed the others down".to_owned());
    stage.close(figures).await
}

/// Leavers go first: while thousands are synchronised, each is gone within five seconds.
pub(super) async fn leavers_first(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let behaviour = Behaviour { latency_ms: 30, ..Behaviour::default() };
    let setup = Setup { users: 3_000, groups: 0, behaviour, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.open_run().await?;
    let target = &stage.target;
    until(WITHIN, "the sync is under way", || async { Ok(target.users_count() >= 200) }).await?;
    let mut waits = Vec::new();
    for _ in 0..20 {
        let there = stage.target.content().users;
        let Some(leaver) = there.iter().find(|user| user["active"] == true) else { break };
        let (id, remote) =
            (leaver["externalId"].as_str().unwrap_or_default(), leaver["id"].as_str().unwrap_or_default());
        if let Some(user) = stage.model.users.get_mut(id) {
            user["active"] = serde_json::json!(false);
        }
        stage.import(&stage.model.lines(Some(&[id.to_owned()]), false)).await?;
        let began = Instant::now();
        until(WITHIN, "a leaver is deactivated", || async {
            let shown = stage.target.resource(scimfleet_core::ResourceKind::User, remote);
            Ok(shown.is_some_and(|user| user["active"] == false))
        })
        .await?;
        waits.push(began.elapsed());
    }
    let busy = stage.target.users_count() < 3_000;
    figures.attempted = stage.model.len() as u64 + waits.len() as u64;
    stage.rest(Duration::from_secs(400)).await?;
    stage.judge(figures).await?;
    figures.confirmed += waits.len() as u64;
    waits.sort_unstable();
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    figures.notes.push(format!(
        "{} leavers, median {:.2} s, longest {:.2} s{}",
        waits.len(),
        median.as_secs_f64(),
        longest.as_secs_f64(),
        if busy { "" } else { " (the sync ended meanwhile)" }
    ));
    figures.promise(longest < Duration::from_secs(5), || "a leaver waited for more than five seconds".to_owned());
    stage.close(figures).await
}

/// A gateway answers for the target: 404 and HTML pages for everything, then one 403 among a thousand.
pub(super) async fn gateway(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 300, groups: 5, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    let mark = stage.target.mark();
    for fault in [Fault::HtmlPage(404), Fault::HtmlPage(200), Fault::Status(502), Fault::Garbage] {
        stage.target.script(Matcher::any().times(Matcher::EVER), fault);
        let edited = stage.model.edit_some(100);
        figures.attempted += 100;
        stage.import(&stage.model.lines(Some(&edited), false)).await?;
        tokio::time::sleep(Duration::from_secs(6)).await;
        stage.target.clear_script();
        figures.recovered += 1;
        stage.rest(REST).await?;
    }
    let posts = stage.target.counts_since(&mark).of("POST");
    figures.promise(posts == 0, || format!("{posts} accounts were created that were there"));
    let protected = stage.target.with_external_id(scimfleet_core::ResourceKind::User, "u5");
    let path = format!("/Users/{}", protected.first().and_then(|user| user["id"].as_str()).unwrap_or("?"));
    stage.target.script(Matcher::on("PATCH", &path).times(Matcher::EVER), Fault::Status(403));
    stage.target.script(Matcher::on("PUT", &path).times(Matcher::EVER), Fault::Status(403));
    let ids: Vec<String> = stage.model.users.keys().cloned().collect();
    for id in &ids {
        stage.model.edit_user(id);
    }
    stage.import(&stage.model.lines(Some(&ids), false)).await?;
    figures.attempted += ids.len() as u64;
    stage.rest(REST).await?;
    figures.attempted += stage.model.len() as u64;
    stage.judge(figures).await?;
    figures.confirmed += 400 + ids.len() as u64 - 1;
    let parked = figures.parked;
    figures.promise(parked == 1, || format!("{parked} are parked for one 403"));
    stage.close(figures).await
}

/// Bodies without end, deep JSON, endless pages, an answer that trickles: classified, and memory stays.
pub(super) async fn anything(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 120, groups: 0, workers: 1, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    let before = stage.workers[0].memory_bytes()?;
    let huge = format!("{{\"id\":\"{}\"}}", "x".repeat(100_000_000));
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let mut most = before;
    for body in [huge, deep, "{\"Resources\":[null,1,{\"id\":7}]}".to_owned(), "[]".to_owned()] {
        for method in ["GET", "PATCH", "PUT"] {
            stage.target.script(Matcher::on(method, "/Users").times(3), Fault::Body(200, body.clone()));
        }
        let edited = stage.model.edit_some(20);
        stage.import(&stage.model.lines(Some(&edited), false)).await?;
        figures.attempted += 20;
        for _ in 0..40 {
            most = most.max(stage.workers[0].memory_bytes()?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stage.target.clear_script();
        figures.recovered += 1;
        stage.rest(REST).await?;
    }
    stage.target.change_behaviour(|behaviour| {
        behaviour.paging = Paging::FirstPageForEver;
        behaviour.page_size_max = 10;
    });
    let began = Instant::now();
    let ran = stage.try_cli(&["sync", name, "--wait"]).await?;
    figures.notes.push(format!(
        "an endless listing ended after {:.1} s (exit {})",
        began.elapsed().as_secs_f64(),
        ran.code
    ));
    stage.target.change_behaviour(|behaviour| behaviour.paging = Paging::Index);
    most = most.max(stage.workers[0].memory_bytes()?);
    stage.rest(REST).await?;
    stage.judge(figures).await?;
    figures.attempted += stage.model.len() as u64;
    figures.confirmed += 80_u64.saturating_sub(figures.lost);
    let grown = most.saturating_sub(before) / (1024 * 1024);
    figures.notes.push(format!("memory + {grown} MiB at the most"));
    figures.promise(grown < 32, || format!("a worker grew by {grown} MiB"));
    stage.close(figures).await
}

/// A request that never ends holds its place for the request timeout, and no longer.
pub(super) async fn slow_loris(services: &Services, name: &str, figures: &mut Figures) -> Told<()> {
    let setup = Setup { users: 30, groups: 0, workers: 1, provider: PLAIN, ..Setup::default() };
    let mut stage = Stage::open(services, name, figures.seed, setup).await?;
    stage.load().await?;
    stage.rest(REST).await?;
    for method in ["PATCH", "PUT"] {
        stage.target.script(Matcher::on(method, "/Users").times(1), Fault::BlackHole);
    }
    let began = Instant::now();
    stage.model.edit_user("u3");
    stage.import(&stage.model.lines(Some(&["u3".to_owned()]), false)).await?;
    let (store, id) = (&stage.store, stage.provider().await?);
    until(WITHIN, "the request is given up", || async {
        let glance = store.glance(id).await?;
        Ok(glance.by_state.contains_key(&LinkState::Retrying))
    })
    .await?;
    let freed = began.elapsed();
    stage.target.clear_script();
    stage.rest(REST).await?;
    figures.attempted = stage.model.len() as u64 + 1;
    figures.recovered = 1;
    stage.judge(figures).await?;
    figures.confirmed += 1_u64.saturating_sub(figures.lost);
    figures.notes.push(format!("given up after {:.1} s", freed.as_secs_f64()));
    figures.promise(freed < Duration::from_secs(36), || format!("given up after {:.1} s", freed.as_secs_f64()));
    stage.close(figures).await
}
