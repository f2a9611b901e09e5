//! `scimfleet-faults`: plays the fault suite and prints its table; 1 unless every bold figure is zero.

use std::process::ExitCode;

use clap::Parser;
use scimfleet_faults::figures::table;
use scimfleet_faults::play;
use scimfleet_faults::scenarios::{Scenario, all};
use scimfleet_faults::services::Services;

/// Faults against real processes and services, inside of tests/services/with-services.sh.
#[derive(Debug, Parser)]
struct Arguments {
    /// Names of scenarios, or `all`, or `quick`
    #[arg(default_value = "all")]
    scenarios: Vec<String>,
    /// The same seed makes the same directory, edits and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show the scenarios
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for scenario in all() {
            println!("{:8} {:24} {}", scenario.rows, scenario.name, scenario.title);
        }
        return ExitCode::SUCCESS;
    }
    let chosen = |scenario: &&Scenario| {
        arguments
            .scenarios
            .iter()
            .any(|name| name == "all" || name == scenario.name || name == "quick" && scenario.quick)
    };
    let chosen: Vec<&Scenario> = all().iter().filter(chosen).collect();
    if chosen.is_empty() {
        eprintln!("error: no such scenario; `--list` shows them");
        return ExitCode::from(2);
    }
    let services = match Services::from_environment() {
        Ok(services) => services,
        Err(failure) => {
            eprintln!("error: {}", failure.0);
            return ExitCode::from(2);
        }
    };
    let figures = play(&services, &chosen, arguments.seed).await;
    println!("{}", table(&figures));
    if figures.iter().all(scimfleet_faults::figures::Figures::is_green) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
