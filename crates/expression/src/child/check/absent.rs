//! Finds in a text what expressions cannot have, and names that nothing binds.

use std::collections::HashSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Alias, ExceptHandler, Expr, ExprContext, Operator, Parameter, Stmt};
use ruff_python_stdlib::builtins::is_python_builtin;
use ruff_text_size::{Ranged, TextSize};
use scimfleet_core::ResourceKind;

use super::is_builtin;
use crate::child::prelude;

/// The modules that expressions may import: those of the interpreter that need nothing from outside.
const MODULES: [&str; 13] = [
    "__future__",
    "base64",
    "binascii",
    "collections",
    "dataclasses",
    "datetime",
    "functools",
    "itertools",
    "json",
    "math",
    "re",
    "typing",
    "unicodedata",
];

/// Python's version whose builtins we tell from unknown names.
const PYTHON_MINOR: u8 = 13;

/// Names of authentik's that cannot be had, and what to do instead.
const NAMES: [(&[&str], &str); 5] = [
    (
        &["requests", "http_request", "resolve_dns", "reverse_dns"],
        "expressions have no network; import the value into the directory as an attribute",
    ),
    (
        &["ak_user_by", "User", "Group", "Application"],
        "expressions cannot look into the directory; they see `user` or `group` and the user's groups",
    ),
    (
        &["ak_create_event", "ak_send_email", "ak_message", "ak_call_policy", "ak_create_jwt", "ak_create_jwt_raw"],
        "expressions have no effects; they return a dict",
    ),
    (
        &["ak_client_ip", "ak_user_has_authenticator", "ak_is_sso_flow", "context", "geoip", "asn"],
        "there is no sign-in here that it could tell about",
    ),
    (
        &["open", "input", "exec", "eval", "compile", "__import__", "globals", "locals", "vars"],
        "expressions have no files and no other code",
    ),
];

/// Methods of database queries.
const QUERIES: [&str; 14] = [
    "objects",
    "filter",
    "exclude",
    "order_by",
    "values_list",
    "select_related",
    "prefetch_related",
    "annotate",
    "aggregate",
    "save",
    "delete",
    "refresh_from_db",
    "update_or_create",
    "get_or_create",
];

/// What was found in a text.
pub(super) struct Absent {
    kind: ResourceKind,
    bound: HashSet<String>,
    loaded: Vec<(TextSize, String)>,
    found: Vec<(TextSize, String)>,
}

impl Absent {
    pub(super) fn new(kind: ResourceKind) -> Self {
        let bound = prelude::names(kind).map(str::to_owned).collect();
        Self { kind, bound, loaded: Vec::new(), found: Vec::new() }
    }

    pub(super) fn visit_body(&mut self, body: &[Stmt]) {
        visitor::Visitor::visit_body(self, body);
        if let Some(Stmt::Expr(last)) = body.last()
            && matches!(*last.value, Expr::Dict(_) | Expr::DictComp(_))
            && !body.iter().any(Stmt::is_return_stmt)
        {
            self.found.push((last.start(), "this dict goes nowhere; write `return` before it".to_owned()));
        }
    }

    pub(super) fn visit_scope(&mut self, expression: &Expr) {
        self.visit_expr(expression);
    }

    /// The mistake that stands first in the text.
    pub(super) fn first(mut self) -> Option<(TextSize, String)> {
        for (place, name) in std::mem::take(&mut self.loaded) {
            if let Some(message) = self.why_unknown(&name) {
                self.found.push((place, message));
            }
        }
        self.found.into_iter().min_by_key(|(place, _)| *place)
    }

    fn why_unknown(&self, name: &str) -> Option<String> {
        if self.bound.contains(name) || name.starts_with('_') && name != "__import__" {
            return None;
        }
        if let Some((_, instead)) = NAMES.iter().find(|(names, _)| names.contains(&name)) {
            return Some(format!("`{name}` cannot be had: {instead}"));
        }
        if is_builtin(name) {
            return None;
        }
        if is_python_builtin(name, PYTHON_MINOR, false) {
            return Some(format!("`{name}` is not among the builtins that expressions have"));
        }
        let subject = match (self.kind, name) {
            (ResourceKind::User, "group") => "; this is a mapping for users, which have `user.groups`",
            (ResourceKind::Group, "user") => "; this is a mapping for groups, which have `group`",
            (ResourceKind::User, _) => "; an expression sees `user`, `request`, `provider` and the helpers",
            (ResourceKind::Group, _) => "; an expression sees `group`, `request`, `provider` and the helpers",
        };
        Some(format!("name `{name}` is not defined{subject}"))
    }

    fn module(&mut self, place: TextSize, name: &str) {
        let top = name.split('.').next().unwrap_or_default();
        if !MODULES.contains(&top) {
            let known = MODULES[1..].join("`, `");
            self.found.push((place, format!("module `{name}` cannot be had; there are `{known}`")));
        }
    }

    fn bind_alias(&mut self, alias: &Alias) {
        let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
        self.bound.insert(name.split('.').next().unwrap_or_default().to_owned());
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    self.module(alias.start(), alias.name.as_str());
                    self.bind_alias(alias);
                }
            }
            Stmt::ImportFrom(import) => {
                let name = import.module.as_ref().map_or(".", |name| name.as_str());
                self.module(import.module.as_ref().map_or(import.start(), Ranged::start), name);
                import.names.iter().for_each(|alias| self.bind_alias(alias));
            }
            Stmt::FunctionDef(function) => drop(self.bound.insert(function.name.to_string())),
            Stmt::ClassDef(class) => drop(self.bound.insert(class.name.to_string())),
            _ => {}
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Name(name) if name.ctx == ExprContext::Load => {
                self.loaded.push((name.start(), name.id.to_string()));
            }
            Expr::Name(name) => drop(self.bound.insert(name.id.to_string())),
            Expr::Attribute(attribute) if QUERIES.contains(&attribute.attr.as_str()) => {
                let message =
                    "database queries cannot be had; use `user.groups`, `ak_is_group_member` or a comprehension";
                self.found.push((attribute.attr.start(), format!("`.{}`: {message}", attribute.attr)));
            }
            Expr::BinOp(operation) if operation.op == Operator::Mod && operation.left.is_string_literal_expr() => {
                let message = "formatting with `%` cannot be had; use an f-string or `.format()`";
                self.found.push((operation.start(), message.to_owned()));
            }
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Absent {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        self.statement(statement);
        visitor::walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        self.expression(expression);
        visitor::walk_expr(self, expression);
    }

    // Annotations are never evaluated.
    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bound.insert(name.to_string());
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_parameter(&mut self, parameter: &'a Parameter) {
        self.bound.insert(parameter.name.to_string());
        visitor::walk_parameter(self, parameter);
    }
}
