//! What a process says while it works, on stderr: sentences for a person at a terminal, one JSON
//! object a line for everything else. Stdout belongs to results.
//!
//! Texts are fixed and what varies is a field. Bodies and tokens never become fields.

mod json;

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};

use self::json::JsonLayer;
use crate::trace::Telemetry;

/// The filter that wins over `-v`, as `debug` or `warn,scimfleet_worker=trace`.
pub const FILTER_VARIABLE: &str = "SCIMFLEET_LOG";
/// `json` or `text`; without it a terminal gets text.
pub const FORMAT_VARIABLE: &str = "SCIMFLEET_LOG_FORMAT";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// A filter in the notation of `tracing`.
    pub filter: String,
    /// Whether text is coloured.
    pub colour: bool,
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// [`FORMAT_VARIABLE`] is neither.
    #[error("environment: `SCIMFLEET_LOG_FORMAT`: `{0}` is no format (write `json` or `text`)")]
    Format(String),
    /// [`FILTER_VARIABLE`] cannot be read.
    #[error(
        "environment: `SCIMFLEET_LOG`: `{filter}` is no filter: {reason} (write `debug` or `warn,scimfleet_worker=trace`)"
    )]
    Filter {
        /// The text.
        filter: String,
        /// What the parser said.
        reason: String,
    },
    /// Somebody set up logs before.
    #[error("logs were set up before")]
    Again,
}

impl LogOptions {
    /// From the number of `-v`, the level without any, and the environment.
    pub fn new(
        verbosity: u8,
        quietest: LevelFilter,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, LogError> {
        let terminal = std::io::stderr().is_terminal();
        let (mut filter, mut format, mut plain) = (None, None, false);
        for (name, value) in environment.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            match name.as_str() {
                FILTER_VARIABLE => filter = Some(value),
                FORMAT_VARIABLE => format = Some(parse_format(&value)?),
                // The convention of no-color.org.
                "NO_COLOR" => plain = true,
                _ => {}
            }
        }
        let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
        let filter = filter.unwrap_or_else(|| default_filter(verbosity, quietest));
        Ok(Self { format, filter, colour: terminal && !plain })
    }

    /// Sets up the logs of this process, and the export of its spans if there is any; once.
    pub fn install(&self, telemetry: Option<&Telemetry>) -> Result<(), LogError> {
        let filter = EnvFilter::try_new(&self.filter)
            .map_err(|error| LogError::Filter { filter: self.filter.clone(), reason: error.to_string() })?;
        let output: Box<dyn Layer<Registry> + Send + Sync> = match self.format {
            LogFormat::Json => JsonLayer::new(std::io::stderr).boxed(),
            LogFormat::Text => {
                fmt::layer().with_writer(std::io::stderr).with_ansi(self.colour).with_target(false).boxed()
            }
        };
        let filtered = output.with_filter(filter.and(filter_fn(is_discreet)));
        // What is exported does not depend on how much is logged.
        let spans = telemetry.map(|telemetry| telemetry.layer().with_filter(filter_fn(is_ours)));
        tracing_subscriber::registry().with(filtered).with(spans).try_init().map_err(|_| LogError::Again)
    }
}

/// At TRACE the libraries below us write out what they send, tokens included. The broker's client writes
/// out returned messages at any level, and whatever goes wrong there comes to us as an error anyway.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().starts_with("scimfleet");
    ours || *metadata.level() <= Level::DEBUG && !metadata.target().starts_with("lapin")
}

/// Spans of ours, from the directory to the provider; a library's would only repeat them.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("scimfleet") && *metadata.level() <= Level::DEBUG
}

fn parse_format(text: &str) -> Result<LogFormat, LogError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(LogError::Format(text.to_owned())),
    }
}

/// Our own crates at the level that was asked for, libraries only when something is wrong.
fn default_filter(verbosity: u8, quietest: LevelFilter) -> String {
    match verbosity {
        0 => format!("{},scimfleet={quietest}", quietest.min(LevelFilter::WARN)).to_lowercase(),
        1 => "warn,scimfleet=debug".to_owned(),
        2 => "info,scimfleet=trace".to_owned(),
        _ => "debug,scimfleet=trace".to_owned(),
    }
}

#[cfg(test)]
mod tests;
