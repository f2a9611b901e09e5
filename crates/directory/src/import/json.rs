//! JSON Lines: one SCIM resource a line (contract §4).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use scimfleet_core::scim::resource::{Document, GROUP_URN, USER_URN};
use scimfleet_core::{ResourceId, ResourceKind};
use scimfleet_store::{IncomingResource, Password};
use serde_json::Value;

use super::Key;
use super::batch::{Batch, Entry, FileEnd, LINE_BYTES_MAX};
use super::reader::lacks;

/// Attributes that we look at by name: SCIM's names know no case (RFC 7643 §2.1), ours do.
const KNOWN: [&str; 12] = [
    "userName",
    "displayName",
    "externalId",
    "id",
    "active",
    "members",
    "schemas",
    "meta",
    "groups",
    "password",
    "resourceType",
    "attributes",
];

/// Reads JSON Lines.
pub(super) struct JsonReader {
    file: BufReader<File>,
}

/// One line of the file as it was found.
enum Line {
    Whole,
    /// The file ended without a line end.
    Last,
    TooLong,
    End,
}

impl JsonReader {
    pub(super) fn new(file: BufReader<File>) -> Self {
        Self { file }
    }

    pub(super) fn run(mut self, key: Option<Key>, hand_on: &mut impl FnMut(Batch) -> bool) -> std::io::Result<FileEnd> {
        let mut batch = Batch::default();
        let (mut text, mut number, mut bytes_read) = (Vec::new(), 0, 0);
        let end = loop {
            let found = self.next_line(&mut text, &mut batch.bytes)?;
            number += 1;
            match found {
                Line::End => break FileEnd::Whole,
                Line::TooLong => {
                    batch.reject(number, format!("longer than {} MiB", LINE_BYTES_MAX / 1024 / 1024), None);
                }
                Line::Last if serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_err() => {
                    break FileEnd::CutOff { line: number, reason: "the last line is no whole JSON object".to_owned() };
                }
                Line::Whole if text.iter().all(u8::is_ascii_whitespace) => continue,
                Line::Whole | Line::Last => take(&mut batch, number, &text, key),
            }
            batch.lines += 1;
            if batch.is_full() {
                bytes_read += batch.bytes;
                batch.bytes_read = bytes_read;
                if !hand_on(std::mem::take(&mut batch)) {
                    return Ok(FileEnd::Whole);
                }
            }
        };
        batch.bytes_read = bytes_read + batch.bytes;
        hand_on(batch);
        Ok(end)
    }

    /// Reads a line without its end into `text`; the rest of one that is too long is passed over.
    fn next_line(&mut self, text: &mut Vec<u8>, bytes: &mut u64) -> std::io::Result<Line> {
        text.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = self.file.by_ref().take(limit).read_until(b'\n', text)?;
        *bytes += read as u64;
        if read == 0 {
            return Ok(Line::End);
        }
        if text.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(Line::Whole);
        }
        if read as u64 == limit {
            text.clear();
            text.shrink_to(0);
            *bytes += self.file.skip_until(b'\n')? as u64;
            return Ok(Line::TooLong);
        }
        let blank = text.iter().all(u8::is_ascii_whitespace);
        Ok(if blank { Line::End } else { Line::Last })
    }
}

/// Whether a line would be taken, and the reason why not. Nothing is loaded.
pub fn check_line(text: &[u8]) -> Result<(), String> {
    let mut batch = Batch::default();
    take(&mut batch, 1, text, None);
    batch.rejected.pop().map_or(Ok(()), |bad| Err(bad.reason))
}

fn take(batch: &mut Batch, line: u64, text: &[u8], required: Option<Key>) {
    let document = match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(document)) => document,
        Ok(_) => return batch.reject(line, "no JSON object", None),
        Err(error) if error.is_data() => return batch.reject(line, "no JSON object", None),
        Err(error) => {
            let column = error.column();
            return batch.reject(line, format!("no JSON: syntax error at column {column}"), None);
        }
    };
    let mut document = known_names(document);
    let key = key_of(&document, required);
    match read(&mut document) {
        Err(reason) => batch.reject(line, reason, key),
        Ok(_) if required.is_some() && key.is_none() => {
            batch.reject(line, lacks(required.unwrap_or_default()), None);
        }
        Ok(resource) => batch.entries.push(Entry { line, key, resource, groups: None }),
    }
}

/// Spells known names as we do. What stands among the free attributes is nobody's password and is dropped.
fn known_names(document: Document) -> Document {
    let mut renamed = Document::with_capacity(document.len());
    for (name, mut value) in document {
        let known = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(&name));
        if let (Some(&"attributes"), Some(inner)) = (known, value.as_object_mut()) {
            inner.retain(|name, _| !name.eq_ignore_ascii_case("password"));
        }
        renamed.insert(known.map_or(name, |known| (*known).to_owned()), value);
    }
    renamed
}

/// What names a line in a snapshot.
fn key_of(document: &Document, required: Option<Key>) -> Option<String> {
    let text = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let key = match required? {
        Key::ExternalId => text("externalId"),
        Key::UserName => text("userName").or_else(|| text("displayName")),
    };
    key.map(str::to_owned)
}

fn read(document: &mut Document) -> Result<IncomingResource, String> {
    let kind = kind_of(document)?;
    let id = match document.shift_remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(ResourceId::parse(text).map_err(|error| error.to_string())?),
        Some(_) => return Err("`id` is not a text".to_owned()),
    };
    let members = match (kind, document.shift_remove("members")) {
        (ResourceKind::Group, Some(members)) => Some(members_of(members)?),
        _ => None,
    };
    if document.get("attributes").is_some_and(|value| !value.is_object() && !value.is_null()) {
        return Err("`attributes` is no JSON object".to_owned());
    }
    for read_only in ["schemas", "resourceType", "meta", "groups"] {
        document.shift_remove(read_only);
    }
    let password = match (kind, document.shift_remove("password")) {
        (ResourceKind::Group, _) | (_, None | Some(Value::Null)) => None,
        (ResourceKind::User, Some(Value::String(text))) if !text.is_empty() => Some(Password::new(text)),
        (ResourceKind::User, Some(_)) => return Err("`password` is empty, or no text".to_owned()),
    };
    Ok(IncomingResource { kind, id, attributes: std::mem::take(document), members, password })
}

fn kind_of(document: &Document) -> Result<ResourceKind, String> {
    if let Some(named) = document.get("resourceType") {
        return match named.as_str() {
            Some(name) if name.eq_ignore_ascii_case("user") => Ok(ResourceKind::User),
            Some(name) if name.eq_ignore_ascii_case("group") => Ok(ResourceKind::Group),
            _ => Err("`resourceType` is neither `User` nor `Group`".to_owned()),
        };
    }
    let schemas = document.get("schemas").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let has =
        |urn: &str| schemas.iter().any(|schema| schema.as_str().is_some_and(|text| text.eq_ignore_ascii_case(urn)));
    match (has(USER_URN), has(GROUP_URN)) {
        (true, false) => Ok(ResourceKind::User),
        (false, true) => Ok(ResourceKind::Group),
        (true, true) => Err("`schemas` names both User and Group".to_owned()),
        _ if document.contains_key("userName") => Ok(ResourceKind::User),
        _ if document.contains_key("displayName") && document.contains_key("members") => Ok(ResourceKind::Group),
        _ => Err("user or group? add `\"resourceType\": \"User\"` (or `\"Group\"`), or `schemas`".to_owned()),
    }
}

/// References of the members; texts are taken for values.
fn members_of(members: Value) -> Result<Vec<String>, String> {
    let items = match members {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        _ => return Err("`members` is no list".to_owned()),
    };
    let reference = |item: Value| match item {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Object(mut member) => match member.remove("value") {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        },
        _ => None,
    };
    items.into_iter().map(|item| reference(item).ok_or_else(|| "a member has no `value`".to_owned())).collect()
}
