//! What a text's syntax tells before it is compiled: which attributes it can ask for, so that an object is
//! given only those, and the one change that it needs.
//!
//! The interpreter makes a list of a generator expression, so that `next(x for x in …)` finds no iterator.
//! Such a `next` becomes a helper's name of the same length, which keeps every column where it was.

use std::collections::HashSet;

use ruff_python_ast::Expr;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_parser::parse_module;
use ruff_text_size::{Ranged, TextSize};

use super::check::parse_scope;
use crate::wire::Form;

/// The helper, as long as the name that it stands for.
const FIRST_OF: &str = "_nxt";

/// The helper's definition, for the prelude.
pub(super) const HELPER: &str = "def _nxt(values, *default):\n    return next(iter(values), *default)\n";

/// Names whose use reaches attributes by text, so that all of them may be asked for.
const REFLECTION: [&str; 4] = ["getattr", "hasattr", "format", "format_map"];

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    names: HashSet<String>,
    /// Where `next` stands before a generator expression.
    nexts: Vec<TextSize>,
    anything: bool,
}

impl<'a> Visitor<'a> for Survey {
    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Attribute(attribute) => self.name(attribute.attr.as_str()),
            Expr::Name(name) => self.name(name.id.as_str()),
            Expr::Call(call) => {
                if let Expr::Name(name) = &*call.func
                    && name.id.as_str() == "next"
                    && matches!(call.arguments.args.first(), Some(Expr::Generator(_)))
                {
                    self.nexts.push(name.start());
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }
}

impl Survey {
    /// Looks through a text. One that does not parse may ask for anything.
    pub(super) fn of(source: &str, form: Form) -> Self {
        let mut survey = Self::default();
        match form {
            Form::Body => match parse_module(source) {
                Ok(parsed) => survey.visit_body(parsed.suite()),
                Err(_) => survey.anything = true,
            },
            Form::Scope => match parse_scope(source) {
                Ok(parsed) => survey.visit_expr(parsed.expr()),
                Err(_) => survey.anything = true,
            },
        }
        survey
    }

    fn name(&mut self, name: &str) {
        self.anything |= REFLECTION.contains(&name);
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
        }
    }

    /// Whether the text can ask an object for its attribute `name`.
    pub(super) fn asks_for(&self, name: &str) -> bool {
        self.anything || self.names.contains(name)
    }

    /// The text with its `next` replaced, if it has one.
    pub(super) fn rewritten(&self, source: &str) -> Option<String> {
        if self.nexts.is_empty() {
            return None;
        }
        let mut text = source.to_owned();
        for place in &self.nexts {
            let start = place.to_usize();
            text.replace_range(start..start + FIRST_OF.len(), FIRST_OF);
        }
        Some(text)
    }
}
