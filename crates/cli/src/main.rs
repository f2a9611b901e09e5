//! `scimfleet`: every role and every command in one binary. This crate wires the others together and
//! speaks to people; it decides nothing about what is sent.

mod args;
mod command;
mod context;
mod error;
mod examples;
mod insight;
mod output;
mod report;
mod roles;
mod standing;
mod times;
mod wire;

use std::process::ExitCode;

use clap::FromArgMatches;
use scimfleet_runtime::Exit;

use crate::args::Arguments;
use crate::context::Context;
use crate::error::CliError;

/// A task hands documents from thread to thread, for which this one costs a third of the C library's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Before anything else: a child that evaluates expressions has no business with the rest.
    if std::env::args().nth(1).as_deref() == Some(scimfleet_expression::CHILD_ARGUMENT) {
        return scimfleet_expression::child_main();
    }
    let arguments = match Arguments::from_arg_matches(&examples::command().get_matches()) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("error: a crypto provider was installed before");
        return Exit::Failed.into();
    }
    match run(arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error}");
            error.exit().into()
        }
    }
}

fn run(arguments: Arguments) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::failed)?;
    let context = Context::new(&arguments)?;
    let telemetry = context.telemetry.clone();
    let exit = runtime.block_on(command::dispatch(context, arguments.command));
    // Roles have drained; what is left (a DNS look-up, a terminal) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if let Some(telemetry) = telemetry {
        telemetry.end();
    }
    exit
}
