//! The file and the environment as one source of settings: each setting is a text with its origin.

use std::cell::RefCell;
use std::collections::BTreeMap;

use toml::de::DeValue;

use super::source::{self, SourceConfig};
use super::{ADMIN_TOKEN, DIRECTORY_TOKEN, SECRETS_KEY, sections};
use crate::mistake::{Mistake, Mistakes, nearest};
use crate::reading::{Document, Table, article};

/// The file's name in messages about the environment.
const ENVIRONMENT: &str = "environment";

/// What is set in the environment beside the settings: logs and secrets.
const OTHER_VARIABLES: [&str; 5] = [SECRETS_KEY, ADMIN_TOKEN, DIRECTORY_TOKEN, "SCIMFLEET_LOG", "SCIMFLEET_LOG_FORMAT"];

/// One setting, with what a mistake about it needs.
pub(super) struct Setting {
    pub(super) text: String,
    /// How messages call it: `` `store.url` `` or the name of its variable.
    name: String,
    file: String,
    position: Option<(usize, usize)>,
}

/// Every setting by `(section, key)`, and the mistakes so far.
pub(super) struct Layers {
    settings: BTreeMap<(&'static str, &'static str), Setting>,
    /// Variables that are no settings, by name.
    others: BTreeMap<&'static str, String>,
    sources: Vec<SourceConfig>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl Layers {
    /// Reads both layers; unknown keys and variables are noted.
    pub(super) fn read(file: &str, text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut layers = Self {
            settings: BTreeMap::new(),
            others: BTreeMap::new(),
            sources: Vec::new(),
            mistakes: RefCell::default(),
        };
        layers.read_file(file, text);
        for (name, value) in environment {
            if !value.trim().is_empty() {
                layers.read_variable(name, value);
            }
        }
        layers
    }

    fn read_file(&mut self, file: &str, text: &str) {
        let document = Document::new(file, text);
        let root = document.parse();
        let table = Table::new(&document, "the configuration", root.span(), root.get_ref());
        for (section, keys) in sections() {
            if let Some(mut inner) = table.table(section) {
                inner.rename(format!("[{section}]"));
                self.read_section(file, section, keys, &inner);
                if section == "secrets" {
                    refuse_secret(&inner);
                }
                inner.finish();
            }
        }
        self.sources = source::read(&table);
        table.finish();
        self.mistakes.get_mut().extend(document.into_mistakes());
    }

    fn read_section(&mut self, file: &str, section: &'static str, keys: &[&'static str], table: &Table<'_, '_>) {
        for key in keys {
            let Some(entry) = table.entry(key) else { continue };
            let text = match entry.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Boolean(flag) => flag.to_string(),
                other => {
                    let what = format!("expected a single value, found {}", article(other.type_str()));
                    table.note_value(key, entry.span(), what, None);
                    continue;
                }
            };
            let position = Some(table.document().position(entry.span().start));
            let setting = Setting { text, name: format!("`{section}.{key}`"), file: file.to_owned(), position };
            self.settings.insert((section, key), setting);
        }
    }

    fn read_variable(&mut self, name: String, value: String) {
        if let Some(known) = OTHER_VARIABLES.iter().find(|known| **known == name) {
            self.others.insert(known, value);
            return;
        }
        let known = sections().flat_map(|(section, keys)| keys.iter().map(move |key| (section, *key)));
        if let Some(at) = known.clone().find(|(section, key)| variable(section, key) == name) {
            let setting =
                Setting { text: value, name: format!("`{name}`"), file: ENVIRONMENT.to_owned(), position: None };
            self.settings.insert(at, setting);
            return;
        }
        if let Some(hint) = unknown_variable(&name) {
            let mistake = Mistake::in_whole(ENVIRONMENT, format!("unknown variable `{name}`"));
            self.mistakes.get_mut().push(mistake.hint(hint));
        }
    }

    /// Every `[[source]]`.
    pub(super) fn sources(&self) -> &[SourceConfig] {
        &self.sources
    }

    /// What is set for a key, if anything.
    pub(super) fn setting(&self, section: &'static str, key: &'static str) -> Option<&Setting> {
        debug_assert!(sections().any(|(known, keys)| known == section && keys.contains(&key)));
        self.settings.get(&(section, key))
    }

    /// The text of a variable that is no setting.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.others.get(name).map(String::as_str)
    }

    /// Refuses a setting; `what` must not repeat what may hold a password.
    pub(super) fn refuse(&self, setting: &Setting, what: impl AsRef<str>, hint: &str) {
        self.mistakes.borrow_mut().push(Mistake {
            file: setting.file.clone(),
            position: setting.position,
            message: format!("{}: {}", setting.name, what.as_ref()),
            hint: Some(hint.to_owned()),
        });
    }

    /// Refuses a variable that is no setting.
    pub(super) fn refuse_variable(&self, name: &str, what: &str, hint: &str) {
        self.mistakes.borrow_mut().push(Mistake::in_whole(ENVIRONMENT, format!("`{name}`: {what}")).hint(hint));
    }

    /// Everything was read: all mistakes, or none.
    pub(super) fn finish(self) -> Result<(), Mistakes> {
        Mistakes::check(self.mistakes.into_inner())
    }
}

/// The variable that stands for a key.
fn variable(section: &str, key: &str) -> String {
    format!("SCIMFLEET_{section}_{key}").to_uppercase()
}

/// Why a variable that is not known is a mistake, as a hint; `None` when it is somebody else's.
fn unknown_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix("SCIMFLEET_").filter(|_| !is_service_link(name))?;
    // Only the part after the common prefix counts, or every variable would be near to another.
    let known: Vec<String> = sections()
        .flat_map(|(section, keys)| keys.iter().map(move |key| variable(section, key)))
        .chain(OTHER_VARIABLES.iter().map(|name| (*name).to_owned()))
        .collect();
    let short = known.iter().filter_map(|name| name.strip_prefix("SCIMFLEET_"));
    if let Some(near) = nearest(rest, short) {
        return Some(format!("did you mean `SCIMFLEET_{near}`?"));
    }
    let (section, keys) = sections().find(|(section, _)| name.starts_with(&variable(section, "")))?;
    let names: Vec<String> = keys.iter().map(|key| variable(section, key)).collect();
    Some(format!("known: {}", names.join(", ")))
}

/// Kubernetes sets such variables for a service that is called `scimfleet-console`.
fn is_service_link(name: &str) -> bool {
    sections().any(|(section, _)| {
        name.strip_prefix(&variable(section, ""))
            .is_some_and(|rest| rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_"))
    })
}

fn refuse_secret(table: &Table<'_, '_>) {
    if let Some(entry) = table.entry("key") {
        let hint = Some(format!("set {SECRETS_KEY}, or name a file by `key_file`"));
        table.note_value("key", entry.span(), "is never read from a file", hint);
    }
}
