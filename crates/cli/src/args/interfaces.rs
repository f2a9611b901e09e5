//! Commands about Scimfleet's own interfaces: tokens, jobs, dead letters.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    pub(crate) action: Option<DeadAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadAction {
    /// Messages with the reason
    List,
    /// Publish them again
    Replay {
        /// Message ids; none means all
        ids: Vec<String>,
    },
    /// Remove them
    Drop {
        /// Message ids
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) action: TokenAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token; it is printed once
    Create {
        /// What it opens
        #[arg(long, value_enum)]
        scope: Scope,
        /// What people call it
        #[arg(long)]
        name: String,
    },
    /// All of them, without their text
    List,
    /// Make it open nothing any more
    Revoke {
        /// Its id or name
        token: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// /scim/v2
    Directory,
    /// /api/v1 and the dashboard
    Admin,
    /// /metrics
    Metrics,
}

#[derive(Debug, Args)]
pub(crate) struct EnqueueArgs {
    /// A file with the job as JSON; `-` for standard input
    #[arg(value_name = "JOB.json")]
    pub(crate) file: PathBuf,
}
