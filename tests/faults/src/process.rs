//! Roles of the real binary as processes, ended and stopped by their id.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Failure, Told, ensure};
use crate::wait::until;

/// A role that is not ready by then is broken.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What the contract allows for draining.
const DRAIN_WITHIN: Duration = Duration::from_secs(25);
/// Of a log that a failure shows.
const LOG_TAIL_LINES: usize = 12;

/// The binary under test: `SCIMFLEET_BIN`, else beside this program.
///
/// # Errors
/// When it was not built.
pub fn binary() -> Told<PathBuf> {
    if let Ok(path) = std::env::var("SCIMFLEET_BIN") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join("scimfleet")).find(|path| path.exists());
    found.ok_or_else(|| Failure::new("the binary is missing; run `cargo build --workspace`"))
}

/// A port that nobody listens on now.
///
/// # Errors
/// When loopback has none.
pub fn free_port() -> Told<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A running role. It is killed when the value goes.
#[derive(Debug)]
pub struct Role {
    /// `worker-1`, …
    pub name: String,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Role {
    /// Starts `scimfleet ROLE` with this environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, role: &str, folder: &Path, environment: &[(String, String)]) -> Told<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let log = folder.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let listen = if role == "console" { "SCIMFLEET_CONSOLE_LISTEN" } else { "SCIMFLEET_METRICS_LISTEN" };
        let child = Command::new(binary()?)
            .arg(role)
            .current_dir(folder)
            .env_remove("SCIMFLEET_LOG")
            .envs(environment.iter().cloned())
            .env(listen, address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()?;
        Ok(Self { name: name.to_owned(), child, address, log })
    }

    /// Where it serves `/metrics`, and the console its pages.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends, or does not get ready in time.
    pub async fn ready(&mut self) -> Told<()> {
        let (name, address) = (self.name.as_str(), self.address);
        let child = &mut self.child;
        let up = until(READY_WITHIN, "a role is ready", || {
            let ended = child.try_wait().ok().flatten();
            let answer = get(address, "/readyz");
            async move {
                ensure(ended.is_none(), || format!("{name} ended before it was ready"))?;
                Ok(answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200") || text.starts_with("HTTP/1.0 200")))
            }
        });
        up.await.map_err(|failure| Failure(format!("{}\n{}", failure.0, tail(&self.log))))
    }

    fn signal(&self, signal: Signal) -> Told<()> {
        let id = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(id).ok_or_else(|| Failure::new("no process id"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// SIGKILL, and waits for its end.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn kill(mut self) -> Told<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> Told<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(&self) -> Told<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM; how long it took to end with 0.
    ///
    /// # Errors
    /// When it takes longer than the contract allows, or ends otherwise.
    pub async fn drain(mut self) -> Told<Duration> {
        let began = std::time::Instant::now();
        self.signal(Signal::TERM)?;
        let child = &mut self.child;
        let mut code = None;
        until(DRAIN_WITHIN, "a role drains", || {
            let ended = child.try_wait();
            if let Ok(Some(status)) = &ended {
                code = status.code();
            }
            async move { Ok(ended?.is_some()) }
        })
        .await?;
        ensure(code == Some(0), || format!("{} ended with {code:?}\n{}", self.name, tail(&self.log)))?;
        Ok(began.elapsed())
    }

    /// A metric's samples, summed over all labels.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metric(&self, name: &str) -> Told<f64> {
        let text = get(self.address, "/metrics")?;
        Ok(text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Bytes of memory that it occupies now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory_bytes(&self) -> Told<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        Ok(kib * 1024)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// A GET without a library; the whole answer as text.
///
/// # Errors
/// When nobody answers.
pub fn get(address: SocketAddr, path: &str) -> Told<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A request with a body without a library; the whole answer as text.
///
/// # Errors
/// When nobody answers.
pub fn request(address: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> Told<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
