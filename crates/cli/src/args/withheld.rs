//! Commands about what is not done: withheld, parked, or still to be taken away.

use clap::{Args, Subcommand};
use scimfleet_core::ProviderName;

#[derive(Debug, Args)]
pub(crate) struct HoldsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<HoldsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HoldsAction {
    /// The newest holds
    List,
    /// One hold, with what each object would lose
    Show {
        /// Its id
        id: String,
    },
    /// Do what was withheld, except for what changed since
    Approve {
        /// Its id
        id: String,
    },
    /// Leave the accounts as they are
    Reject {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OffboardArgs {
    /// Id, externalId or userName
    pub(crate) user: String,
    /// How long to wait for the providers
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) wait: std::time::Duration,
}

#[derive(Debug, Args)]
pub(crate) struct LeaversArgs {
    #[command(subcommand)]
    pub(crate) action: Option<LeaversAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeaversAction {
    /// Who, where, since when
    List {
        /// Only those that wait for more than a minute; exit 1 if there are any
        #[arg(long)]
        overdue: bool,
    },
}

impl LeaversAction {
    pub(crate) const fn overdue(&self) -> bool {
        let Self::List { overdue } = self;
        *overdue
    }
}

#[derive(Debug, Args)]
pub(crate) struct ParkedArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ParkedAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedAction {
    /// What is parked, and why
    List {
        /// At one provider
        #[arg(long)]
        provider: Option<ProviderName>,
    },
    /// Give up until the object, a mapping or the provider's settings change; whoever is to lose access stays
    Drop {
        /// At this provider
        #[arg(long)]
        provider: ProviderName,
        /// One object
        #[arg(long)]
        object: Option<String>,
    },
    /// Try again
    Retry {
        /// At one provider
        #[arg(long)]
        provider: Option<ProviderName>,
        /// One object
        #[arg(long)]
        object: Option<String>,
    },
}
