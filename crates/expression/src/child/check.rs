//! Reads a text before it is accepted: what does not parse, and what expressions cannot have.
//!
//! It never refuses what could run: a name counts as known when it is bound anywhere in the text.

mod absent;

use monty::MontyRun;
use monty_types::CompileOptions;
use ruff_python_ast::ModExpression;
use ruff_python_parser::{ParseError, Parsed, parse_module, parse_parenthesized_expression_range};
use ruff_text_size::{TextRange, TextSize};

use self::absent::Absent;
use super::program::{Program, lower_first};
use crate::wire::{Form, ProgramText};
use crate::{CompileError, Limits};

/// # Errors
/// The first mistake in the text.
pub(super) fn check(text: &ProgramText<'_>, limits: &Limits) -> Result<(), CompileError> {
    let refuse = |place: TextSize, message: String| {
        let (line, column) = position(&text.source, place);
        CompileError::at(&text.name, &text.source, line, column, message)
    };
    if text.source.len() > limits.source_bytes {
        return Err(refuse(TextSize::default(), format!("the text has more than {} bytes", limits.source_bytes)));
    }
    let mut absent = Absent::new(text.kind);
    let parsed = match text.form {
        Form::Body => parse_module(&text.source).map(|parsed| absent.visit_body(parsed.suite())),
        Form::Scope => parse_scope(&text.source).map(|parsed| absent.visit_scope(parsed.expr())),
    };
    parsed.map_err(|error| refuse(error.location.start(), lower_first(&error.error.to_string())))?;
    if let Some((place, message)) = absent.first() {
        return Err(refuse(place, message));
    }
    Program::compile(text, text.kind, limits).map(drop)
}

/// Parses a scope expression, which may go over several lines.
pub(super) fn parse_scope(source: &str) -> Result<Parsed<ModExpression>, ParseError> {
    parse_parenthesized_expression_range(source, TextRange::up_to(TextSize::of(source)))
}

/// Whether the interpreter itself knows `name`.
fn is_builtin(name: &str) -> bool {
    let run = MontyRun::new(name.to_owned(), "name", Vec::new(), CompileOptions::default());
    run.is_ok_and(|run| run.run_no_limits(Vec::new()).is_ok())
}

/// Line and column, from 1, in characters.
fn position(source: &str, place: TextSize) -> (u32, u32) {
    let before = source.get(..place.to_usize()).unwrap_or(source);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (count(line), count(column))
}
