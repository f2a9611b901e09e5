//! What a full sync costs when nothing changed: no write, and the listing's reads.

use std::time::Instant;

use crate::figure::{BenchError, Figure, Goal, number, wrong};
use crate::initial::thousands;
use crate::install::Installation;
use crate::target::{Target, provider_cpu_s};

/// Resources on a page of a listing, as the client asks for them.
const PAGE: usize = 100;

/// Synchronises an installation again that has been synchronised before. The first time what the provider shows is
/// noted for everybody, as the baseline for what others change there: that is shown, and is no idle sync.
pub(crate) async fn measure(
    installation: &Installation,
    target: &Target,
    users: usize,
    groups: usize,
    runs: usize,
) -> Result<Vec<Figure>, BenchError> {
    let count = number(users);
    let (mut cpu, mut wall, mut own, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let listing = bare_listing(target, users).await?;
    let first = installation.sync("bench").await?;
    first.expect("unchanged", users + groups)?;
    let noted = first.usage.cpu_sum() * 1e6 / count;
    let mut note = String::new();
    for _ in 0..runs {
        let (mark, spent) = (target.mark(), provider_cpu_s());
        let done = installation.sync("bench").await?;
        let provider_us = (provider_cpu_s() - spent) * 1e6 / count;
        done.expect("unchanged", users + groups)?;
        let counts = target.counts_since(&mark);
        if counts.writes() > 0 {
            return wrong(format!("the idle sync made {} writes", counts.writes()));
        }
        let cpu_us = done.usage.cpu_sum() * 1e6 / count;
        cpu.push(cpu_us);
        own.push((cpu_us - listing.client_us).max(0.0));
        wall.push(done.run_s() * 1e6 / count);
        memory.push(done.usage.peak("scimfleet"));
        let pages = users.div_ceil(PAGE) + groups.div_ceil(PAGE);
        note = format!(
            "0 writes, {} reads for {pages} pages · provider {provider_us:.0} µs/user · {}",
            counts.total(),
            done.usage.per_user(count)
        );
    }
    let name = |what: &str| format!("idle sync, {} users: {what}", thousands(users));
    let first_name = format!("first listing of {} users, baseline noted: CPU", thousands(users));
    Ok(vec![
        Figure::of(first_name, "µs/user", vec![noted]).note(first.usage.per_user(count)),
        Figure::of(name("time"), "µs/user", wall).beside(listing.wall_us).note(note),
        Figure::of(name("CPU"), "µs/user", cpu).beside(listing.client_us),
        Figure::of(name("CPU without the listing"), "µs/user", own).goal(Goal::AtMost(20.0)),
        Figure::of(name("memory"), "MB", memory).goal(Goal::AtMost(150.0)),
    ])
}

struct Listing {
    wall_us: f64,
    client_us: f64,
}

/// The floor: the same pages read by a bare client and parsed, one after the other.
async fn bare_listing(target: &Target, users: usize) -> Result<Listing, BenchError> {
    let client = reqwest::Client::new();
    let token = target.provider().token();
    let spent = crate::machine::threads_cpu_s("client");
    let began = Instant::now();
    let mut seen = 0;
    while seen < users {
        let url = format!("{}/Users?startIndex={}&count={PAGE}", target.base_url(), seen + 1);
        let bytes = client.get(url).bearer_auth(&token).send().await?.bytes().await?;
        let page: serde_json::Value = serde_json::from_slice(&bytes)?;
        let on_page = page["Resources"].as_array().map_or(0, Vec::len);
        if on_page == 0 {
            return wrong(format!("the listing ended after {seen} users"));
        }
        seen += on_page;
    }
    let count = number(users);
    let client_s = crate::machine::threads_cpu_s("client") - spent;
    Ok(Listing { wall_us: began.elapsed().as_secs_f64() * 1e6 / count, client_us: client_s * 1e6 / count })
}
