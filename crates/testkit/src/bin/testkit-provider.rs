//! The in-memory SCIM service provider as a process, for scripts. It prints its base URL and its token,
//! one a line, and runs until Ctrl-C. Nothing is kept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use scimfleet_testkit::provider::{Behaviour, ServiceProvider};

/// A SCIM 2.0 service provider in memory, for tests.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The bearer token that requests must carry; random by default.
    #[arg(long)]
    token: Option<String>,
    /// A JSON file with the habits that differ from the default.
    #[arg(long, value_name = "FILE")]
    behaviour: Option<PathBuf>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("could not read `{path}`: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{path}` does not describe a behaviour: {source}")]
    Behaviour { path: PathBuf, source: serde_json::Error },
    #[error("could not listen on 127.0.0.1:{port}: {source}; is the port taken?")]
    Listen { port: u16, source: std::io::Error },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), StartError> {
    let behaviour = match &arguments.behaviour {
        None => Behaviour::default(),
        Some(path) => {
            let text = std::fs::read(path).map_err(|source| StartError::Read { path: path.clone(), source })?;
            serde_json::from_slice(&text).map_err(|source| StartError::Behaviour { path: path.clone(), source })?
        }
    };
    let token = arguments.token.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let address = SocketAddr::from(([127, 0, 0, 1], arguments.port));
    let provider = ServiceProvider::start_at(address, &token, behaviour)
        .await
        .map_err(|source| StartError::Listen { port: arguments.port, source })?;
    println!("{}\n{token}", provider.base_url());
    // A failure to listen for Ctrl-C means that only a signal ends it; waiting for ever is right then.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    provider.stop().await;
    Ok(())
}
