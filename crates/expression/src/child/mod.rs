//! The child's side: a loop that reads jobs from its standard input and answers on its standard output.
//!
//! It opens nothing, knows nobody, and keeps nothing between objects but compiled programs.

mod check;
mod jail;
mod object;
mod output;
mod prelude;
mod program;
mod survey;

use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use scimfleet_core::ResourceKind;

use self::object::Object;
use self::program::Program;
use crate::wire::{self, Answer, Form, Header, Hello, ProgramText, Ready, Task};
use crate::{ErrorKind, ExpressionError, Limits};

/// The native stack for expressions: 200 calls deep need a few megabytes in a debug build. It is reserved,
/// not used, until it is needed.
const STACK_BYTES: usize = 64 << 20;

/// Longest time that answers stay in the buffer: the evaluator's watchdog listens for them.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

/// Most compiled programs that are kept. A fleet has some dozens; beyond that, compiling again is cheap.
const PROGRAMS_MAX: usize = 256;

/// Serves as an expression child until the standard input ends.
pub fn child_main() -> ExitCode {
    // Text about a panic could hold what was evaluated.
    std::panic::set_hook(Box::new(|_| {}));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, io::stdin().lock());
    let mut frame = Vec::new();
    if !wire::read_frame(&mut input, &mut frame)? {
        return Ok(());
    }
    let hello: Hello = serde_json::from_slice(&frame)?;
    let mut child = Child {
        output: Output {
            stream: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
            buffer: Vec::new(),
            flushed: Instant::now(),
        },
        programs: HashMap::new(),
        limits: hello.limits,
    };
    jail::enter(child.limits.child_memory_bytes)?;
    child.output.send(&Ready { ready: true }, true)?;
    while wire::read_frame(&mut input, &mut frame)? {
        let header: Header<'_> = serde_json::from_slice(&frame)?;
        child.job(&header, &mut input)?;
        child.output.stream.flush()?;
    }
    Ok(())
}

type ProgramKey = (Form, ResourceKind, String);

struct Child<W: Write> {
    output: Output<W>,
    programs: HashMap<ProgramKey, Result<Program, ExpressionError>>,
    limits: Limits,
}

struct Output<W: Write> {
    stream: BufWriter<W>,
    buffer: Vec<u8>,
    flushed: Instant,
}

impl<W: Write> Output<W> {
    fn send(&mut self, value: &impl serde::Serialize, at_once: bool) -> io::Result<()> {
        wire::write_frame(&mut self.stream, &mut self.buffer, value)?;
        if at_once || self.flushed.elapsed() > FLUSH_EVERY {
            self.stream.flush()?;
            self.flushed = Instant::now();
        }
        Ok(())
    }
}

impl<W: Write> Child<W> {
    fn job(&mut self, header: &Header<'_>, input: &mut impl Read) -> io::Result<()> {
        if header.task == Task::Check {
            for text in header.programs.iter() {
                let answer = match check::check(text, &self.limits) {
                    Ok(()) => Answer::Checked,
                    Err(error) => Answer::Refused(error),
                };
                self.output.send(&answer, header.careful)?;
            }
            return Ok(());
        }
        if self.programs.len() > PROGRAMS_MAX {
            self.programs.clear();
        }
        let groups: Vec<_> = header.groups.iter().map(|group| object::group(group)).collect();
        let provider = object::provider(&header.provider);
        let mut costly = header.costly.clone();
        let mut frame = Vec::new();
        for position in 0..header.objects {
            if !wire::read_frame(input, &mut frame)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let object = Object::read(&frame, &groups, &provider);
            let skip = if position == 0 { header.answered } else { 0 };
            for (text, costly) in header.programs.iter().zip(&mut costly).skip(skip) {
                let answer = self.answer(text, object.as_ref(), *costly);
                *costly += u32::from(answer.error_kind().is_some_and(ErrorKind::is_costly));
                self.output.send(&answer, header.careful)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, text: &ProgramText<'_>, object: Option<&Object<'_>>, costly: u32) -> Answer {
        let failed = |kind, message: String| {
            let mapping = text.name.clone().into_owned();
            Answer::failed(ExpressionError { mapping, line: None, column: None, message, kind })
        };
        let Some(object) = object else {
            let message =
                format!("the resource is nested too deeply, or has over {} bytes", self.limits.resource_bytes);
            return failed(ErrorKind::ResourceTooLarge, message);
        };
        if costly >= self.limits.costly_failures_per_batch {
            let message = format!("not evaluated: it ran into a limit for {costly} other objects of this batch");
            return failed(ErrorKind::Refused, message);
        }
        if text.form == Form::Body && text.kind != object.kind {
            return Answer::Result(crate::MappingResult::Nothing);
        }
        let Self { programs, limits, .. } = self;
        match program(programs, text, object.kind, limits) {
            Ok(program) => program.run(text, object, limits),
            Err(error) => Answer::failed(ExpressionError { mapping: text.name.clone().into_owned(), ..error }),
        }
    }
}

/// The compiled form of `text`, made when it is met for the first time.
fn program<'a>(
    programs: &'a mut HashMap<ProgramKey, Result<Program, ExpressionError>>,
    text: &ProgramText<'_>,
    kind: ResourceKind,
    limits: &Limits,
) -> Result<&'a Program, ExpressionError> {
    let key = (text.form, kind, text.source.clone().into_owned());
    let program = programs.entry(key).or_insert_with(|| {
        Program::compile(text, kind, limits).map_err(|error| ExpressionError {
            mapping: error.mapping,
            line: Some(error.line),
            column: Some(error.column),
            message: error.message,
            kind: ErrorKind::NotCompiled,
        })
    });
    program.as_ref().map_err(Clone::clone)
}
