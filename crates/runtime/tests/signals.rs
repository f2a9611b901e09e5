//! Signals, sent for real to a process of their own.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use scimfleet_runtime::drain::{Drain, Drained};

/// Set in the child that [`child`] starts.
const ROLE: &str = "SIGNALS_TEST_LINGERS";

/// Starts this test binary again as a process that drains; it lingers when told so.
fn child(lingers: bool) -> (Child, BufReader<std::process::ChildStdout>) {
    let binary = std::env::current_exe().unwrap();
    let mut child = Command::new(binary)
        .args(["--exact", "a_process_that_drains", "--nocapture"])
        .env(ROLE, lingers.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    wait_for(&mut output, "listening");
    (child, output)
}

fn wait_for(output: &mut impl std::io::BufRead, word: &str) {
    let found = output.lines().any(|line| line.unwrap().contains(word));
    assert!(found, "the process ended before it said `{word}`");
}

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// No test by itself: the body of the children, and done at once in the parent.
#[tokio::test]
async fn a_process_that_drains() {
    let Ok(lingers) = std::env::var(ROLE) else { return };
    let drain = Drain::default();
    drain.on_signals().unwrap();
    let role = drain.clone();
    drain.spawn(async move {
        role.begun().await;
        println!("draining");
        if lingers == "true" {
            std::future::pending::<()>().await;
        }
    });
    println!("listening");
    assert_eq!(drain.finish().await, Drained::Finished);
}

#[test]
fn one_signal_drains_and_ends_well() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, _output) = child(false);
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let (mut child, mut output) = child(true);
    send("-TERM", &child);
    wait_for(&mut output, "draining");
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
