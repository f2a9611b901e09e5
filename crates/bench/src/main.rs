//! `scimfleet-bench`: figures beside their ceiling, in one run. A figure is printed only when the content of
//! the provider is what it should be.

mod ceiling;
mod figure;
mod initial;
mod mapping;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::figure::{BenchError, Figure};

/// Measures Scimfleet against the sample provider on loopback.
#[derive(Parser)]
#[command(name = "scimfleet-bench", version)]
struct Arguments {
    /// One JSON document instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Users in the sample directory
    #[arg(long, global = true, default_value_t = 10_000)]
    users: usize,
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Everything that follows
    All,
    /// Raw parallel POST of the same bodies
    Ceiling,
    /// First sync and idle sync, embedded, beside the ceiling
    Initial,
    /// Evaluation, merge and validation, plan and digest, per user
    Mapping,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(scimfleet_expression::CHILD_ARGUMENT) {
        return scimfleet_expression::child_main();
    }
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(figures) => {
            print(&figures, arguments.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<Vec<Figure>, BenchError> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err(BenchError("a crypto provider was installed before".to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut figures = Vec::new();
        let wants = |case| arguments.case == Case::All || arguments.case == case;
        if wants(Case::Mapping) {
            figures.extend(mapping::measure(arguments.users.min(5_000)).await?);
        }
        if wants(Case::Ceiling) || wants(Case::Initial) {
            let ceiling = ceiling::measure(arguments.users).await?;
            let raw = ceiling.value;
            figures.push(ceiling);
            if wants(Case::Initial) {
                figures.extend(initial::measure(arguments.users, raw).await?);
            }
        }
        Ok(figures)
    })
}

fn print(figures: &[Figure], json: bool) {
    if json {
        println!("{}", serde_json::json!({ "v": 1, "figures": figures }));
        return;
    }
    for figure in figures {
        println!("{figure}");
    }
}
