//! A TCP proxy that breaks connections on demand: between a client and a broker, a database, Redis or a
//! service provider, switched while it runs.
//!
//! It knows nothing of what passes through it.

mod pump;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use pump::{Ending, relay};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Time until listening is tried again, should the port not be free at once.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// What happens to connections, those that are open included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Bytes pass both ways.
    #[default]
    Pass,
    /// Every piece passes after this time.
    Latency(Duration),
    /// Nobody listens: new connections are refused, open ones are reset.
    Down,
    /// Connections are accepted, nothing passes, nothing ends.
    BlackHole,
    /// New and open connections are reset.
    Reset,
    /// What the client says passes; the answer is withheld, and the connection ends after this time.
    SlowClose(Duration),
    /// Answers pass in pieces of so many bytes at most, one in each interval.
    Trickle {
        /// Bytes in a piece.
        bytes: usize,
        /// Time between pieces.
        every: Duration,
    },
    /// A connection is reset once so many bytes of answers have passed through it.
    CutAfter(usize),
}

/// A running proxy. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    listening: watch::Receiver<bool>,
    accepted: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Proxy {
    /// Listens on 127.0.0.1 on a free port and forwards to `upstream`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let holder = socket()?;
        holder.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = holder.local_addr()?;
        let (mode, mode_seen) = watch::channel(Mode::Pass);
        let (listening_now, mut listening) = watch::channel(false);
        let (accepted, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let front = Front {
            upstream,
            address,
            mode: mode_seen,
            listening: listening_now,
            accepted: Arc::clone(&accepted),
            stop: stop.clone(),
            _holder: holder,
        };
        tokio::spawn(front.run());
        let _ = listening.wait_for(|up| *up).await;
        Ok(Self { address, mode, listening, accepted, stop })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Switches; returns when new connections meet the new mode.
    pub async fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        let up = mode != Mode::Down;
        let _ = self.listening.clone().wait_for(|listening| *listening == up).await;
    }

    /// The mode now.
    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

fn socket() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // The port stays ours while nobody listens, so that "down" refuses and "up" finds it free.
    socket.set_reuseport(true)?;
    Ok(socket)
}

/// The accepting side.
struct Front {
    upstream: SocketAddr,
    address: SocketAddr,
    mode: watch::Receiver<Mode>,
    listening: watch::Sender<bool>,
    accepted: Arc<AtomicU64>,
    stop: CancellationToken,
    _holder: TcpSocket,
}

impl Front {
    async fn run(mut self) {
        let mut listener = None;
        loop {
            let mode = *self.mode.borrow_and_update();
            if mode == Mode::Down {
                listener = None;
            } else if listener.is_none() {
                listener = self.listen().ok();
            }
            self.listening.send_replace(listener.is_some());
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = self.mode.changed() => if changed.is_err() { return },
                Ok((client, _)) = accept(listener.as_ref()) => self.serve(client),
                () = tokio::time::sleep(RETRY_AFTER), if listener.is_none() && mode != Mode::Down => {}
            }
        }
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let socket = socket()?;
        socket.bind(self.address)?;
        socket.listen(BACKLOG)
    }

    fn serve(&self, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let (upstream, mode, stop) = (self.upstream, self.mode.clone(), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = connect_and_relay(client, upstream, mode) => {}
            }
        });
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn connect_and_relay(mut client: TcpStream, upstream: SocketAddr, mode: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    if relay(&mut client, &mut server, mode).await == Ending::Reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

#[cfg(test)]
mod tests;
