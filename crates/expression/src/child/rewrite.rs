//! The one change to an operator's text: the interpreter makes a list of a generator expression, so that
//! `next(x for x in …)` finds no iterator. Such a `next` becomes a helper's name of the same length, which
//! keeps every column where it was.

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

/// The places of `next` before a generator expression.
#[derive(Default)]
struct Nexts(Vec<TextSize>);

impl<'a> Visitor<'a> for Nexts {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression
            && let Expr::Name(name) = &*call.func
            && name.id.as_str() == "next"
            && matches!(call.arguments.args.first(), Some(Expr::Generator(_)))
        {
            self.0.push(name.start());
        }
        visitor::walk_expr(self, expression);
    }
}

/// The text with its `next` replaced, if it has one and can be parsed.
pub(super) fn rewrite(source: &str, form: Form) -> Option<String> {
    if !source.contains("next") {
        return None;
    }
    let mut nexts = Nexts::default();
    match form {
        Form::Body => nexts.visit_body(parse_module(source).ok()?.suite()),
        Form::Scope => nexts.visit_expr(parse_scope(source).ok()?.expr()),
    }
    if nexts.0.is_empty() {
        return None;
    }
    let mut text = source.to_owned();
    for place in nexts.0 {
        let start = place.to_usize();
        text.replace_range(start..start + FIRST_OF.len(), FIRST_OF);
    }
    Some(text)
}
