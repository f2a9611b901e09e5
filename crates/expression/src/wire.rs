//! The frames between the evaluator and a child: a length of four bytes, big endian, then JSON.
//!
//! The evaluator sends one [`Hello`], then for every job a [`Header`] and one frame per object; the child
//! sends one [`Ready`], then for every job one [`Answer`] per object and program, objects first. Nothing
//! is sent unasked, and a child that breaks these rules is replaced.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use scimfleet_core::ResourceKind;
use scimfleet_core::scim::Document;
use serde::{Deserialize, Serialize};

use crate::model::{CompileError, ExpressionError, GroupView, ProviderView};
use crate::{ErrorKind, Limits, MappingResult};

/// Longest frame that either side accepts: a wrong length must not become an allocation.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;

/// The first frame to a child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) limits: Limits,
}

/// The first frame from a child: it has put itself in jail.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) ready: bool,
}

/// What to do with the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Run each for each object.
    Evaluate,
    /// Say whether each could run; there are no objects.
    Check,
}

/// What a program's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// The body of a function.
    Body,
    /// One expression, whose truth is wanted.
    Scope,
}

/// One program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProgramText<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) kind: ResourceKind,
    pub(crate) form: Form,
    pub(crate) source: Cow<'a, str>,
}

/// The first frame of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header<'a> {
    pub(crate) task: Task,
    pub(crate) programs: Cow<'a, [ProgramText<'a>]>,
    pub(crate) provider: Cow<'a, ProviderView>,
    /// The groups that objects name by their index: most are named by many.
    pub(crate) groups: Vec<Cow<'a, GroupView>>,
    /// How many object frames follow.
    pub(crate) objects: usize,
    /// How many programs of the first object are answered already.
    pub(crate) answered: usize,
    /// Whether each answer must be sent before the next evaluation starts, so that a death tells its cause.
    pub(crate) careful: bool,
    /// Costly failures so far, per program.
    pub(crate) costly: Vec<u32>,
}

/// One object, as the evaluator writes it.
#[derive(Debug, Serialize)]
pub(crate) struct ObjectFrame<'a> {
    pub(crate) kind: ResourceKind,
    pub(crate) id: &'a str,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) service_account: bool,
    pub(crate) groups: Vec<usize>,
    pub(crate) document: &'a Document,
}

/// What one program gave for one object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Result(MappingResult),
    Verdict(bool),
    Checked,
    Refused(CompileError),
}

impl Answer {
    pub(crate) fn failed(error: ExpressionError) -> Self {
        Self::Result(MappingResult::Failed(error))
    }

    pub(crate) fn error_kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Result(MappingResult::Failed(error)) => Some(error.kind),
            _ => None,
        }
    }
}

/// Appends one frame to `out`.
pub(crate) fn encode(out: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, value)?;
    let length = out.len() - start - 4;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!("a frame of {length} bytes is too long")));
    }
    let length = u32::try_from(length).map_err(io::Error::other)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Reads the next frame into `frame`; false at the end of the input.
pub(crate) fn read_frame(input: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        outcome => outcome?,
    }
    frame.resize(frame_length(length)?, 0);
    input.read_exact(frame)?;
    Ok(true)
}

/// Writes one frame.
pub(crate) fn write_frame(output: &mut impl Write, buffer: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    buffer.clear();
    encode(buffer, value)?;
    output.write_all(buffer)
}

/// The length that four bytes announce, if it may be believed.
pub(crate) fn frame_length(bytes: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(bytes) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!("a frame of {length} bytes is too long")));
    }
    Ok(length)
}
