//! First syncs by the real binary: how many users a second, and what they cost each role.

use scimfleet_testkit::directory::SampleDirectory;

use crate::figure::{BenchError, Figure, Goal, number};
use crate::install::{Installation, Place};
use crate::target::{Target, provider_cpu_s, sample};

/// One kind of first sync.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) sample: SampleDirectory,
    pub(crate) latency_ms: u64,
    pub(crate) bulk: bool,
    pub(crate) runs: usize,
    /// Users per second of the bare clients for the same bodies.
    pub(crate) ceiling: f64,
    /// CPU of the bare client and the provider for them, in microseconds per user.
    pub(crate) ceiling_cpu_us: f64,
    pub(crate) goal: Option<f64>,
}

pub(crate) const GROUPS: usize = 200;

impl Case<'_> {
    fn name(&self) -> String {
        let bulk = if self.bulk { ", Bulk" } else { "" };
        format!(
            "first sync, {} users, {}, {} ms{bulk}",
            thousands(self.sample.users),
            self.place.label(),
            self.latency_ms
        )
    }

    /// Users a second, and the same by CPU: on a machine that others use, too, only that one says something,
    /// and on an idle one that computes all the time the two are the same.
    pub(crate) async fn measure(&self) -> Result<[Figure; 2], BenchError> {
        let (mut samples, mut cpu, mut note) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..self.runs {
            let (users_per_s, cpu_us, spent) = self.once().await?;
            samples.push(users_per_s);
            cpu.push(1e6 / cpu_us);
            note = spent;
        }
        let by_cpu = Figure::of("  by CPU: users per CPU second", "users/s", cpu).beside(1e6 / self.ceiling_cpu_us);
        let mut figure = Figure::of(self.name(), "users/s", samples).beside(self.ceiling).note(note);
        let mut by_cpu = by_cpu;
        if let Some(goal) = self.goal {
            figure = figure.goal(Goal::AtLeast(goal));
            if self.latency_ms == 0 {
                by_cpu = by_cpu.goal(Goal::AtLeast(goal));
            }
        }
        Ok([figure, by_cpu])
    }

    async fn once(&self) -> Result<(f64, f64, String), BenchError> {
        let target = Target::start(self.latency_ms).await?;
        let installation = Installation::new(self.place, &[])?;
        installation.import(self.sample).await?;
        let bulk = if self.bulk { "bulk = \"auto\"" } else { "bulk = \"off\"" };
        installation.apply(&[("bench".to_owned(), &target)], bulk).await?;
        let (mark, spent) = (target.mark(), provider_cpu_s());
        let done = installation.sync("bench").await?;
        let provider_s = provider_cpu_s() - spent;
        done.expect("created", self.sample.users + self.sample.groups)?;
        target.check(self.sample)?;
        let users = number(self.sample.users);
        let counts = target.counts_since(&mark);
        let share = provider_s / (provider_s + done.usage.cpu_sum());
        let note = format!(
            "{} · provider {:.0} µs/user, {:.0} % of the CPU · {} requests, {} bulk operations",
            done.usage.per_user(users),
            provider_s * 1e6 / users,
            share * 100.0,
            counts.total(),
            counts.bulk_operations,
        );
        let users_per_s = users / done.run_s();
        let cpu_us = (provider_s + done.usage.cpu_sum()) * 1e6 / users;
        target.stop().await?;
        Ok((users_per_s, cpu_us, note))
    }
}

/// `10 k`, `1 M`.
pub(crate) fn thousands(count: usize) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{} k", count / 1_000),
        _ => format!("{} M", count / 1_000_000),
    }
}

/// The sample of a case with so many users and 200 groups.
pub(crate) const fn directory(users: usize) -> SampleDirectory {
    sample(users, GROUPS)
}
