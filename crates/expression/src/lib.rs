//! Evaluates mapping expressions: Python text that turns a resource of the directory into part of a
//! SCIM payload.
//!
//! The text runs in a child process that the worker starts from its own binary: no files, no network, no
//! environment. Time, memory, depth and the size of the result are limited there, and a watchdog here
//! replaces a child that does not answer. What an expression does costs at most the object it was
//! evaluated for.
//!
//! The built-in mappings are answered without a child where the resource has the usual shape: they are ours,
//! and cannot loop or allocate without end.
//!
//! This crate never merges, validates or sends what an expression returned, never logs a document, and
//! never runs an operator's text in the calling process.

mod child;
mod evaluator;
mod limits;
mod model;
mod native;
mod process;
mod wire;

pub use child::child_main;
pub use evaluator::{Evaluator, EvaluatorError};
pub use limits::{EvaluatorConfig, Limits};
pub use model::{
    Batch, CompileError, ErrorKind, Expression, ExpressionError, GroupView, MappingResult, ObjectEvaluation,
    ObjectView, ProviderView, default_mappings,
};

/// The hidden first argument that turns the binary into an expression child: when it is there, the
/// binary calls [`child_main`] before anything else.
pub const CHILD_ARGUMENT: &str = "__expression-child";
