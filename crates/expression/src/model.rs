//! What goes into an evaluation and what comes out of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use serde::{Deserialize, Serialize};

/// One mapping: the body of a Python function that returns a dict, or None for nothing to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// The mapping's name; mappings are applied in the order of their names.
    pub name: String,
    /// The kind of resources that it maps.
    pub kind: ResourceKind,
    /// The operator's text.
    pub source: Arc<str>,
}

impl Expression {
    /// Whether the text can ask for the groups of a user. When no mapping does, the caller need not load
    /// them. True rather too often than too rarely.
    pub fn reads_groups(&self) -> bool {
        reads_groups(&self.source)
    }
}

/// Everything that gives groups has `group` in its name: `groups`, `ak_groups`, `group_attributes`, ….
pub(crate) fn reads_groups(source: &str) -> bool {
    source.contains("group") || source.contains("getattr")
}

/// The provider as an expression sees it. Credentials are not among it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Its name in the fleet.
    pub name: String,
    /// Its base URL.
    pub base_url: String,
}

/// A resource of the directory as an expression sees it.
#[derive(Debug, Clone)]
pub struct ObjectView<'a> {
    /// User or group.
    pub kind: ResourceKind,
    /// Our id.
    pub id: String,
    /// The directory's `externalId`, if it has one (R25).
    pub external_id: Option<String>,
    /// The SCIM resource, with free attributes under `attributes`. A `password` in it is not shown to
    /// expressions.
    pub document: Cow<'a, Document>,
    /// Whether the account belongs to a service, not to a person.
    pub service_account: bool,
    /// The groups that a user is in, through other groups as well.
    pub groups: Vec<GroupView>,
}

/// A group that a user is in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupView {
    /// Our id.
    pub id: String,
    /// The directory's `externalId`, if it has one.
    pub external_id: Option<String>,
    /// Its name.
    pub display_name: String,
    /// Its free attributes.
    pub attributes: Document,
}

/// Objects to evaluate in one round trip.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// The mappings, in the order in which results are wanted.
    pub expressions: Vec<Expression>,
    /// The provider that the payload is for.
    pub provider: ProviderView,
    /// The objects; a mapping for the other kind gives [`MappingResult::Nothing`].
    pub objects: Vec<ObjectView<'a>>,
}

/// What the mappings gave for one object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectEvaluation {
    /// One per expression of the batch, in their order.
    pub results: Vec<MappingResult>,
}

/// What one mapping gave for one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingResult {
    /// A dict: part of the payload.
    Payload(Document),
    /// None: nothing to add.
    Nothing,
    /// `raise SkipObject`: leave this object alone (R11).
    Skip,
    /// No verdict (R11).
    Failed(ExpressionError),
}

/// Why an evaluation gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The expression raised an exception.
    Raised,
    /// It took longer than [`Limits::evaluation_time`](crate::Limits::evaluation_time), or the child fell silent.
    Timeout,
    /// It needed more memory than the child may take.
    Memory,
    /// It called too deeply, or its result, or the resource, is nested too deeply.
    Depth,
    /// The result has more bytes than [`Limits::output_bytes`](crate::Limits::output_bytes).
    OutputTooLarge,
    /// It returned something that is neither a dict nor None.
    NotADict,
    /// The result holds a value that JSON does not know.
    Unsendable,
    /// The text cannot be compiled; it should have been refused when it was applied.
    NotCompiled,
    /// The resource is larger than [`Limits::resource_bytes`](crate::Limits::resource_bytes), or unreadable.
    ResourceTooLarge,
    /// The child died while it evaluated.
    ChildDied,
    /// Not evaluated, because the mapping ran into a limit for other objects of the batch already.
    Refused,
}

impl ErrorKind {
    /// Whether finding out held a child for long or ended it.
    pub(crate) const fn is_costly(self) -> bool {
        matches!(self, Self::Timeout | Self::Memory | Self::ChildDied)
    }
}

/// An evaluation that gave no result. The message may quote what the operator's text raised, cut to 300
/// characters; it never holds a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("mapping `{mapping}`{}: {message}", Position(*line, *column))]
pub struct ExpressionError {
    /// The mapping's name; `scope` for a scope expression.
    pub mapping: String,
    /// The line of the operator's text, from 1, where known.
    pub line: Option<u32>,
    /// The column in that line, from 1, in characters, where known.
    pub column: Option<u32>,
    /// What happened.
    pub message: String,
    /// What kind of failure it is.
    pub kind: ErrorKind,
}

struct Position(Option<u32>, Option<u32>);

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.0 {
            write!(out, ", line {line}")?;
        }
        if let Some(column) = self.1 {
            write!(out, ", column {column}")?;
        }
        Ok(())
    }
}

/// A text that cannot be a mapping: it does not parse, or asks for what expressions cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("mapping `{mapping}`, line {line}, column {column}: {message}\n{snippet}")]
pub struct CompileError {
    /// The mapping's name; `scope` for a scope expression.
    pub mapping: String,
    /// The line of the operator's text, from 1.
    pub line: u32,
    /// The column in that line, from 1, in characters.
    pub column: u32,
    /// What is wrong, with a hint.
    pub message: String,
    /// The line, and below it a caret under the column.
    pub snippet: String,
}

impl CompileError {
    pub(crate) fn at(mapping: &str, source: &str, line: u32, column: u32, message: String) -> Self {
        let line = line.clamp(1, u32::try_from(source.lines().count()).unwrap_or(u32::MAX).max(1));
        let text = source.lines().nth(line as usize - 1).unwrap_or_default();
        // Tabs stay tabs, so that the caret stands right wherever the text is shown.
        let before = text.chars().map(|each| if each == '\t' { '\t' } else { ' ' });
        let padding: String = before.chain(std::iter::repeat(' ')).take(column.max(1) as usize - 1).collect();
        Self {
            mapping: mapping.to_owned(),
            line,
            column: column.max(1),
            message,
            snippet: format!("{text}\n{padding}^"),
        }
    }
}

/// The text of the built-in mapping of users.
pub(crate) const USER_DEFAULT: &str = include_str!("../mappings/10-user-default.py");
/// The text of the built-in mapping of groups.
pub(crate) const GROUP_DEFAULT: &str = include_str!("../mappings/10-group-default.py");

/// The built-in mappings, `10-user-default` and `10-group-default`: every writable core and enterprise
/// attribute that the resource has (RFC 7643 §4.1, §4.2, §4.3), and authentik's rules for what is absent.
pub fn default_mappings() -> [Expression; 2] {
    [
        Expression { name: "10-user-default".to_owned(), kind: ResourceKind::User, source: USER_DEFAULT.into() },
        Expression { name: "10-group-default".to_owned(), kind: ResourceKind::Group, source: GROUP_DEFAULT.into() },
    ]
}
