//! Printing: one JSON document for programs, tables for people.

use std::io::{ErrorKind, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::args::Format;
use crate::error::CliError;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints a JSON document that carries `"v": 1`, or a text for people.
    pub(crate) fn print(self, json: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        let text = match self.format {
            Format::Json => versioned(json)?,
            Format::Table => text(),
        };
        if text.is_empty() {
            return Ok(());
        }
        match writeln!(std::io::stdout(), "{text}") {
            // Whoever reads may have seen enough, as `head` has.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::failed(error)),
            _ => Ok(()),
        }
    }
}

fn versioned(json: &impl Serialize) -> Result<String, CliError> {
    let mut document = Map::new();
    document.insert("v".to_owned(), Value::from(1));
    if let Value::Object(fields) = serde_json::to_value(json).map_err(CliError::failed)? {
        document.extend(fields.into_iter().filter(|(name, _)| name != "v"));
    }
    serde_json::to_string(&document).map_err(CliError::failed)
}

/// A table with a heading line and no boxes.
pub(crate) fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(heading.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
