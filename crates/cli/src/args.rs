//! The command line, and the help that teaches it.

mod add;
mod interfaces;
mod log;
mod withheld;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use scimfleet_core::ProviderName;

pub(crate) use add::{AddArgs, AuthKind};
pub(crate) use interfaces::{DeadAction, DeadArgs, EnqueueArgs, Scope, TokenAction, TokenArgs};
pub(crate) use log::{LogAction, LogArgs, LogSelection};
pub(crate) use withheld::{HoldsAction, HoldsArgs, LeaversArgs, OffboardArgs, ParkedAction, ParkedArgs};

/// Keeps the users and groups of a directory in step with every application that speaks SCIM 2.0.
#[derive(Debug, Parser)]
#[command(name = "scimfleet", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a run stopped on invalid data, \
4 something is held for approval.\n\nStart here: `scimfleet demo`, then `scimfleet apply --help`.")]
pub(crate) struct Arguments {
    /// Configuration file [default: scimfleet.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// More about what happens, on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document, with "v": 1
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All of it on one screen: are leavers out, which provider needs a person
    Status,
    /// Show everything at work, embedded, with a sample directory and a sample provider
    Demo(DemoArgs),
    /// All roles in one process
    Serve,
    /// The role that opens runs and cuts them into tasks; several share the work through a lease
    Scheduler,
    /// The role that sends; start as many as you need
    Worker,
    /// The role that serves the dashboard, the admin API and the directory's SCIM endpoint
    Console,
    /// Bring the database schema up to date
    Migrate,
    /// Create and update providers and mappings as a fleet file says
    Apply(ApplyArgs),
    /// Load users and groups into the directory
    Import(ImportArgs),
    /// Bring providers in step with the directory
    Sync(SyncArgs),
    /// Show what would be sent of one object to one provider, and why
    Preview(PreviewArgs),
    /// Show why an object has, or has not, got to the providers
    Explain(ExplainArgs),
    /// What ran
    Runs(RunsArgs),
    /// What the guard withheld
    Holds(HoldsArgs),
    /// Take every access of a user away now, and print an answer per provider
    Offboard(OffboardArgs),
    /// Whoever is to lose access and still has it
    Leavers(LeaversArgs),
    /// The applications
    Providers(ProvidersArgs),
    /// Objects at providers
    Links(LinksArgs),
    /// Objects that need a change before they are tried again
    Parked(ParkedArgs),
    /// Messages that nobody could work on
    Dead(DeadArgs),
    /// What was written to providers: one row for every write
    Log(LogArgs),
    /// Tokens for Scimfleet's own interfaces
    Token(TokenArgs),
    /// Publish a job, as any AMQP client would
    Enqueue(EnqueueArgs),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write a page for every command
    Man {
        /// A folder for the pages; without it the main page is printed
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the summary
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The fleet file
    #[arg(value_name = "FLEET.toml")]
    pub(crate) file: PathBuf,
    /// Show the difference, change nothing
    #[arg(long)]
    pub(crate) plan: bool,
    /// A base URL with another host leads to the same accounts: keep the links
    #[arg(long)]
    pub(crate) same_tenant: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ImportArgs {
    /// Read a directory where it lives, instead of files; a file of that name is `./authentik`
    #[command(subcommand)]
    pub(crate) source_kind: Option<ImportSource>,
    /// JSON Lines or CSV
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What the files are [default: by their names]
    #[arg(long, value_enum)]
    pub(crate) format: Option<ImportFormat>,
    /// Who brings them; a snapshot removes only what its own source brought
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// The files are everything: what they lack is removed, behind the guard
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// What identifies a line of a snapshot that has no externalId
    #[arg(long, value_enum)]
    pub(crate) key: Option<ImportKey>,
    /// With --snapshot: remove up to this many, whatever the guard says
    #[arg(long, value_name = "N")]
    pub(crate) allow_removals: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportSource {
    /// All users and groups of authentik, by its API
    Authentik(AuthentikArgs),
    /// All users and groups of a directory that speaks LDAP, as a [[source]] of the configuration says
    Ldap(LdapArgs),
}

/// Which authentik is meant.
#[derive(Debug, Args)]
pub(crate) struct WhichAuthentik {
    /// Its address [default: the [[source]] of kind `authentik`]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<url::Url>,
    /// A file with a token of its API
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) token_file: Option<PathBuf>,
    /// A PEM file with further certificate authorities
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The name of the source; what it brings belongs to it
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AuthentikArgs {
    #[command(flatten)]
    pub(crate) which: WhichAuthentik,
    /// Also write its SCIM providers, mappings and scopes down as a fleet file
    #[arg(long, value_name = "FILE")]
    pub(crate) write_fleet: Option<PathBuf>,
    /// Remove up to this many, whatever the guard says
    #[arg(long, value_name = "N")]
    pub(crate) allow_removals: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct LdapArgs {
    /// The name of the [[source]] [default: the only one of kind `ldap`]
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Remove up to this many, whatever the guard says
    #[arg(long, value_name = "N")]
    pub(crate) allow_removals: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    Jsonl,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportKey {
    #[value(name = "externalId")]
    ExternalId,
    #[value(name = "userName")]
    UserName,
}

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// Names of providers
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) providers: Vec<ProviderName>,
    /// Every provider
    #[arg(long)]
    pub(crate) all: bool,
    /// Show progress, wait for the end and print the report
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print what would be done; nothing is written anywhere
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// One object only: id, externalId, userName or displayName
    #[arg(long, value_name = "ID")]
    pub(crate) object: Option<String>,
    /// Count these as a failure (exit 1)
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) fail_on: Option<FailOn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Parked,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The provider
    pub(crate) provider: ProviderName,
    /// Id, externalId, userName or displayName
    pub(crate) object: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Id, externalId, userName or displayName
    pub(crate) object: String,
    /// One provider only
    pub(crate) provider: Option<ProviderName>,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) action: Option<RunsAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsAction {
    /// The newest runs
    List {
        /// Of one provider
        #[arg(long)]
        provider: Option<ProviderName>,
    },
    /// One run
    Show {
        /// Its id
        id: String,
        /// Show what it does until it ends; exit as `sync --wait` does
        #[arg(long)]
        follow: bool,
    },
    /// End a run early
    Cancel {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ProvidersArgs {
    #[command(subcommand)]
    pub(crate) action: Option<ProvidersAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProvidersAction {
    /// All of them
    List,
    /// Add one, as `apply` does; asks for what is missing on a terminal
    Add(Box<AddArgs>),
    /// One, with its profile and where each value comes from
    Show {
        /// Its name
        name: ProviderName,
    },
    /// Report what it announces, does and gets wrong, and the profile that follows
    Probe {
        /// Its name
        name: ProviderName,
        /// Also make and remove one marked user and one marked group there
        #[arg(long)]
        write: bool,
    },
    /// Send nothing until it is resumed; changes are kept
    Pause {
        /// Its name
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        name: Option<ProviderName>,
        /// Every provider
        #[arg(long)]
        all: bool,
    },
    /// Put it to work again
    Resume {
        /// Its name
        name: ProviderName,
    },
    /// Switch it off
    Disable {
        /// Its name
        name: ProviderName,
    },
    /// Link it again by what it shows, after its database came back from a backup
    ///
    /// Bring the directory up to date first (import, or let its sources push): whoever left since the backup
    /// must be gone from it. Reads only at the provider. Accounts that are gone or inactive there while the
    /// directory wants them active are parked as `unsafe`; everything else is compared by the next run.
    Reconcile {
        /// Its name
        name: ProviderName,
    },
    /// Seal a new token, read from standard input
    SetToken {
        /// Its name
        name: ProviderName,
    },
    /// Give it another name
    Rename {
        /// Its name
        from: ProviderName,
        /// Its new name
        to: ProviderName,
    },
    /// Forget it; its accounts stay as they are
    Remove {
        /// Its name
        name: ProviderName,
        /// Say that you know that its accounts stay
        #[arg(long, required = true)]
        leave_accounts: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LinksArgs {
    #[command(subcommand)]
    pub(crate) action: Option<LinksAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinksAction {
    /// Objects at a provider
    List {
        /// The provider
        #[arg(long)]
        provider: ProviderName,
        /// Only in this state
        #[arg(long)]
        state: Option<scimfleet_core::state::LinkState>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Take links over that another sync kept; each account is confirmed at the provider, nothing is sent
    Import(LinksImportArgs),
    /// Send the externalId that an object has now to its account, which keeps the old one otherwise
    Rekey {
        /// The provider
        provider: ProviderName,
        /// Id, externalId, userName or displayName
        object: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LinksImportArgs {
    /// The provider
    pub(crate) provider: ProviderName,
    /// JSON Lines or CSV with `kind`, `object` and `remote_id`
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub(crate) file: Option<PathBuf>,
    /// Ask whoever kept them
    #[arg(long, value_enum)]
    pub(crate) from: Option<LinksFrom>,
    #[command(flatten)]
    pub(crate) which: WhichAuthentik,
    /// The number of authentik's provider [default: by name, else by address]
    #[arg(long, value_name = "PK", requires = "from")]
    pub(crate) authentik_provider: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LinksFrom {
    Authentik,
}
