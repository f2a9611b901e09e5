//! The error message (RFC 7644 §3.12).

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::lenient::{as_number, number, objects, present, text};
use super::{Document, ERROR_URN, UnreadableMessage, declares, object_of};

/// What kind of 400 or 409 it is (RFC 7644 §3.12 table 9; RFC 9865 §2.1 for the cursors).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ScimType {
    /// The filter cannot be read or is not supported.
    InvalidFilter,
    /// More results than the service provider gives.
    TooMany,
    /// A value is in use by another resource.
    Uniqueness,
    /// The attribute may not be changed so.
    Mutability,
    /// The body cannot be read.
    InvalidSyntax,
    /// The `path` of a PATCH cannot be read.
    InvalidPath,
    /// The `path` of a PATCH fits nothing.
    NoTarget,
    /// A value is missing or of the wrong kind.
    InvalidValue,
    /// The protocol version is not supported.
    InvalidVers,
    /// The request carries what must not stand in a URL.
    Sensitive,
    /// The cursor is not one.
    InvalidCursor,
    /// The cursor was one.
    ExpiredCursor,
    /// The page size is not possible.
    InvalidCount,
    /// A word of the service provider's own.
    Other(String),
}

const WORDS: [(ScimType, &str); 13] = [
    (ScimType::InvalidFilter, "invalidFilter"),
    (ScimType::TooMany, "tooMany"),
    (ScimType::Uniqueness, "uniqueness"),
    (ScimType::Mutability, "mutability"),
    (ScimType::InvalidSyntax, "invalidSyntax"),
    (ScimType::InvalidPath, "invalidPath"),
    (ScimType::NoTarget, "noTarget"),
    (ScimType::InvalidValue, "invalidValue"),
    (ScimType::InvalidVers, "invalidVers"),
    (ScimType::Sensitive, "sensitive"),
    (ScimType::InvalidCursor, "invalidCursor"),
    (ScimType::ExpiredCursor, "expiredCursor"),
    (ScimType::InvalidCount, "invalidCount"),
];

impl ScimType {
    /// The word in a message.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => WORDS.iter().find(|(word, _)| word == known).map_or("", |(_, text)| text),
        }
    }
}

impl From<String> for ScimType {
    fn from(text: String) -> Self {
        let known = WORDS.iter().find(|(_, word)| word.eq_ignore_ascii_case(text.trim()));
        known.map_or_else(|| Self::Other(text), |(word, _)| word.clone())
    }
}

impl From<ScimType> for String {
    fn from(word: ScimType) -> Self {
        word.as_str().to_owned()
    }
}

impl fmt::Display for ScimType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Why a request was refused, in the service provider's words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct ErrorMessage {
    /// The body says that it is a SCIM error: by its schema URN, by a `scimType` of the RFCs, or in the
    /// form of SCIM 1.1. A gateway's or framework's JSON is none, whatever members it has (R30).
    pub is_scim: bool,
    /// The HTTP status as the body has it.
    pub status: Option<u16>,
    /// What kind of error.
    pub scim_type: Option<ScimType>,
    /// A text for people. It may quote values: not for logs.
    pub detail: Option<String>,
}

impl ErrorMessage {
    /// An error to answer with.
    pub fn new(status: u16, scim_type: Option<ScimType>, detail: impl Into<String>) -> Self {
        Self { is_scim: true, status: Some(status), scim_type, detail: Some(detail.into()) }
    }

    fn read(object: &Document) -> Self {
        let scim_type: Option<ScimType> = text(object, "scimType").map(ScimType::from);
        let known_type = scim_type.as_ref().is_some_and(|word| !matches!(word, ScimType::Other(_)));
        Self {
            is_scim: declares(object, ERROR_URN) || known_type,
            status: number(object, "status").and_then(|status| u16::try_from(status).ok()),
            scim_type,
            detail: text(object, "detail"),
        }
    }

    /// `{"Errors":[{"description":…,"code":…}]}` of SCIM 1.1, which some service providers still
    /// answer with, with a list or a single object.
    fn read_first_version(object: &Document) -> Option<Self> {
        let errors = objects(object, "Errors");
        let error = errors.first()?;
        let code = present(error, "code").and_then(as_number);
        let detail = text(error, "description");
        (code.is_some() || detail.is_some()).then(|| Self {
            is_scim: true,
            status: code.and_then(|code| u16::try_from(code).ok()),
            scim_type: None,
            detail,
        })
    }
}

impl TryFrom<Value> for ErrorMessage {
    type Error = UnreadableMessage;

    /// Reads any JSON object; look at `is_scim` before you believe it.
    fn try_from(value: Value) -> Result<Self, UnreadableMessage> {
        let object = object_of(value, "error message")?;
        Ok(Self::read_first_version(&object).unwrap_or_else(|| Self::read(&object)))
    }
}

impl Serialize for ErrorMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ErrorMessage", 4)?;
        out.serialize_field("schemas", &[ERROR_URN])?;
        // "expressed as a JSON string" (§3.12).
        if let Some(status) = self.status {
            out.serialize_field("status", &status.to_string())?;
        }
        if let Some(scim_type) = &self.scim_type {
            out.serialize_field("scimType", scim_type)?;
        }
        if let Some(detail) = &self.detail {
            out.serialize_field("detail", detail)?;
        }
        out.end()
    }
}
