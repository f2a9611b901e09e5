//! Whether a user costs the same in a large directory as in a small one, and a member in a large group.

use std::io::Write;
use std::time::{Duration, Instant};

use scimfleet_core::ResourceKind;
use serde_json::json;

use crate::figure::{BenchError, Figure, Goal, number, wrong};
use crate::idle;
use crate::initial::thousands;
use crate::install::{Installation, Place};
use crate::machine::threads_cpu_s;
use crate::roles::{Roles, THREADS};
use crate::target::{Target, name_of, sample};

/// Members that are added one by one to each group.
const ADDITIONS: usize = 10;
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// Import, first sync and idle sync of directories of several sizes, without groups.
pub(crate) async fn sizes(sizes: &[usize], with_idle: bool, goal: bool) -> Result<Vec<Figure>, BenchError> {
    let (mut imports, mut firsts, mut idles) = (Vec::new(), Vec::new(), Vec::new());
    let mut costs = Vec::new();
    for users in sizes {
        let sample = sample(*users, 0);
        let (target, installation) = (Target::start(0).await?, Installation::new(Place::Embedded, &[])?);
        let import = installation.import(sample).await?;
        let count = number(*users);
        let name = format!("import of {} lines", thousands(*users));
        imports.push(Figure::of(name, "lines/s", vec![count / import.wall_s]).note(import.usage.per_user(count)));
        installation.apply(&[("bench".to_owned(), &target)], "bulk = \"off\"").await?;
        let first = installation.sync("bench").await?;
        first.expect("created", *users)?;
        target.check(sample)?;
        let cost = first.usage.cpu_sum() * 1e6 / count;
        costs.push(cost);
        let name = format!("first sync of {}: CPU", thousands(*users));
        let note = format!("{:.0} users/s · {}", count / first.run_s(), first.usage.per_user(count));
        firsts.push(Figure::of(name, "µs/user", vec![cost]).note(note));
        if with_idle && *users >= 100_000 {
            let runs = if *users > 200_000 { 1 } else { 3 };
            idles.extend(idle::measure(&installation, &target, *users, 0, runs).await?);
        }
        target.stop().await?;
    }
    let mut figures = imports;
    figures.append(&mut firsts);
    if goal && let (Some(small), Some(large)) = (costs.first(), costs.last()) {
        let name = "CPU per user, largest ÷ smallest directory";
        figures.push(Figure::of(name, "times", vec![large / small]).goal(Goal::AtMost(1.2)));
    }
    figures.append(&mut idles);
    Ok(figures)
}

/// One member added to groups of several sizes: a PATCH with one operation, at a cost that does not grow.
pub(crate) async fn members(sizes: &[usize]) -> Result<Vec<Figure>, BenchError> {
    let largest = sizes.iter().copied().max().unwrap_or_default();
    let users = largest + ADDITIONS;
    let (target, installation) = (Target::start(0).await?, Installation::new(Place::Embedded, &[])?);
    let file = installation.folder().join("groups.jsonl");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file)?);
    sample(users, 0).write_jsonl(&mut out)?;
    for size in sizes {
        let members: Vec<_> = (0..*size).map(|index| json!({ "value": name_of(index) })).collect();
        let name = format!("Group of {size}");
        let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "externalId": external_id(*size), "displayName": name, "members": members });
        writeln!(out, "{group}")?;
    }
    out.flush()?;
    drop(out);
    installation.import_file(&file).await?;
    installation.apply(&[("bench".to_owned(), &target)], "bulk = \"off\"").await?;
    installation.sync("bench").await?.expect("created", users + sizes.len())?;
    target.provider().cap_journal(1_000);
    let roles = Roles::start(&installation).await?;
    let mut figures = Vec::new();
    for size in sizes {
        figures.push(additions(&target, &roles, *size, users).await?);
    }
    roles.stop().await;
    target.stop().await?;
    let value = |index: usize| figures.get(index).map_or(f64::NAN, |figure: &Figure| figure.value);
    let growth = value(figures.len().saturating_sub(1)) / value(0);
    let name = "member added, largest ÷ smallest group";
    figures.push(Figure::of(name, "times", vec![growth]).goal(Goal::AtMost(1.2)));
    Ok(figures)
}

fn external_id(size: usize) -> String {
    format!("g-of-{size}")
}

async fn additions(target: &Target, roles: &Roles, size: usize, users: usize) -> Result<Figure, BenchError> {
    let group = roles.find(&external_id(size)).await?;
    let (mut cpu_ms, mut waits) = (Vec::new(), Vec::new());
    let mark = target.mark();
    for index in 0..ADDITIONS {
        let member = roles.find(&name_of(users - ADDITIONS + index)).await?;
        let (spent, patches) = (threads_cpu_s(THREADS), target.counts_since(&mark).of("PATCH"));
        roles.add_member(&group, &member).await?;
        let committed = Instant::now();
        while target.counts_since(&mark).of("PATCH") == patches {
            if committed.elapsed() > ARRIVES_WITHIN {
                return wrong(format!("a member of the group of {size} did not arrive"));
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        waits.push(committed.elapsed().as_secs_f64() * 1000.0);
        // What is recorded after the answer belongs to it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        cpu_ms.push((threads_cpu_s(THREADS) - spent) * 1000.0);
    }
    let journal = target.provider().since(&mark);
    let operations: usize = journal.entries.iter().map(|entry| entry.operations).sum();
    let (requests, expected) = (journal.counts.total(), ADDITIONS as u64);
    if requests != expected || operations != ADDITIONS {
        return wrong(format!("{ADDITIONS} members took {requests} requests with {operations} operations"));
    }
    let held = target.provider().with_external_id(ResourceKind::Group, &external_id(size));
    let members = held.first().and_then(|group| group["members"].as_array().map(Vec::len));
    if members != Some(size + ADDITIONS) {
        return wrong(format!("the group of {size} has {members:?} members there"));
    }
    let wait = Figure::of("", "ms", waits).value;
    let name = format!("one member added to a group of {}: CPU", thousands(size));
    Ok(Figure::of(name, "ms", cpu_ms).note(format!("1 PATCH with 1 operation each; arrives after {wait:.1} ms")))
}
