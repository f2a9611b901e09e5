//! Which cases there are, in which order, and how they are printed.

use std::time::Instant;

use serde_json::json;

use crate::figure::{BenchError, Figure};
use crate::initial::{Case, directory};
use crate::install::Place;
use crate::services::Services;
use crate::{growth, latency, mapping, raw, scaling};

/// Several runs, so that one unlucky moment does not count.
const RUNS: usize = 3;

/// The figures of one call.
pub(crate) struct Suite {
    json: bool,
    users_max: usize,
    services: Option<Services>,
    printed: Vec<serde_json::Value>,
    began: Instant,
}

impl Suite {
    pub(crate) fn new(json: bool, users_max: usize) -> Self {
        Self { json, users_max, services: None, printed: Vec::new(), began: Instant::now() }
    }

    /// Prints as it goes: a long run that fails has shown what it found so far.
    fn show(&mut self, section: &str, figures: &[Figure]) {
        if self.json {
            self.printed.extend(figures.iter().map(|figure| json!({ "section": section, "figure": figure })));
            return;
        }
        println!("{section}");
        for figure in figures {
            println!("{figure}");
        }
    }

    pub(crate) fn finish(&self) {
        let took_s = self.began.elapsed().as_secs();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        if self.json {
            let load = load.trim();
            println!("{}", json!({ "v": 1, "figures": self.printed, "took_s": took_s, "cores": cores, "load": load }));
        } else {
            println!("took {took_s} s on {cores} cores; load at the end: {}", load.trim());
        }
    }

    fn services(&mut self) -> Result<&Services, BenchError> {
        if self.services.is_none() {
            self.services = Some(Services::start()?);
        }
        self.services.as_ref().ok_or_else(|| BenchError("no services".to_owned()))
    }

    pub(crate) async fn all(&mut self) -> Result<(), BenchError> {
        self.mapping().await?;
        self.initial().await?;
        self.latency().await?;
        self.scaling().await?;
        self.growing().await
    }

    pub(crate) async fn quick(&mut self) -> Result<(), BenchError> {
        let figures = mapping::measure(2_000, RUNS).await?;
        self.show("mapping", &figures);
        let directory = directory(5_000);
        let bare = raw::measure(directory, 0, RUNS).await?;
        self.show("ceiling", &bare);
        let whole = raw::whole(directory, 0, RUNS).await?;
        let case = Case {
            place: Place::Embedded,
            sample: directory,
            latency_ms: 0,
            bulk: false,
            runs: RUNS,
            ceiling: whole.figure.value,
            ceiling_cpu_us: whole.cpu_us,
            goal: Some(0.5),
        };
        self.show("initial", &[whole.figure]);
        let first = case.measure().await?;
        self.show("initial", &first);
        let figures = latency::idle(Place::Embedded, 40).await?;
        self.show("latency", &figures);
        let figures = growth::sizes(&[10_000], false, false).await?;
        self.show("growth", &figures);
        Ok(())
    }

    pub(crate) async fn ceiling(&mut self) -> Result<(), BenchError> {
        let directory = directory(10_000.min(self.users_max));
        for latency_ms in [0, 20] {
            let mut figures = raw::measure(directory, latency_ms, RUNS).await?;
            figures.push(raw::whole(directory, latency_ms, RUNS).await?.figure);
            self.show("ceiling", &figures);
        }
        Ok(())
    }

    pub(crate) async fn initial(&mut self) -> Result<(), BenchError> {
        for users in [10_000, 100_000] {
            if users <= self.users_max {
                self.first_syncs(users).await?;
            }
        }
        Ok(())
    }

    async fn first_syncs(&mut self, users: usize) -> Result<(), BenchError> {
        let small = users <= 10_000;
        let runs = if small { RUNS } else { 1 };
        let sample = directory(users);
        for latency_ms in [0, 20] {
            // The large one at 20 ms says nothing that the small one does not, and takes minutes.
            if latency_ms > 0 && !small {
                continue;
            }
            let bare = raw::measure(sample, latency_ms, runs).await?;
            self.show("ceiling", &bare);
            let whole = raw::whole(sample, latency_ms, runs).await?;
            let (ceiling, ceiling_cpu_us) = (whole.figure.value, whole.cpu_us);
            self.show("initial", &[whole.figure]);
            let json = self.json;
            let services = if small || latency_ms == 0 { Some(self.services()?) } else { None };
            let mut places = vec![Place::Embedded];
            if let Some(services) = services {
                places.extend([1, 2].map(|workers| Place::Cluster { services, workers }));
            }
            let mut figures = Vec::new();
            for place in places {
                for bulk in [false, true] {
                    if bulk && !small {
                        continue;
                    }
                    let goal = match (place, latency_ms) {
                        (_, 20) => 0.95,
                        (Place::Embedded, _) => 0.5,
                        (Place::Cluster { .. }, _) => 0.25,
                    };
                    let goal = (!bulk).then_some(goal);
                    let case = Case { place, sample, latency_ms, bulk, runs, ceiling, ceiling_cpu_us, goal };
                    let measured = case.measure().await?;
                    if !json {
                        measured.iter().for_each(|figure| println!("{figure}"));
                    }
                    figures.extend(measured);
                }
            }
            if json {
                self.show("initial", &figures);
            }
        }
        Ok(())
    }

    pub(crate) async fn idle(&mut self) -> Result<(), BenchError> {
        self.growing().await
    }

    pub(crate) async fn latency(&mut self) -> Result<(), BenchError> {
        let figures = latency::idle(Place::Embedded, 200).await?;
        self.show("latency", &figures);
        let users = 100_000.min(self.users_max);
        let figures = latency::busy(Place::Embedded, users, 0).await?;
        self.show("latency", &figures);
        let services = self.services()?;
        let figures = latency::idle(Place::Cluster { services, workers: 1 }, 200).await?;
        self.show("latency", &figures);
        let services = self.services()?;
        let figures = latency::busy(Place::Cluster { services, workers: 2 }, users, 0).await?;
        self.show("latency", &figures);
        // A shorter one is over before a handful of leavers is through.
        let slow = (users / 2).max(10_000);
        if slow <= self.users_max {
            let services = self.services()?;
            let figures = latency::busy(Place::Cluster { services, workers: 2 }, slow, 20).await?;
            self.show("latency", &figures);
        }
        Ok(())
    }

    pub(crate) async fn scaling(&mut self) -> Result<(), BenchError> {
        let figures = scaling::workers(self.services()?, 3_000).await?;
        self.show("scaling", &figures);
        let figures = scaling::slow_loris(self.services()?, 300).await?;
        self.show("scaling", &figures);
        Ok(())
    }

    pub(crate) async fn mapping(&mut self) -> Result<(), BenchError> {
        let figures = mapping::measure(5_000.min(self.users_max), 5).await?;
        self.show("mapping", &figures);
        Ok(())
    }

    pub(crate) async fn growth(&mut self) -> Result<(), BenchError> {
        self.growing().await
    }

    /// Growth and idle syncs share their directories: a million users take minutes to bring there.
    async fn growing(&mut self) -> Result<(), BenchError> {
        let sizes: Vec<usize> =
            [10_000, 100_000, 1_000_000].into_iter().filter(|users| *users <= self.users_max).collect();
        let figures = growth::sizes(&sizes, true, sizes.len() == 3).await?;
        self.show("growth and idle", &figures);
        let groups: Vec<usize> = [100, 10_000, 100_000].into_iter().filter(|size| *size <= self.users_max).collect();
        let figures = growth::members(&groups).await?;
        self.show("growth", &figures);
        Ok(())
    }
}
