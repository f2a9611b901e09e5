//! One child process: starting it, talking to it under a watchdog, and telling why it ended.
//!
//! It never decides whose fault an end is: that is the evaluator's.

use std::io;
use std::path::Path;
use std::process::Stdio;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{Duration, timeout};

use crate::wire::{self, Answer, Hello, Ready};
use crate::{CHILD_ARGUMENT, EvaluatorError, Limits};

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
}

/// How a job ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// No answer in time; the child is killed.
    Silent,
    /// An allocation was refused.
    OutOfMemory,
    /// The native stack was used up.
    OutOfStack,
    /// Anything else: a signal, a crash, a broken frame.
    Died,
}

impl Process {
    /// Starts `program` as a child and waits until it has put itself in jail.
    pub(crate) async fn start(program: &Path, limits: &Limits) -> Result<Self, EvaluatorError> {
        let failed = |source| EvaluatorError::Start { program: program.to_owned(), source };
        // One arena: a second one would reserve 64 MB of the address space that is limited.
        let mut child = Command::new(program)
            .arg(CHILD_ARGUMENT)
            .env_clear()
            .env("MALLOC_ARENA_MAX", "1")
            .current_dir("/")
            // Ctrl-C at a terminal reaches the whole group: the worker drains, and needs its children for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(failed(io::Error::other("the child has no pipes")));
        };
        let mut process = Self { child, input, output: BufReader::with_capacity(64 << 10, output), errors };
        match timeout(limits.start_time, process.greet(limits)).await {
            Ok(outcome) => outcome.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        }
        Ok(process)
    }

    async fn greet(&mut self, limits: &Limits) -> io::Result<()> {
        self.input.write_all(&frame(&Hello { limits: limits.clone() })?).await?;
        let ready: Ready = self.next().await?;
        if ready.ready { Ok(()) } else { Err(io::Error::other("the child could not put itself in jail")) }
    }

    /// Sends `job` while reading `expected` answers into `answers`.
    ///
    /// # Errors
    /// The [`End`] of a child that must not be used again; `answers` holds what it said before.
    pub(crate) async fn exchange(
        &mut self,
        job: &[&[u8]],
        expected: usize,
        silence: Duration,
        answers: &mut Vec<Answer>,
    ) -> Result<(), End> {
        match self.converse(job, expected, silence, answers).await {
            Err(End::Died) => Err(self.cause_of_death().await),
            outcome => outcome,
        }
    }

    async fn converse(
        &mut self,
        job: &[&[u8]],
        expected: usize,
        silence: Duration,
        answers: &mut Vec<Answer>,
    ) -> Result<(), End> {
        let Self { input, output, .. } = self;
        let send = async {
            for part in job {
                // A broken pipe shows on the reading side, too, and there with what was answered before.
                if input.write_all(part).await.is_err() {
                    break;
                }
            }
        };
        let receive = async {
            for _ in 0..expected {
                match timeout(silence, read(output)).await {
                    Ok(Ok(answer)) => answers.push(answer),
                    Ok(Err(_)) => return Err(End::Died),
                    Err(_) => return Err(End::Silent),
                }
            }
            Ok(())
        };
        tokio::pin!(send, receive);
        tokio::select! {
            outcome = &mut receive => outcome,
            () = &mut send => receive.await,
        }
    }

    async fn next<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        read(&mut self.output).await
    }

    /// What the Rust runtime wrote before it aborted. Signals alone do not tell: both a refused allocation and
    /// a full stack end in SIGABRT.
    async fn cause_of_death(&mut self) -> End {
        let _ = self.child.start_kill();
        let mut text = Vec::new();
        let _ = timeout(Duration::from_secs(1), (&mut self.errors).take(4096).read_to_end(&mut text)).await;
        let text = String::from_utf8_lossy(&text);
        let end = if text.contains("memory allocation of") {
            End::OutOfMemory
        } else if text.contains("overflowed its stack") {
            End::OutOfStack
        } else {
            End::Died
        };
        tracing::debug!(cause = ?end, "expression child ended");
        end
    }

    /// The operating system's id of the child, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }
}

async fn read<T: DeserializeOwned>(output: &mut BufReader<ChildStdout>) -> io::Result<T> {
    let mut length = [0; 4];
    output.read_exact(&mut length).await?;
    let mut frame = vec![0; wire::frame_length(length)?];
    output.read_exact(&mut frame).await?;
    Ok(serde_json::from_slice(&frame)?)
}

fn frame(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    wire::encode(&mut out, value)?;
    Ok(out)
}
