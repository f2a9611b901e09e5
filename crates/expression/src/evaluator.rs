//! The evaluator: batches in, results out, whatever the expressions do to their child.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use scimfleet_core::ResourceKind;
use tokio::sync::Semaphore;

use crate::native::BuiltIn;
use crate::process::{End, Process};
use crate::wire::{self, Answer, Form, Header, ObjectFrame, ProgramText, Task};
use crate::{
    Batch, CompileError, ErrorKind, EvaluatorConfig, Expression, ExpressionError, GroupView, MappingResult,
    ObjectEvaluation, ObjectView, ProviderView,
};

/// The name that errors of a scope expression carry in place of a mapping's.
const SCOPE: &str = "scope";

/// Evaluates expressions in children. Cheap to clone; children start when they are needed and stay.
#[derive(Debug, Clone)]
pub struct Evaluator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: EvaluatorConfig,
    slots: Semaphore,
    idle: Mutex<Vec<Process>>,
}

/// Nothing could be evaluated. It is not the expressions' doing: try again later.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    /// A child did not come up.
    #[error("could not start the expression child `{}`: {source}; is it executable, and is there memory left?", program.display())]
    Start {
        /// What was started.
        program: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A batch that does not fit into a frame.
    #[error("could not hand a batch to the expression child: {0}; send fewer objects")]
    Encode(#[source] io::Error),
    /// A child answered something else than it was asked.
    #[error("the expression child answered out of turn; do both sides run the same version?")]
    OutOfTurn,
}

/// A batch, ready to be sent, as often as it takes.
struct Job<'a> {
    task: Task,
    programs: Vec<ProgramText<'a>>,
    provider: &'a ProviderView,
    groups: Vec<&'a GroupView>,
    frames: Vec<u8>,
    /// Where each object's frame begins in `frames`.
    starts: Vec<usize>,
}

impl Evaluator {
    /// An evaluator without children yet.
    pub fn new(config: EvaluatorConfig) -> Self {
        let slots = Semaphore::new(config.children.max(1));
        Self { shared: Arc::new(Shared { config, slots, idle: Mutex::new(Vec::new()) }) }
    }

    /// Evaluates every mapping for every object, in one round trip; results stand in the order of the objects.
    ///
    /// # Errors
    /// Only when no child can be had; what an expression does wrong is in the results.
    pub async fn evaluate(&self, batch: Batch<'_>) -> Result<Vec<ObjectEvaluation>, EvaluatorError> {
        let built_in: Vec<_> = batch.expressions.iter().map(BuiltIn::of).collect();
        if built_in.iter().all(Option::is_none) {
            return self.interpret(&batch.expressions, &batch.provider, &batch.objects).await;
        }
        let limits = &self.shared.config.limits;
        let native = |object: &ObjectView| -> Option<Vec<Option<MappingResult>>> {
            // One odd answer makes the whole object the interpreter's.
            built_in
                .iter()
                .map(|one| one.map(|one| one.evaluate(object, limits).ok_or(())).transpose())
                .collect::<Result<_, _>>()
                .ok()
        };
        let answers: Vec<_> = batch.objects.iter().map(native).collect();
        let own: Vec<Expression> = batch
            .expressions
            .iter()
            .zip(&built_in)
            .filter(|(_, known)| known.is_none())
            .map(|(one, _)| one.clone())
            .collect();
        let (mut usual, mut odd) = (Vec::new(), Vec::new());
        for (object, answer) in batch.objects.into_iter().zip(&answers) {
            match answer {
                Some(_) if own.is_empty() => {}
                Some(_) => usual.push(object),
                None => odd.push(object),
            }
        }
        let mut usual = self.interpret(&own, &batch.provider, &usual).await?.into_iter();
        let mut odd = self.interpret(&batch.expressions, &batch.provider, &odd).await?.into_iter();
        let merged = answers.into_iter().map(|answer| match answer {
            None => odd.next(),
            Some(native) => {
                let own = if own.is_empty() { Vec::new() } else { usual.next()?.results };
                let mut own = own.into_iter();
                let results = native.into_iter().map(|known| known.or_else(|| own.next()));
                Some(ObjectEvaluation { results: results.collect::<Option<_>>()? })
            }
        });
        merged.map(|one| one.ok_or(EvaluatorError::OutOfTurn)).collect()
    }

    /// Every mapping for every object, by a child.
    async fn interpret(
        &self,
        expressions: &[Expression],
        provider: &ProviderView,
        objects: &[ObjectView<'_>],
    ) -> Result<Vec<ObjectEvaluation>, EvaluatorError> {
        let programs: Vec<_> = expressions.iter().map(body).collect();
        if programs.is_empty() || objects.is_empty() {
            return Ok(objects.iter().map(|_| ObjectEvaluation { results: Vec::new() }).collect());
        }
        let width = programs.len();
        let answers = self.run(&self.job(programs, provider, objects)?).await?;
        let mut answers = answers.into_iter().map(|answer| match answer {
            Answer::Result(result) => Ok(result),
            _ => Err(EvaluatorError::OutOfTurn),
        });
        let one = |_| Ok(ObjectEvaluation { results: answers.by_ref().take(width).collect::<Result<_, _>>()? });
        objects.iter().map(one).collect()
    }

    /// Evaluates a scope expression: whether each object is in scope, by Python's idea of truth.
    ///
    /// # Errors
    /// Only when no child can be had. An [`ExpressionError`] in the results is no verdict (R11).
    pub async fn evaluate_scope(
        &self,
        expression: &Arc<str>,
        provider: &ProviderView,
        objects: Vec<ObjectView<'_>>,
    ) -> Result<Vec<Result<bool, ExpressionError>>, EvaluatorError> {
        let answers = self.run(&self.job(vec![scope(expression)], provider, &objects)?).await?;
        let verdict = |answer| match answer {
            Answer::Verdict(verdict) => Ok(Ok(verdict)),
            Answer::Result(MappingResult::Failed(error)) => Ok(Err(error)),
            _ => Err(EvaluatorError::OutOfTurn),
        };
        answers.into_iter().map(verdict).collect()
    }

    /// Whether a mapping's text can run, and asks for nothing that expressions cannot have.
    ///
    /// # Errors
    /// The first mistake, with its place in the text.
    pub async fn check(&self, expression: &Expression) -> Result<(), CompileError> {
        self.check_program(body(expression)).await
    }

    /// Whether a scope expression's text can run.
    ///
    /// # Errors
    /// The first mistake, with its place in the text.
    pub async fn check_scope(&self, expression: &str) -> Result<(), CompileError> {
        self.check_program(scope(expression)).await
    }

    /// The ids of the idle children, for a test that ends one from outside.
    #[doc(hidden)]
    pub fn idle_children(&self) -> Vec<u32> {
        let idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().filter_map(Process::id).collect()
    }

    async fn check_program(&self, program: ProgramText<'_>) -> Result<(), CompileError> {
        let (name, source) = (program.name.clone(), program.source.clone());
        let provider = ProviderView::default();
        let refuse = |message: String| CompileError::at(&name, &source, 1, 1, message);
        let job = Job {
            task: Task::Check,
            programs: vec![program],
            provider: &provider,
            groups: Vec::new(),
            frames: Vec::new(),
            starts: Vec::new(),
        };
        let mut answers = self.run(&job).await.map_err(|error| refuse(error.to_string()))?;
        match answers.pop() {
            Some(Answer::Checked) => Ok(()),
            Some(Answer::Refused(error)) => Err(error),
            Some(Answer::Result(MappingResult::Failed(error))) => Err(refuse(error.message)),
            _ => Err(refuse(EvaluatorError::OutOfTurn.to_string())),
        }
    }

    fn job<'a>(
        &self,
        programs: Vec<ProgramText<'a>>,
        provider: &'a ProviderView,
        objects: &'a [ObjectView<'a>],
    ) -> Result<Job<'a>, EvaluatorError> {
        let mut table = GroupTable::default();
        let wanted = programs.iter().any(|program| crate::model::reads_groups(&program.source));
        let (mut frames, mut starts) = (Vec::with_capacity(objects.len() * 1024), Vec::with_capacity(objects.len()));
        for object in objects {
            let start = frames.len();
            starts.push(start);
            let groups =
                if wanted { object.groups.iter().map(|group| table.index(group)).collect() } else { Vec::new() };
            wire::encode(&mut frames, &object_frame(object, groups)).map_err(EvaluatorError::Encode)?;
            if frames.len() - start > self.shared.config.limits.resource_bytes {
                frames.truncate(start);
                wire::encode(&mut frames, &()).map_err(EvaluatorError::Encode)?;
            }
        }
        Ok(Job { task: Task::Evaluate, programs, provider, groups: table.groups, frames, starts })
    }

    /// Has a job done, by as many children as it takes. Answers are buffered by a child until it has done all
    /// or some time has passed; when one dies, what is unanswered goes to a new child that answers one by
    /// one, so that its death names the object and the mapping.
    async fn run(&self, job: &Job<'_>) -> Result<Vec<Answer>, EvaluatorError> {
        let _slot = self.shared.slots.acquire().await;
        let limits = &self.shared.config.limits;
        let mut answers = Vec::with_capacity(job.expected());
        let mut careful = false;
        while answers.len() < job.expected() {
            let mut process = self.take().await?;
            let header = job.header(&answers, careful).map_err(EvaluatorError::Encode)?;
            let missing = job.expected() - answers.len();
            let parts = [header.as_slice(), job.frames_after(answers.len())];
            match process.exchange(&parts, missing, limits.silence, &mut answers).await {
                Ok(()) => self.give_back(process),
                Err(end) if careful => {
                    let error = job.blame(answers.len(), end);
                    tracing::warn!(mapping = %error.mapping, kind = ?error.kind, "an expression ended its child");
                    answers.push(Answer::failed(error));
                }
                Err(_) => careful = true,
            }
        }
        Ok(answers)
    }

    async fn take(&self) -> Result<Process, EvaluatorError> {
        let idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(process) => Ok(process),
            None => Process::start(&self.shared.config.program, &self.shared.config.limits).await,
        }
    }

    fn give_back(&self, process: Process) {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }
}

impl Job<'_> {
    /// How many answers there will be.
    fn expected(&self) -> usize {
        match self.task {
            Task::Check => self.programs.len(),
            Task::Evaluate => self.programs.len() * self.starts.len(),
        }
    }

    fn header(&self, answers: &[Answer], careful: bool) -> io::Result<Vec<u8>> {
        let width = self.programs.len();
        let mut costly = vec![0; width];
        for (position, answer) in answers.iter().enumerate() {
            if answer.error_kind().is_some_and(ErrorKind::is_costly) {
                costly[position % width] += 1;
            }
        }
        let mut out = Vec::new();
        let header = Header {
            task: self.task,
            programs: Cow::Borrowed(&self.programs),
            provider: Cow::Borrowed(self.provider),
            groups: self.groups.iter().map(|group| Cow::Borrowed(*group)).collect(),
            objects: self.starts.len().saturating_sub(answers.len() / width),
            answered: answers.len() % width,
            careful,
            costly,
        };
        wire::encode(&mut out, &header)?;
        Ok(out)
    }

    fn frames_after(&self, answered: usize) -> &[u8] {
        let start = self.starts.get(answered / self.programs.len()).copied().unwrap_or(self.frames.len());
        &self.frames[start..]
    }

    /// The error of the evaluation at `position`, which ended a child.
    fn blame(&self, position: usize, end: End) -> ExpressionError {
        let (kind, message) = match end {
            End::Silent => (ErrorKind::Timeout, "no answer in time; the child was replaced"),
            End::OutOfMemory => (ErrorKind::Memory, "needs more memory than an expression may take"),
            End::OutOfStack => (ErrorKind::Depth, "calls or nests too deeply"),
            End::Died => (ErrorKind::ChildDied, "the child died while it evaluated this object"),
        };
        let mapping = self.programs[position % self.programs.len()].name.clone().into_owned();
        ExpressionError { mapping, line: None, column: None, message: message.to_owned(), kind }
    }
}

/// The groups of a batch, each once.
#[derive(Default)]
struct GroupTable<'a> {
    groups: Vec<&'a GroupView>,
    indexes: HashMap<&'a str, usize>,
}

impl<'a> GroupTable<'a> {
    fn index(&mut self, group: &'a GroupView) -> usize {
        *self.indexes.entry(&group.id).or_insert_with(|| {
            self.groups.push(group);
            self.groups.len() - 1
        })
    }
}

fn body(expression: &Expression) -> ProgramText<'_> {
    ProgramText {
        name: Cow::Borrowed(&expression.name),
        kind: expression.kind,
        form: Form::Body,
        source: Cow::Borrowed(&expression.source),
    }
}

fn scope(expression: &str) -> ProgramText<'_> {
    ProgramText {
        name: Cow::Borrowed(SCOPE),
        kind: ResourceKind::User,
        form: Form::Scope,
        source: Cow::Borrowed(expression),
    }
}

fn object_frame<'a>(object: &'a ObjectView<'_>, groups: Vec<usize>) -> ObjectFrame<'a> {
    ObjectFrame {
        kind: object.kind,
        id: &object.id,
        external_id: object.external_id.as_deref(),
        service_account: object.service_account,
        groups,
        document: &object.document,
    }
}
