//! What an expression may use, and how many children evaluate.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one expression, and one child, may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest time that one mapping may take for one object. A usual one takes 20 µs; the room above
    /// is for a machine under load, because this is time by the clock.
    pub evaluation_time: Duration,
    /// Longest silence of a child before it is killed and replaced. It catches what the interpreter's own
    /// clock cannot, such as the power of two huge integers, so it must exceed [`Self::evaluation_time`].
    pub silence: Duration,
    /// Longest time until a new child is ready. Starting takes 3–5 ms; a loaded machine needs longer.
    pub start_time: Duration,
    /// Address space, in bytes, that a child may take beyond what it has when it starts (RLIMIT_AS): the
    /// size of the binary must not matter. A resource and its payload need less than 1 MB.
    pub child_memory_bytes: u64,
    /// Deepest chain of calls in an expression. Mappings do not recurse, and the native stack that a
    /// call needs is bounded by this.
    pub recursion_depth: usize,
    /// Deepest nesting of a result. SCIM knows three levels below a resource (RFC 7643 §2.3.8); the rest is
    /// for extensions.
    pub nesting_depth: usize,
    /// Largest result in bytes of JSON. A user's payload has a few kilobytes; photos may be embedded.
    pub output_bytes: usize,
    /// Largest resource in bytes of JSON that is handed to a child: it exists several times in there.
    pub resource_bytes: usize,
    /// Longest text of an expression in bytes. Compiled texts are kept by the child.
    pub source_bytes: usize,
    /// How many objects of one batch may run into the time or memory limit of the same mapping before its
    /// other objects are refused: a mapping that always loops must not hold a child for minutes.
    pub costly_failures_per_batch: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            evaluation_time: Duration::from_millis(500),
            silence: Duration::from_secs(3),
            start_time: Duration::from_secs(10),
            child_memory_bytes: 64 << 20,
            recursion_depth: 200,
            nesting_depth: 16,
            output_bytes: 1 << 20,
            resource_bytes: 2 << 20,
            source_bytes: 64 << 10,
            costly_failures_per_batch: 3,
        }
    }
}

/// How an [`Evaluator`](crate::Evaluator) gets its children.
#[derive(Debug, Clone)]
pub struct EvaluatorConfig {
    /// The program that calls [`child_main`](crate::child_main) when its first argument is
    /// [`CHILD_ARGUMENT`](crate::CHILD_ARGUMENT).
    pub program: PathBuf,
    /// How many children may evaluate at the same time, at least one: each takes a core and some 10 MB.
    pub children: usize,
    /// What they may use.
    pub limits: Limits,
}

impl EvaluatorConfig {
    /// Children of the running binary itself, with the default limits.
    ///
    /// # Errors
    /// When the operating system does not tell the path of the running binary.
    pub fn own_program(children: usize) -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, children, limits: Limits::default() })
    }
}
