//! Reads TOML tables key by key and notes every mistake with its place, instead of stopping at the
//! first as a derived reader does. It interprets nothing: what a key means is its caller's business.

use std::cell::{Cell, RefCell};
use std::ops::{Range, RangeInclusive};

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::{Mistake, suggest};

/// Where something stands: bytes from the start of the file.
pub(crate) type Span = Range<usize>;

/// One file being read, and the mistakes found so far.
pub(crate) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    mistakes: RefCell<Vec<Mistake>>,
    /// A syntax error was found: what seems missing or misplaced may only follow from it.
    broken: Cell<bool>,
}

impl<'t> Document<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, mistakes: RefCell::default(), broken: Cell::new(false) }
    }

    /// The tables of the file; syntax errors are noted, and what could be read goes on to be checked.
    pub(crate) fn parse(&self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let (what, hint) = match error.message().split_once(", expected ") {
                Some((what, wanted)) => (what, Some(format!("expected {wanted}"))),
                None => (error.message(), None),
            };
            self.note(error.span().unwrap_or(0..0), format!("not valid TOML: {what}"), hint);
            self.broken.set(true);
        }
        table
    }

    /// Line and column of a byte offset, both from 1; columns count characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Adds a mistake at `span`.
    pub(crate) fn note(&self, span: Span, message: String, hint: Option<String>) {
        let position = Some(self.position(span.start));
        self.mistakes.borrow_mut().push(Mistake { file: self.file.to_owned(), position, message, hint });
    }

    /// `file:line:column` of a span, for warnings.
    pub(crate) fn place(&self, span: &Span) -> String {
        let (line, column) = self.position(span.start);
        format!("{}:{line}:{column}", self.file)
    }

    pub(crate) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }
}

/// One table of the file. Every key that is asked for counts as known; [`Table::finish`] refuses the rest.
pub(crate) struct Table<'d, 't> {
    document: &'d Document<'t>,
    /// What the table is called in messages, as ``provider `acme` ``.
    place: String,
    span: Span,
    entries: &'d DeTable<'t>,
    known: RefCell<Vec<&'static str>>,
}

/// A value together with its place.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<'d, 't> Table<'d, 't> {
    pub(crate) fn new(
        document: &'d Document<'t>,
        place: impl Into<String>,
        span: Span,
        entries: &'d DeTable<'t>,
    ) -> Self {
        Self { document, place: place.into(), span, entries, known: RefCell::default() }
    }

    /// Gives the table the name by which messages call it.
    pub(crate) fn rename(&mut self, place: impl Into<String>) {
        self.place = place.into();
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn document(&self) -> &'d Document<'t> {
        self.document
    }

    /// The value of a key, unread.
    pub(crate) fn entry(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.known.borrow_mut().push(key);
        self.entries.get(key)
    }

    /// Every key with its place and value, in the order of the file.
    pub(crate) fn entries(&self) -> Vec<(&'d str, Span, &'d Spanned<DeValue<'t>>)> {
        let mut entries: Vec<_> =
            self.entries.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    /// Adds the mistake that this table lacks a key.
    pub(crate) fn note_lack(&self, key: &str, hint: &str) {
        if !self.document.broken.get() {
            let message = format!("{} lacks `{key}`", self.place);
            self.document.note(self.span.clone(), message, Some(hint.to_owned()));
        }
    }

    /// Adds a mistake about one of its values: `` `key` of <place>: what``.
    pub(crate) fn note_value(&self, key: &str, span: Span, what: impl AsRef<str>, hint: Option<String>) {
        self.document.note(span, format!("`{key}` of {}: {}", self.place, what.as_ref()), hint);
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let what = format!("expected {wanted}, found {}", article(value.get_ref().type_str()));
        self.note_value(key, value.span(), what, None);
    }

    /// A text.
    pub(crate) fn text(&self, key: &'static str) -> Option<Located<String>> {
        let entry = self.entry(key)?;
        match entry.get_ref().as_str() {
            Some(text) => Some(Located { value: text.to_owned(), span: entry.span() }),
            None => {
                self.wrong_type(key, entry, "a text");
                None
            }
        }
    }

    /// A text without which the table is useless.
    pub(crate) fn needed_text(&self, key: &'static str, hint: &str) -> Option<Located<String>> {
        if !self.entries.contains_key(key) {
            self.known.borrow_mut().push(key);
            self.note_lack(key, hint);
            return None;
        }
        let found = self.text(key)?;
        if found.value.trim().is_empty() {
            self.note_value(key, found.span, "is empty", Some(hint.to_owned()));
            return None;
        }
        Some(found)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let entry = self.entry(key)?;
        let found = entry.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(key, entry, "true or false");
        }
        found
    }

    /// A whole number within `range`.
    pub(crate) fn count(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let entry = self.entry(key)?;
        let Some(number) = entry.get_ref().as_integer() else {
            self.wrong_type(key, entry, "a whole number");
            return None;
        };
        let found = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|count| range.contains(count));
        if found.is_none() {
            let what = format!("expected a number from {} to {}, found {number}", range.start(), range.end());
            self.note_value(key, entry.span(), what, None);
        }
        found
    }

    /// A list of texts, each with its place.
    pub(crate) fn list(&self, key: &'static str) -> Option<Vec<Located<String>>> {
        let entry = self.entry(key)?;
        let Some(items) = entry.get_ref().as_array() else {
            self.wrong_type(key, entry, "a list of texts");
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Located { value: text.to_owned(), span: item.span() }),
                None => self.wrong_type(key, item, "a list of texts"),
            }
        }
        Some(texts)
    }

    /// A table inside this one.
    pub(crate) fn table(&self, key: &'static str) -> Option<Table<'d, 't>> {
        let entry = self.entry(key)?;
        match entry.get_ref().as_table() {
            Some(entries) => {
                Some(Table::new(self.document, format!("`{key}` of {}", self.place), entry.span(), entries))
            }
            None => {
                self.wrong_type(key, entry, "a table");
                None
            }
        }
    }

    /// Repeated tables, `[[key]]`.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Table<'d, 't>> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Some(items) = entry.get_ref().as_array() else {
            let hint = Some(format!("write `[[{key}]]` above each of them"));
            self.document.note(entry.span(), format!("`{key}` must be a list of tables"), hint);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(entries) => tables.push(Table::new(self.document, key, item.span(), entries)),
                None => self.wrong_type(key, item, "a table"),
            }
        }
        tables
    }

    /// One of `words`, turned into the type that spells them so.
    pub(crate) fn word<T: DeserializeOwned>(&self, key: &'static str, words: &[&str]) -> Option<T> {
        let found = self.text(key)?;
        self.as_word(key, &found, words)
    }

    /// A text that must be one of `words`.
    pub(crate) fn as_word<T: DeserializeOwned>(&self, key: &str, found: &Located<String>, words: &[&str]) -> Option<T> {
        let typed = serde_json::from_value(Value::String(found.value.clone())).ok();
        if typed.is_none() || !words.contains(&found.value.as_str()) {
            let what = format!("unknown word `{}`", found.value);
            self.note_value(key, found.span.clone(), what, Some(suggest(&found.value, words)));
            return None;
        }
        typed
    }

    /// Refuses every key that was never asked for.
    pub(crate) fn finish(self) {
        let known = self.known.borrow();
        for (key, span, _) in self.entries() {
            if !known.contains(&key) && !self.document.broken.get() {
                let message = format!("unknown key `{key}` in {}", self.place);
                self.document.note(span, message, Some(suggest(key, &known)));
            }
        }
    }
}

pub(crate) fn article(kind: &str) -> String {
    match kind {
        "integer" | "array" => format!("an {kind}"),
        "string" => "a text".to_owned(),
        _ => format!("a {kind}"),
    }
}

/// The value as JSON; dates become texts, numbers beyond JSON become null.
pub(crate) fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(number) => {
            number.as_str().parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| to_json(item.get_ref())).collect()),
        DeValue::Table(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())))
                .collect::<Map<_, _>>(),
        ),
    }
}
