//! `log`: what was written to providers.

use clap::{Args, Subcommand};
use scimfleet_core::ProviderName;

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    pub(crate) action: Option<LogAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogAction {
    /// The newest writes
    List {
        #[command(flatten)]
        selection: LogSelection,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Every write as JSON Lines, the oldest first
    Export(LogSelection),
}

/// Which rows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LogSelection {
    /// Not older than this: a duration such as `24h`, or a time such as `2026-11-24T08:00:00Z`
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<crate::times::Since>,
    /// At one provider
    #[arg(long)]
    pub(crate) provider: Option<ProviderName>,
    /// About one object: id, externalId, userName or displayName
    #[arg(long, value_name = "ID")]
    pub(crate) object: Option<String>,
}
