//! `scimfleet-bench`: figures beside their goals and ceilings, in one run, so that a noisy machine does not
//! matter. A figure is printed only when the content of the provider is what it should be.

mod figure;
mod growth;
mod idle;
mod initial;
mod install;
mod latency;
mod machine;
mod mapping;
mod raw;
mod roles;
mod scaling;
mod services;
mod suite;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::figure::BenchError;
use crate::suite::Suite;

/// The same as the product's, or the ceiling would be too low.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures Scimfleet against the sample provider on loopback.
#[derive(Parser)]
#[command(name = "scimfleet-bench", version)]
struct Arguments {
    /// One JSON document instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// No case beyond so many users
    #[arg(long, global = true, default_value_t = 1_000_000)]
    users_max: usize,
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Everything that follows, within half an hour on two idle cores
    All,
    /// The most telling figures within three minutes, embedded only
    Quick,
    /// Raw parallel POST of the same bodies
    Ceiling,
    /// First syncs: embedded and as a cluster, target at 0 and 20 ms, with and without Bulk
    Initial,
    /// Full syncs of which nothing changed
    Idle,
    /// From the commit of a change to its arrival, idle and during a first sync
    Latency,
    /// 1, 2, 4 and 8 workers; a slow-loris among twenty
    Scaling,
    /// Evaluation, merge, validation, plan and digest, per user
    Mapping,
    /// The cost of a user and of a member as the directory grows; imports
    Growth,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(scimfleet_expression::CHILD_ARGUMENT) {
        return scimfleet_expression::child_main();
    }
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), BenchError> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err(BenchError("a crypto provider was installed before".to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("client").enable_all().build()?;
    // On a worker thread of the runtime, whose CPU time is the clients'.
    let (case, json, users_max) = (arguments.case, arguments.json, arguments.users_max);
    runtime.block_on(async move { tokio::spawn(run(case, json, users_max)).await? })
}

async fn run(case: Case, json: bool, users_max: usize) -> Result<(), BenchError> {
    let mut suite = Suite::new(json, users_max);
    match case {
        Case::All => suite.all().await?,
        Case::Quick => suite.quick().await?,
        Case::Ceiling => suite.ceiling().await?,
        Case::Initial => suite.initial().await?,
        Case::Idle => suite.idle().await?,
        Case::Latency => suite.latency().await?,
        Case::Scaling => suite.scaling().await?,
        Case::Mapping => suite.mapping().await?,
        Case::Growth => suite.growth().await?,
    }
    suite.finish();
    Ok(())
}
