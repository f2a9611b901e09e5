//! The fleet file: providers and mappings, declared and kept in git.
//!
//! Reading resolves secrets from the environment and from files, and lists every mistake at once. It
//! never compiles an expression and never connects to a provider.

mod auth;
pub(crate) mod policy;
mod provider;
mod scope;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use scimfleet_core::ResourceKind;
use scimfleet_core::provider::{MappingText, ProviderSettings};
use secrecy::SecretString;

pub use self::wire::{check_mapping, leads_elsewhere, mapping_toml, provider_from_json};
use crate::mistake::{Mistake, Mistakes};
use crate::reading::{Document, Span, Table};

/// Mappings that are always there.
pub const BUILT_IN_MAPPINGS: [&str; 2] = ["10-user-default", "10-group-default"];

/// Every mistake of a fleet file.
pub type FleetErrors = Mistakes;

/// A fleet file is text that people write; a larger one is a wrong path.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a fleet file declares.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// In the order of the file.
    pub providers: Vec<FleetProvider>,
    /// In the order of the file.
    pub mappings: Vec<MappingText>,
    /// What works and should not stay so, as `file:line:column: message`.
    pub warnings: Vec<String>,
}

/// One `[[provider]]`.
#[derive(Debug, Clone)]
pub struct FleetProvider {
    /// Everything but the secret.
    pub settings: ProviderSettings,
    /// The token, password or client secret; `None` when the file names none, so that one set by
    /// other means stays.
    pub secret: Option<SecretString>,
}

/// What a fleet file may refer to.
#[derive(Debug, Clone, Default)]
pub struct FleetContext {
    /// For `{ env = "…" }`.
    pub environment: BTreeMap<String, String>,
    /// Where `{ file = "…" }` starts from; the folder of the fleet file.
    pub folder: PathBuf,
    /// Names of mappings that are stored already.
    pub stored_mappings: BTreeSet<String>,
    /// Names of curated profiles; when empty, any name passes.
    pub profiles: BTreeSet<String>,
}

impl Fleet {
    /// Reads the file at `path`. The context's folder is set to the file's.
    pub fn load(path: &Path, mut context: FleetContext) -> Result<Self, FleetErrors> {
        let name = path.display().to_string();
        let refuse = |what: String| Mistakes::from(Mistake::in_whole(name.clone(), what));
        let unreadable = |error: std::io::Error| refuse(format!("cannot be read: {error}"));
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(refuse("is larger than 4 MiB; is it a fleet file?".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        context.folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Self::parse(&name, &text, &context)
    }

    /// Reads a text; `file` is its name in messages.
    pub fn parse(file: &str, text: &str, context: &FleetContext) -> Result<Self, FleetErrors> {
        let document = Document::new(file, text);
        let root = document.parse();
        let table = Table::new(&document, "the fleet file", root.span(), root.get_ref());
        let mut reading = Reading { context, names: Names::default(), warnings: Vec::new() };
        let mappings: Vec<_> = table.tables("mapping").into_iter().filter_map(|table| reading.mapping(table)).collect();
        let providers: Vec<_> =
            table.tables("provider").into_iter().filter_map(|table| reading.provider(table)).collect();
        table.finish();
        let warnings = reading.warnings;
        Mistakes::check(document.into_mistakes())?;
        Ok(Self { providers, mappings, warnings })
    }
}

/// What is known while a file is being read.
struct Reading<'c> {
    context: &'c FleetContext,
    names: Names,
    warnings: Vec<String>,
}

/// Where each name was first seen, to tell a second one.
#[derive(Default)]
struct Names {
    providers: BTreeMap<String, usize>,
    mappings: BTreeMap<String, usize>,
}

impl Reading<'_> {
    fn mapping(&mut self, mut table: Table<'_, '_>) -> Option<MappingText> {
        let name = table.needed_text("name", "such as `50-department`");
        if let Some(name) = &name {
            table.rename(format!("mapping `{}`", name.value));
            check_mapping_name(&table, &name.value, name.span.clone());
            note_twice(&table, &mut self.names.mappings, &name.value, name.span.clone());
        }
        let resource: Option<ResourceKind> = if table.entry("resource").is_some() {
            table.word("resource", &["user", "group"])
        } else {
            table.note_lack("resource", "write `user` or `group`");
            None
        };
        let expression = table.needed_text("expression", "the body of a function that returns a dict");
        table.finish();
        Some(MappingText { name: name?.value, resource: resource?, expression: expression?.value })
    }

    fn knows_mapping(&self, name: &str) -> bool {
        self.names.mappings.contains_key(name)
            || BUILT_IN_MAPPINGS.contains(&name)
            || self.context.stored_mappings.contains(name)
    }

    fn warn(&mut self, document: &Document<'_>, span: &Span, message: &str) {
        self.warnings.push(format!("{}: {message}", document.place(span)));
    }
}

fn check_mapping_name(table: &Table<'_, '_>, name: &str, span: Span) {
    let fits = name.len() <= 128 && name.trim() == name && !name.chars().any(char::is_control);
    if !fits {
        let hint = Some("at most 128 bytes, without control characters and without blanks at its ends".to_owned());
        table.note_value("name", span, "is no name for a mapping", hint);
    } else if BUILT_IN_MAPPINGS.contains(&name) {
        let hint = Some("take another name, and list it in `mappings` of the provider in place of this one".to_owned());
        table.note_value("name", span, "is the name of a built-in mapping", hint);
    }
}

/// Refuses a name that was used before, naming the line of the first.
fn note_twice(table: &Table<'_, '_>, seen: &mut BTreeMap<String, usize>, name: &str, span: Span) {
    let (line, _) = table.document().position(span.start);
    if let Some(first) = seen.get(name) {
        let hint = Some("rename or remove one of the two".to_owned());
        table.note_value("name", span, format!("was used before, in line {first}"), hint);
    } else {
        seen.insert(name.to_owned(), line);
    }
}

#[cfg(test)]
mod tests;
