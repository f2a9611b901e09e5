//! Moves bytes between the two sides of one connection, as the mode says.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::Mode;

/// Bytes that are moved at once.
const PIECE_BYTES: usize = 16 * 1024;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Both sides said goodbye, or the time was up.
    Closed,
    /// Cut off.
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

/// Both directions until one of them is cut or both are done.
pub(super) async fn relay(client: &mut TcpStream, server: &mut TcpStream, mode: watch::Receiver<Mode>) -> Ending {
    let (client_reads, client_writes) = client.split();
    let (server_reads, server_writes) = server.split();
    let requests = pump(client_reads, server_writes, mode.clone(), Direction::Request);
    let answers = pump(server_reads, client_writes, mode.clone(), Direction::Answer);
    tokio::select! {
        () = cut(mode) => Ending::Reset,
        done = async { tokio::try_join!(requests, answers) } => done.err().unwrap_or(Ending::Closed),
    }
}

/// Waits for a mode that no open connection survives.
async fn cut(mut mode: watch::Receiver<Mode>) {
    if mode.wait_for(|mode| matches!(mode, Mode::Down | Mode::Reset)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut mode: watch::Receiver<Mode>,
    direction: Direction,
) -> Result<(), Ending> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut passed = 0;
    loop {
        let step = Step::of(*mode.borrow_and_update(), direction);
        let reading = step.piece_bytes > 0;
        let length = step.piece_bytes.clamp(1, PIECE_BYTES);
        tokio::select! {
            changed = mode.changed() => changed.map_err(|_| Ending::Closed)?,
            () = end_after(step.end_after) => return Err(Ending::Closed),
            read = from.read(&mut buffer[..length]), if reading => match read {
                Ok(0) => return to.shutdown().await.map_err(broken),
                Ok(count) => {
                    pause(step.pause, &mut mode).await;
                    let allowed = count.min(step.bytes_max.saturating_sub(passed));
                    to.write_all(&buffer[..allowed]).await.map_err(broken)?;
                    passed += allowed;
                    if passed >= step.bytes_max {
                        return Err(Ending::Reset);
                    }
                }
                Err(error) => return Err(broken(error)),
            },
        }
    }
}

/// A side that broke off is a cut for the other side, too.
fn broken(_: io::Error) -> Ending {
    Ending::Reset
}

async fn end_after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Holds a piece back, but not beyond a change of mode.
async fn pause(time: Duration, mode: &mut watch::Receiver<Mode>) {
    if time.is_zero() {
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = mode.changed() => mode.mark_changed(),
    }
}

/// What a mode means for one direction.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Bytes that may pass at once; 0 stalls.
    piece_bytes: usize,
    /// Time that each piece is held back.
    pause: Duration,
    /// Bytes after which the connection is reset.
    bytes_max: usize,
    /// Time after which the connection is closed.
    end_after: Option<Duration>,
}

impl Step {
    fn of(mode: Mode, direction: Direction) -> Self {
        let pass = Self { piece_bytes: PIECE_BYTES, pause: Duration::ZERO, bytes_max: usize::MAX, end_after: None };
        match (mode, direction) {
            (Mode::BlackHole | Mode::Down | Mode::Reset, _) => Self { piece_bytes: 0, ..pass },
            (Mode::Latency(pause), _) => Self { pause, ..pass },
            (Mode::SlowClose(time), Direction::Answer) => Self { piece_bytes: 0, end_after: Some(time), ..pass },
            (Mode::Trickle { bytes, every }, Direction::Answer) => {
                Self { piece_bytes: bytes.max(1), pause: every, ..pass }
            }
            (Mode::CutAfter(bytes_max), Direction::Answer) => Self { bytes_max, ..pass },
            (Mode::Pass | Mode::SlowClose(_) | Mode::Trickle { .. } | Mode::CutAfter(_), _) => pass,
        }
    }
}
