//! From the commit of a change to its arrival at the provider: changes and leavers, while nothing else goes
//! on and during a first sync.

use std::time::{Duration, Instant};

use scimfleet_core::ResourceKind;
use serde_json::{Value, json};

use crate::figure::{BenchError, Figure, Goal, wrong};
use crate::initial::thousands;
use crate::install::{Installation, Place};
use crate::roles::Roles;
use crate::target::{Target, name_of, sample};

/// How closely the provider's content is watched; arrivals are seen that much too late at the most.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// A pause, so that each change meets an idle system.
const REST: Duration = Duration::from_millis(25);
/// Nothing may take that long.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
/// Users who are there before a first sync of many more begins.
const SETTLED: usize = 500;
/// Whoever leaves here shall not be held for approval.
const NO_GUARD: &str = "guard = { share = \"100%\", cap = 1000000, at_least = 1000000 }";

struct Watched<'a> {
    target: &'a Target,
    roles: &'a Roles,
}

impl Watched<'_> {
    /// Milliseconds from the commit until the provider shows `value` at `attribute` of the `index`th user.
    async fn change(&self, index: usize, attribute: &str, value: &Value) -> Result<f64, BenchError> {
        let external_id = name_of(index);
        let row = self.roles.find(&external_id).await?;
        self.roles.change(&row, |document| drop(document.insert(attribute.to_owned(), value.clone()))).await?;
        let committed = Instant::now();
        loop {
            let shown = self.target.provider().with_external_id(ResourceKind::User, &external_id);
            if shown.first().is_some_and(|user| user[attribute] == *value) {
                return Ok(committed.elapsed().as_secs_f64() * 1000.0);
            }
            if committed.elapsed() > ARRIVES_WITHIN {
                return wrong(format!("a change of `{external_id}` did not arrive"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Both kinds of change on an idle system.
pub(crate) async fn idle(place: Place<'_>, changes: usize) -> Result<Vec<Figure>, BenchError> {
    let sample = sample(1_000, 20);
    let target = Target::start(0).await?;
    let installation = Installation::new(place, &[])?;
    installation.import(sample).await?;
    installation.apply(&[("bench".to_owned(), &target)], NO_GUARD).await?;
    installation.sync("bench").await?.expect("created", 1_020)?;
    let roles = Roles::start(&installation).await?;
    let watched = Watched { target: &target, roles: &roles };
    let (mut changed, mut left) = (Vec::new(), Vec::new());
    for index in 0..changes + 5 {
        let took = watched.change(index, "title", &json!(format!("Title {index}"))).await?;
        tokio::time::sleep(REST).await;
        // The first few find connections and statements that nobody prepared yet.
        if index >= 5 {
            changed.push(took);
        }
    }
    for index in 0..changes {
        left.push(watched.change(index, "active", &json!(false)).await?);
        tokio::time::sleep(REST).await;
    }
    roles.stop().await;
    target.stop().await?;
    let half = if matches!(place, Place::Embedded) { 10.0 } else { 25.0 };
    let mut figures = Vec::new();
    for (what, samples) in [("change", &changed), ("leaver", &left)] {
        let name = |percent: &str| format!("{what}, idle, {}, {percent}", place.label());
        figures.push(Figure::percentile(name("p50"), "ms", 50, samples).goal(Goal::AtMost(half)));
        figures.push(Figure::percentile(name("p99"), "ms", 99, samples).goal(Goal::AtMost(4.0 * half)));
    }
    Ok(figures)
}

/// Leavers and changes of settled users while a first sync of many more is going.
pub(crate) async fn busy(place: Place<'_>, users: usize, latency_ms: u64) -> Result<Vec<Figure>, BenchError> {
    let target = Target::start(latency_ms).await?;
    let installation = Installation::new(place, &[])?;
    installation.import(sample(SETTLED, 0)).await?;
    installation.apply(&[("bench".to_owned(), &target)], NO_GUARD).await?;
    installation.sync("bench").await?.expect("created", SETTLED)?;
    installation.import(sample(users, 0)).await?;
    let roles = Roles::start(&installation).await?;
    roles.open_run("bench").await?;
    let began = Instant::now();
    while target.provider().users_count() < SETTLED + users / 20 {
        if began.elapsed() > ARRIVES_WITHIN * 5 {
            return wrong("the first sync did not begin");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let watched = Watched { target: &target, roles: &roles };
    let (mut left, mut changed) = (Vec::new(), Vec::new());
    let mut index = 0;
    while index + 1 < SETTLED && target.provider().users_count() < users * 9 / 10 {
        left.push(watched.change(index, "active", &json!(false)).await?);
        changed.push(watched.change(index + 1, "title", &json!(format!("Title {index}"))).await?);
        index += 2;
        tokio::time::sleep(REST).await;
    }
    roles.stop().await;
    target.stop().await?;
    if left.len() < 5 {
        return wrong(format!("the first sync was over after {} leavers", left.len()));
    }
    let goal = if latency_ms == 0 { 1_000.0 } else { 5_000.0 };
    let name =
        |what: &str| format!("{what} in a first sync of {}, {}, {latency_ms} ms", thousands(users), place.label());
    Ok(vec![
        Figure::percentile(name("leaver p50"), "ms", 50, &left),
        Figure::percentile(name("leaver p99"), "ms", 99, &left).goal(Goal::AtMost(goal)),
        Figure::percentile(name("change p50"), "ms", 50, &changed),
        Figure::percentile(name("change p99"), "ms", 99, &changed),
    ])
}
