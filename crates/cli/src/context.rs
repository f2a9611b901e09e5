//! What every command starts from: configuration, output, and the database when it is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use scimfleet_core::ProviderName;
use scimfleet_core::ports::Queue;
use scimfleet_core::provider::MappingText;
use scimfleet_expression::{Evaluator, EvaluatorConfig, default_mappings};
use scimfleet_runtime::logs::LogOptions;
use scimfleet_runtime::{Config, Telemetry, config};
use scimfleet_store::{ProviderRow, ResourceRow, Sealer, Store, StoreOptions};
use tracing::level_filters::LevelFilter;

use crate::args::{Arguments, Command};
use crate::error::CliError;
use crate::output::Output;

/// The lease that `serve` holds on a SQLite file (R9).
pub(crate) const SERVE_LEASE: &str = "serve";

/// What a command has at hand.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) config: Arc<Config>,
    pub(crate) output: Output,
    /// Where spans are sent, if anywhere.
    pub(crate) telemetry: Option<Telemetry>,
}

impl Context {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, CliError> {
        let role = matches!(
            arguments.command,
            Command::Serve | Command::Scheduler | Command::Worker | Command::Console | Command::Migrate
        );
        let quietest = if role { LevelFilter::INFO } else { LevelFilter::ERROR };
        let logs = LogOptions::new(arguments.verbose, quietest, config::environment()).map_err(CliError::usage)?;
        let file: Option<PathBuf> = match &arguments.config {
            Some(file) => Some(file.clone()),
            None => Some(PathBuf::from(config::DEFAULT_FILE)).filter(|file| file.exists()),
        };
        // What is made from the command line itself must not fail on a configuration that is being written.
        let config = match arguments.command {
            Command::Completions { .. } | Command::Man { .. } => Config::default(),
            _ => Config::load(file.as_deref(), config::environment())?,
        };
        let telemetry = config.telemetry.otlp.as_ref().map(Telemetry::new).transpose().map_err(CliError::usage)?;
        logs.install(telemetry.as_ref()).map_err(CliError::usage)?;
        Ok(Self { config: Arc::new(config), output: Output::new(arguments.output), telemetry })
    }

    /// The same with another configuration: for the demo.
    pub(crate) fn with_config(&self, config: Config) -> Self {
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// Opens the database, brings its schema up to date and sees to the built-in mappings.
    pub(crate) async fn store(&self) -> Result<Store, CliError> {
        let options = StoreOptions::new(self.config.store.url.expose());
        let plain = Store::connect(&options, None).await?;
        plain.migrate().await?;
        let sealer = self.sealer(&plain).await?;
        plain.close().await;
        let overlays = self.config.directory.overlays.clone();
        let store = Store::connect(&options, sealer).await?.with_overlays(overlays);
        for mapping in default_mappings() {
            let text =
                MappingText { name: mapping.name, resource: mapping.kind, expression: mapping.source.to_string() };
            store.put_mapping(&text, "builtin").await?;
        }
        Ok(store)
    }

    /// The sealing key: from the environment, else from the key file, which is made when the database is a
    /// file of this machine and holds no sealed row yet (R34).
    async fn sealer(&self, store: &Store) -> Result<Option<Sealer>, CliError> {
        let secrets = &self.config.secrets;
        if let Some(key) = &secrets.key {
            return Ok(Some(Sealer::from_base64(key).map_err(CliError::usage)?));
        }
        let may_create = store.is_embedded() && !store.has_secrets().await?;
        if !store.is_embedded() && !secrets.key_file.exists() {
            return Ok(None);
        }
        Ok(Some(Sealer::from_file(&secrets.key_file, may_create).map_err(CliError::usage)?))
    }

    /// Connects to the broker.
    pub(crate) async fn queue(&self) -> Result<Arc<dyn Queue>, CliError> {
        let queue = &self.config.queue;
        Ok(scimfleet_queue::connect(queue.url.expose(), &queue.prefix).await?)
    }

    /// Evaluates expressions in children of this program, one for each processor.
    pub(crate) fn evaluator(&self) -> Result<Evaluator, CliError> {
        let children = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Evaluator::new(EvaluatorConfig::own_program(children).map_err(CliError::failed)?))
    }

    /// Whether a command does the work itself: the queue lives in a process, and no `serve` has it (R9).
    pub(crate) async fn works_alone(&self, store: &Store) -> Result<bool, CliError> {
        Ok(self.config.is_embedded() && store.lease_holder(SERVE_LEASE).await?.is_none())
    }
}

/// One provider by name, or what to do about its absence.
pub(crate) async fn provider(store: &Store, name: &ProviderName) -> Result<ProviderRow, CliError> {
    store
        .provider(name)
        .await?
        .ok_or_else(|| CliError::usage(format!("there is no provider `{name}`; `scimfleet providers list` shows them")))
}

/// One object by id, externalId, userName or displayName.
pub(crate) async fn object(store: &Store, reference: &str) -> Result<ResourceRow, CliError> {
    let mut found = store.find_resources(reference).await?;
    match found.len() {
        0 => Err(CliError::usage(format!(
            "the directory has no object `{reference}` (by id, externalId, userName or displayName)"
        ))),
        1 => Ok(found.remove(0)),
        _ => Err(CliError::usage(format!("`{reference}` fits more than one object; name it by id or externalId"))),
    }
}
