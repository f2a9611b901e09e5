//! `scimfleet.toml` and the environment: what a process needs to know before it can begin.
//!
//! `SCIMFLEET_<SECTION>_<KEY>` in the environment wins over the file; an empty variable counts as
//! unset, because container tools pass on what they do not have. Secrets come from the environment
//! only. Every mistake is listed at once. Nothing here connects anywhere.

mod layers;
mod source;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use self::layers::Layers;
pub use self::source::{AuthentikConfig, LdapConfig, LdapGroups, LdapUsers, SecretPlace, SourceConfig, SourceKind};
use crate::mistake::{Mistake, Mistakes};
use crate::redact::ServiceUrl;
use crate::schedule::Schedule;

/// The file that is read when none is named and it is there.
pub const DEFAULT_FILE: &str = "scimfleet.toml";

/// The key that seals secrets in the store: base64 of 32 bytes.
pub const SECRETS_KEY: &str = "SCIMFLEET_SECRETS_KEY";
/// A token with scope `admin`, for first use.
pub const ADMIN_TOKEN: &str = "SCIMFLEET_ADMIN_TOKEN";
/// A token with scope `directory`, for first use.
pub const DIRECTORY_TOKEN: &str = "SCIMFLEET_DIRECTORY_TOKEN";

/// A year and a month: long enough for an audit of last year.
const LOG_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// Every section of the file with its keys, in the order of the documents.
pub const KEYS: [(&str, &[&str]); 11] = [
    ("store", &["url"]),
    ("queue", &["url", "prefix"]),
    ("coordination", &["url"]),
    ("console", &["listen"]),
    ("scheduler", &["full_sync_every", "log_kept"]),
    ("worker", &["tasks_in_flight", "requests_in_flight", "leavers_reserved"]),
    ("egress", &["private", "loopback", "proxy"]),
    ("secrets", &["key_file"]),
    ("metrics", &["listen", "protected"]),
    ("telemetry", &["otlp"]),
    ("directory", &["overlays"]),
];

fn sections() -> impl Iterator<Item = (&'static str, &'static [&'static str])> + Clone {
    KEYS.iter().copied()
}

/// What a process was told. Showing it (`Debug`) reveals no secret.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the truth is kept.
    pub store: StoreConfig,
    /// How tasks travel.
    pub queue: QueueConfig,
    /// What makes the workers polite to one another.
    pub coordination: CoordinationConfig,
    /// The dashboard, the admin API and the directory's SCIM endpoint.
    pub console: ConsoleConfig,
    /// The scheduler.
    pub scheduler: SchedulerConfig,
    /// Each worker.
    pub worker: WorkerConfig,
    /// Where requests to providers may go.
    pub egress: EgressConfig,
    /// How secrets are sealed.
    pub secrets: SecretsConfig,
    /// The endpoint of a scheduler or worker.
    pub metrics: MetricsConfig,
    /// Where spans are sent.
    pub telemetry: TelemetryConfig,
    /// Who may write what.
    pub directory: DirectoryConfig,
    /// Directories that are read where they live.
    pub sources: Vec<SourceConfig>,
    /// From [`ADMIN_TOKEN`].
    pub admin_token: Option<SecretString>,
    /// From [`DIRECTORY_TOKEN`].
    pub directory_token: Option<SecretString>,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `sqlite://…` or `postgres://…`.
    pub url: ServiceUrl,
}

/// `[queue]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// `memory://` or `amqp://…`.
    pub url: ServiceUrl,
    /// The first part of every exchange's and queue's name.
    pub prefix: String,
}

/// `[coordination]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinationConfig {
    /// `memory://` or `redis://…`.
    pub url: ServiceUrl,
}

/// `[console]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleConfig {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// `[scheduler]`
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    /// For providers that name no schedule of their own.
    pub full_sync_every: Schedule,
    /// How long a row of the provisioning log is kept; `None` is for ever. The guard counts an hour of it.
    pub log_kept: Option<Duration>,
}

/// `[worker]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Tasks worked on at once. A task holds up to 100 resources in memory, hence the bound of 256.
    pub tasks_in_flight: u32,
    /// Requests under way at once, over all tasks; each may hold a connection and a file handle.
    pub requests_in_flight: u32,
    /// Of the tasks in flight, those that only take access away may use; fewer than all.
    pub leavers_reserved: u32,
}

/// `[egress]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressConfig {
    /// Whether private address ranges may be connected to.
    pub private: bool,
    /// Whether loopback may be connected to.
    pub loopback: bool,
    /// An HTTP proxy for every request to a provider.
    pub proxy: Option<ServiceUrl>,
}

/// `[secrets]`
#[derive(Debug, Clone)]
pub struct SecretsConfig {
    /// The file of the key; made with mode 0600 when embedded.
    pub key_file: PathBuf,
    /// From [`SECRETS_KEY`]; wins over the file. Checked to be base64 of 32 bytes.
    pub key: Option<SecretString>,
}

/// `[directory]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Sources such as `import:payroll` or `scim:okta` that may change what other sources brought. It stays
    /// theirs.
    pub overlays: Vec<String>,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where `/metrics`, `/healthz` and `/readyz` are served; `None` is off.
    pub listen: Option<SocketAddr>,
    /// Whether `/metrics` asks for a token of scope `metrics` or `admin`, on every role.
    pub protected: bool,
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// The base address of an OpenTelemetry collector that takes OTLP over HTTP; `None` is off.
    pub otlp: Option<ServiceUrl>,
}

impl Config {
    /// Reads `file`, or [`DEFAULT_FILE`] when it is there and none is named, and lays the
    /// environment over it.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Mistakes> {
        let path = file.unwrap_or_else(|| Path::new(DEFAULT_FILE));
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text, environment),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Self::parse(&name, "", environment)
            }
            Err(error) => {
                let mistake = Mistake::in_whole(name, format!("cannot be read: {error}"))
                    .hint("`--config` names a TOML file; without it every setting has a default");
                Err(mistake.into())
            }
        }
    }

    /// As [`Config::load`], with the text at hand; `file` is only its name in messages.
    pub fn parse(
        file: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Mistakes> {
        let layers = Layers::read(file, text, environment);
        let config = Self::from_layers(&layers);
        layers.finish()?;
        Ok(config)
    }

    fn from_layers(layers: &Layers) -> Self {
        Self {
            store: StoreConfig { url: layers.url("store", "url", "sqlite://scimfleet.db", values::STORE) },
            queue: QueueConfig {
                url: layers.url("queue", "url", "memory://", values::QUEUE),
                prefix: layers.prefix("queue", "prefix", "scimfleet"),
            },
            coordination: CoordinationConfig {
                url: layers.url("coordination", "url", "memory://", values::COORDINATION),
            },
            console: ConsoleConfig { listen: layers.listen("console", "listen", ([127, 0, 0, 1], 8686).into()) },
            scheduler: SchedulerConfig {
                full_sync_every: layers.schedule("scheduler", "full_sync_every", Duration::from_secs(3600)),
                log_kept: layers.kept("scheduler", "log_kept", LOG_KEPT),
            },
            worker: worker(layers),
            egress: EgressConfig {
                private: layers.flag("egress", "private", true),
                loopback: layers.flag("egress", "loopback", true),
                proxy: layers.optional_url("egress", "proxy", values::PROXY),
            },
            secrets: SecretsConfig {
                key_file: layers.path("secrets", "key_file", "scimfleet.key"),
                key: layers.sealing_key(SECRETS_KEY),
            },
            metrics: MetricsConfig {
                listen: layers.optional_listen("metrics", "listen"),
                protected: layers.flag("metrics", "protected", false),
            },
            telemetry: TelemetryConfig { otlp: layers.optional_url("telemetry", "otlp", values::OTLP) },
            directory: DirectoryConfig { overlays: layers.words("directory", "overlays") },
            sources: layers.sources().to_vec(),
            admin_token: layers.secret(ADMIN_TOKEN),
            directory_token: layers.secret(DIRECTORY_TOKEN),
        }
    }

    /// Whether every role must live in this process: tasks travel in memory.
    pub fn is_embedded(&self) -> bool {
        self.queue.url.scheme() == "memory"
    }
}

impl Default for Config {
    /// What holds when nothing is written anywhere: embedded, in the working folder.
    fn default() -> Self {
        Self::from_layers(&Layers::read(DEFAULT_FILE, "", []))
    }
}

fn worker(layers: &Layers) -> WorkerConfig {
    let tasks_in_flight = layers.count("worker", "tasks_in_flight", 8, 1..=256);
    // One task alone cannot be kept back: with a single one nothing is reserved unless asked for.
    let reserved = 1.min(tasks_in_flight - 1);
    WorkerConfig {
        tasks_in_flight,
        requests_in_flight: layers.count("worker", "requests_in_flight", 64, 1..=4096),
        leavers_reserved: layers.count("worker", "leavers_reserved", reserved, 0..=tasks_in_flight - 1),
    }
}

/// The process's environment, without what is not UTF-8; for handing to [`Config::load`].
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests;
