//! One compiled expression, and running it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use monty::MontyRun;
use monty_types::{CompileOptions, ExcType, MontyException, MontyObject, PrintWriter, ResourceLimits, ResourceTracker};
use scimfleet_core::ResourceKind;

use super::object::Object;
use super::survey::{self, Survey};
use super::{output, prelude};
use crate::wire::{Answer, Form, ProgramText};
use crate::{CompileError, ErrorKind, ExpressionError, Limits, MappingResult};

/// Longest message that an error carries: what an expression raises may be any text.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// The file name of tracebacks, which nobody sees.
const SCRIPT: &str = "mapping";

pub(super) struct Program {
    run: MontyRun,
    /// Lines before the operator's text.
    offset: u32,
    /// Lines of the operator's text.
    lines: u32,
    survey: Survey,
    reads_groups: bool,
}

impl Program {
    /// # Errors
    /// When the interpreter cannot compile the text.
    pub(super) fn compile(text: &ProgramText<'_>, kind: ResourceKind, limits: &Limits) -> Result<Self, CompileError> {
        let refuse = |line, column, message| CompileError::at(&text.name, &text.source, line, column, message);
        if text.source.len() > limits.source_bytes {
            return Err(refuse(1, 1, format!("the text has more than {} bytes", limits.source_bytes)));
        }
        let mut prelude = prelude::of(kind, &text.source);
        let survey = Survey::of(&text.source, text.form);
        let rewritten = survey.rewritten(&text.source);
        if rewritten.is_some() {
            prelude.push_str(survey::HELPER);
        }
        let source = rewritten.as_deref().unwrap_or(&text.source);
        let offset = count_lines(&prelude) + u32::from(text.form == Form::Scope);
        let code = match text.form {
            // Without a return, a module's value is that of its last statement.
            Form::Body => format!("{prelude}{source}\nreturn None\n"),
            Form::Scope => format!("{prelude}(\n{source}\n)\n"),
        };
        let inputs = prelude::INPUTS.iter().map(|name| (*name).to_owned()).collect();
        let run = MontyRun::new(code, SCRIPT, inputs, CompileOptions::default()).map_err(|error| {
            let place = error.traceback().last().map_or((1, 1), |frame| (frame.start.line, frame.start.column));
            refuse(place.0.saturating_sub(offset).max(1), place.1, compile_message(&error))
        })?;
        let reads_groups = crate::model::reads_groups(&text.source);
        Ok(Self { run, offset, lines: count_lines(&text.source) + 1, survey, reads_groups })
    }

    /// Runs for one object, from nothing: no object sees what another left behind.
    pub(super) fn run(&self, text: &ProgramText<'_>, object: &Object<'_>, limits: &Limits) -> Answer {
        let allowed =
            ResourceLimits::default().max_duration(limits.evaluation_time).max_recursion_depth(limits.recursion_depth);
        let inputs = object.inputs(&self.survey, self.reads_groups);
        let run = || self.run.run(inputs, ResourceTracker::new(allowed), PrintWriter::Disabled);
        // A panic is a mistake of the interpreter; what it held is dropped with the run.
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(run)) else {
            return failed(text, (ErrorKind::ChildDied, "the interpreter failed on this object".to_owned()), None);
        };
        match outcome {
            Ok(value) if text.form == Form::Scope => Answer::Verdict(value.is_truthy()),
            Ok(MontyObject::None) => Answer::Result(MappingResult::Nothing),
            Ok(value @ MontyObject::Dict(_)) => match output::payload(&value, limits) {
                Ok(document) => Answer::Result(MappingResult::Payload(document)),
                Err(refusal) => failed(text, refusal, None),
            },
            Ok(value) => failed(text, (ErrorKind::NotADict, output::not_a_dict(&value)), None),
            Err(error) if error.exc_type() == prelude::SKIP_OBJECT => match text.form {
                Form::Body => Answer::Result(MappingResult::Skip),
                Form::Scope => failed(text, (ErrorKind::Raised, "a scope cannot skip an object".to_owned()), None),
            },
            Err(error) => self.raised(text, &error),
        }
    }

    fn raised(&self, text: &ProgramText<'_>, error: &MontyException) -> Answer {
        let message = error.message().unwrap_or_default();
        let kind = match error.exc_type() {
            ExcType::TimeoutError if message.starts_with("time limit exceeded") => ErrorKind::Timeout,
            ExcType::MemoryError => ErrorKind::Memory,
            ExcType::RecursionError => ErrorKind::Depth,
            _ => ErrorKind::Raised,
        };
        let message = match kind {
            ErrorKind::Timeout => "took longer than an expression may".to_owned(),
            _ => error.summary().chars().take(MESSAGE_CHARACTERS_MAX).collect(),
        };
        // The innermost place in the operator's text: helpers stand before it.
        let own = |line: u32| line > self.offset && line - self.offset <= self.lines;
        let place = error.traceback().iter().rev().find(|frame| own(frame.start.line));
        failed(text, (kind, message), place.map(|frame| (frame.start.line - self.offset, frame.start.column)))
    }
}

fn failed(text: &ProgramText<'_>, (kind, message): output::Refusal, place: Option<(u32, u32)>) -> Answer {
    let mapping = text.name.clone().into_owned();
    Answer::failed(ExpressionError { mapping, line: place.map(|at| at.0), column: place.map(|at| at.1), message, kind })
}

fn compile_message(error: &MontyException) -> String {
    let message = error.message().unwrap_or("it cannot be compiled");
    match message.strip_prefix("The monty syntax parser does not yet support ") {
        Some(what) => format!("expressions cannot have {what}"),
        None => lower_first(message),
    }
}

fn count_lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

pub(super) fn lower_first(text: &str) -> String {
    let mut rest = text.chars();
    match rest.next() {
        Some(first) => first.to_lowercase().chain(rest).collect(),
        None => String::new(),
    }
}
