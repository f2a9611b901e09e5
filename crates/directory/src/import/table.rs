//! CSV: a header row, then one user a record (RFC 4180; contract §4).

use std::fs::File;
use std::io::BufReader;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use scimfleet_core::ResourceKind;
use scimfleet_core::scim::resource::{Document, ENTERPRISE_URN};
use scimfleet_store::{IncomingResource, Password};
use serde_json::{Value, json};

use super::Key;
use super::batch::{Batch, Entry, FileEnd, LINE_BYTES_MAX};
use super::reader::lacks;
use super::watched::{Watch, Watched};

/// What a column means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    /// An attribute of that name.
    Plain(&'static str),
    /// A part of `name`.
    Name(&'static str),
    /// The enterprise extension's.
    Department,
    Manager,
    Email,
    Active,
    Groups,
    Password,
    /// Anything else, kept for mappings.
    Free(String),
}

/// Reads CSV.
pub(super) struct TableReader {
    records: csv::Reader<Watched>,
    watch: Watch,
    columns: Vec<Column>,
    key_column: [Option<usize>; 2],
}

/// What the file held next.
enum Next {
    Record,
    NotText,
    End,
    TooLong,
}

impl TableReader {
    /// Reads the header row.
    pub(super) fn new(file: BufReader<File>) -> Result<Self, String> {
        let (watched, watch) = Watched::new(file);
        let mut records = ReaderBuilder::new().flexible(true).has_headers(true).trim(Trim::All).from_reader(watched);
        let header = records.headers().map_err(|error| format!("its header row cannot be read ({})", words(&error)))?;
        let columns: Vec<Column> = header.iter().map(column).collect();
        let position = |name: &str| columns.iter().position(|column| *column == Column::Plain(name_of(name)));
        let key_column = [position("externalId"), position("userName")];
        if key_column == [None, None] {
            return Err("its first row is no header: it names neither `userName` nor `externalId`".to_owned());
        }
        let mut names: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("its header names the column `{}` twice", twice[0]));
        }
        if names.first().is_some_and(String::is_empty) {
            return Err("its header has a column without a name".to_owned());
        }
        Ok(Self { records, watch, columns, key_column })
    }

    pub(super) fn run(mut self, key: Option<Key>, hand_on: &mut impl FnMut(Batch) -> bool) -> std::io::Result<FileEnd> {
        let mut batch = Batch::default();
        // One record is held back: only the next one, or the file's end, shows whether it is whole.
        let mut held: Option<(u64, StringRecord)> = None;
        let mut bytes_before = 0;
        let end = loop {
            let mut record = StringRecord::new();
            let next = self.next(&mut record)?;
            let line = self.watch.line();
            if !matches!(next, Next::End)
                && let Some((line, record)) = held.take()
            {
                self.take(&mut batch, line, &record, key);
            }
            match next {
                Next::Record => held = Some((line, record)),
                Next::NotText => batch.reject(line, "not UTF-8", None),
                Next::End => break self.end(&mut batch, held, key),
                Next::TooLong => {
                    let limit = LINE_BYTES_MAX / 1024 / 1024;
                    break FileEnd::CutOff {
                        line,
                        reason: format!("a record longer than {limit} MiB; an open quote?"),
                    };
                }
            }
            batch.lines += 1;
            let bytes = self.records.position().byte();
            batch.bytes = bytes - bytes_before;
            if batch.is_full() {
                batch.bytes_read = bytes;
                bytes_before = bytes;
                if !hand_on(std::mem::take(&mut batch)) {
                    return Ok(FileEnd::Whole);
                }
            }
        };
        batch.bytes_read = self.watch.bytes();
        hand_on(batch);
        Ok(end)
    }

    fn next(&mut self, record: &mut StringRecord) -> std::io::Result<Next> {
        self.watch.begin(self.records.position().byte());
        match self.records.read_record(record) {
            Ok(true) => Ok(Next::Record),
            Ok(false) => Ok(Next::End),
            Err(_) if self.watch.is_too_long() => Ok(Next::TooLong),
            Err(error) => match error.into_kind() {
                ErrorKind::Io(error) => Err(error),
                _ => Ok(Next::NotText),
            },
        }
    }

    /// The file's end shows whether its last record is whole.
    fn end(&self, batch: &mut Batch, held: Option<(u64, StringRecord)>, key: Option<Key>) -> FileEnd {
        let Some((line, record)) = held else { return FileEnd::Whole };
        if self.watch.quote_is_open() {
            return FileEnd::CutOff { line, reason: "a quoted field never ends".to_owned() };
        }
        if record.len() < self.columns.len() && !self.watch.line_has_ended() {
            return FileEnd::CutOff { line, reason: "the last record is no whole one".to_owned() };
        }
        self.take(batch, line, &record, key);
        FileEnd::Whole
    }

    fn take(&self, batch: &mut Batch, line: u64, record: &StringRecord, required: Option<Key>) {
        let cell = |column: Option<usize>| column.and_then(|at| record.get(at)).filter(|text| !text.is_empty());
        let key = required.and_then(|key| cell(self.key_column[usize::from(key == Key::UserName)])).map(str::to_owned);
        if record.len() != self.columns.len() {
            // Its cells may have moved: what stands in the key's place need not be the key.
            let reason = format!("{} fields, the header has {}", record.len(), self.columns.len());
            return batch.reject(line, reason, None);
        }
        if let (Some(required), None) = (required, &key) {
            return batch.reject(line, lacks(required), None);
        }
        match self.read(record) {
            Err(reason) => batch.reject(line, reason, key),
            Ok((attributes, groups, password)) => {
                let kind = ResourceKind::User;
                let resource = IncomingResource { kind, id: None, attributes, members: None, password };
                batch.entries.push(Entry { line, key, resource, groups });
            }
        }
    }

    fn read(&self, record: &StringRecord) -> Result<Read, String> {
        let mut row = Row::default();
        for (column, cell) in self.columns.iter().zip(record) {
            let value = if cell.is_empty() { Value::Null } else { Value::from(cell) };
            let whole = |whole: Value| if cell.is_empty() { Value::Null } else { whole };
            match column {
                Column::Plain(name) => row.user.insert((*name).to_owned(), value),
                Column::Name(name) => row.name.insert((*name).to_owned(), value),
                Column::Free(name) => row.free.insert(name.clone(), value),
                Column::Department => row.enterprise.insert("department".to_owned(), value),
                Column::Manager => row.enterprise.insert("manager".to_owned(), whole(json!({ "value": cell }))),
                Column::Email => {
                    let emails = json!([{ "value": cell, "type": "work", "primary": true }]);
                    row.user.insert("emails".to_owned(), whole(emails))
                }
                Column::Active => row.user.insert("active".to_owned(), truth(cell)?),
                Column::Groups => {
                    let names = cell.split(';').map(str::trim).filter(|name| !name.is_empty());
                    row.groups = Some(names.map(str::to_owned).collect());
                    None
                }
                Column::Password => {
                    row.password = (!cell.is_empty()).then(|| Password::new(cell));
                    None
                }
            };
        }
        Ok(row.into_user())
    }
}

/// A row in the making: attributes, and the objects that some of them stand in.
#[derive(Default)]
struct Row {
    user: Document,
    name: Document,
    enterprise: Document,
    free: Document,
    groups: Option<Vec<String>>,
    password: Option<Password>,
}

/// Attributes, groups and password of a row.
type Read = (Document, Option<Vec<String>>, Option<Password>);

impl Row {
    fn into_user(self) -> Read {
        let mut user = self.user;
        for (name, object) in [("name", self.name), (ENTERPRISE_URN, self.enterprise), ("attributes", self.free)] {
            if !object.is_empty() {
                user.insert(name.to_owned(), Value::Object(object));
            }
        }
        (user, self.groups, self.password)
    }
}

/// Truth values as spreadsheets write them.
fn truth(cell: &str) -> Result<Value, String> {
    match cell.to_ascii_lowercase().as_str() {
        "" => Ok(Value::Null),
        "true" | "1" | "yes" => Ok(Value::Bool(true)),
        "false" | "0" | "no" => Ok(Value::Bool(false)),
        _ => Err("`active` is not true or false".to_owned()),
    }
}

/// Columns that hold attributes as they are.
const PLAIN: [&str; 4] = ["userName", "displayName", "externalId", "title"];

fn name_of(name: &str) -> &'static str {
    PLAIN.into_iter().find(|known| *known == name).unwrap_or_default()
}

fn column(header: &str) -> Column {
    if let Some(known) = PLAIN.into_iter().find(|known| known.eq_ignore_ascii_case(header)) {
        return Column::Plain(known);
    }
    match header.to_ascii_lowercase().as_str() {
        "givenname" => Column::Name("givenName"),
        "familyname" => Column::Name("familyName"),
        "department" => Column::Department,
        "manager" => Column::Manager,
        "email" => Column::Email,
        "active" => Column::Active,
        "groups" => Column::Groups,
        "password" => Column::Password,
        _ => Column::Free(header.to_owned()),
    }
}

/// Words for an error of the header row, without its content.
fn words(error: &csv::Error) -> &'static str {
    match error.kind() {
        ErrorKind::Utf8 { .. } => "not UTF-8",
        _ => "not CSV",
    }
}
