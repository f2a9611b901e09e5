//! Plays seeds: many of them, or one with its trace.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use scimfleet_simulation::play;
use scimfleet_simulation::script::Family;

/// A play is made of many small values, and this one is a sixth faster with them.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Plays scheduler, workers, store and queue in virtual time under random faults.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds are played.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// One seed only, with everything that happens.
    #[arg(long, conflicts_with_all = ["seeds", "from", "all"])]
    seed: Option<u64>,
    /// Go on after a failure.
    #[arg(long)]
    all: bool,
    /// What is played.
    #[arg(long, value_enum, default_value_t = Kind::Everything)]
    family: Kind,
    /// Plays at once; absent: as many as there are processors.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Edits of every kind and every fault.
    Everything,
    /// Who waits for whom.
    Waits,
}

impl From<Kind> for Family {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Everything => Self::Everything,
            Kind::Waits => Self::Waits,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let family = arguments.family.into();
    match arguments.seed {
        Some(seed) => one(seed, family),
        None => many(&arguments, family),
    }
}

fn one(seed: u64, family: Family) -> ExitCode {
    let played = play(seed, family, true);
    for line in &played.trace {
        println!("{line}");
    }
    told(seed, &played.found);
    if played.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(arguments: &Arguments, family: Family) -> ExitCode {
    let began = Instant::now();
    let seeds: Range<u64> = arguments.from..arguments.from.saturating_add(arguments.seeds);
    let (next, failed, stop) = (AtomicU64::new(seeds.start), AtomicU64::new(0), AtomicBool::new(false));
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    std::thread::scope(|scope| {
        let (next, failed, stop, seeds) = (&next, &failed, &stop, &seeds);
        for thread in 0..threads.max(1) {
            scope.spawn(move || {
                stay_on_one_processor(thread);
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    let found = play(seed, family, false).found;
                    if !found.is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        told(seed, &found);
                        stop.fetch_or(!arguments.all, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (played, seconds) = (next.load(Ordering::Relaxed).min(seeds.end) - seeds.start, began.elapsed().as_secs_f64());
    let failed = failed.load(Ordering::Relaxed);
    println!("{played} plays, {failed} failed, {seconds:.1} s");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A play and its database take turns on two threads, some thousand times. On one processor a turn is a switch; on two
/// it wakes a processor that went to sleep, at more than twice the cost. The thread of a database inherits the place.
fn stay_on_one_processor(thread: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect();
    let mut one = CpuSet::new();
    if let Some(processor) = processors.get(thread % processors.len().max(1)) {
        one.set(*processor);
        // Without it the plays are the same, and slower.
        let _ = sched_setaffinity(None, &one);
    }
}

fn told(seed: u64, found: &[String]) {
    for words in found {
        println!("seed {seed}: {words}");
    }
}
