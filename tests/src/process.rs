//! Processes that the stories start, and end by their id.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A third-party server answers within this time, or the story fails.
const UP_WITHIN: Duration = Duration::from_secs(60);

/// The root of the repository.
///
/// # Panics
/// When the crate does not lie in the repository.
pub fn repository() -> PathBuf {
    match Path::new(env!("CARGO_MANIFEST_DIR")).parent() {
        Some(root) => root.to_path_buf(),
        None => panic!("the tests crate lies in the repository"),
    }
}

/// A port that nobody listens on now.
///
/// # Panics
/// When loopback has none.
pub fn free_port() -> u16 {
    match std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()) {
        Ok(address) => address.port(),
        Err(error) => panic!("no free port on loopback: {error}"),
    }
}

/// A third-party SCIM server from `tests/interop`.
#[derive(Debug)]
pub struct Interop {
    child: Child,
    /// Its base URL.
    pub base_url: String,
    /// The token that it demands.
    pub token: String,
}

impl Interop {
    /// Starts `tests/interop/<script>.sh`; `path` is its base path, `extra` further environment.
    ///
    /// # Panics
    /// When it does not come up in time.
    pub fn start(script: &str, path: &str, extra: &[(&str, &str)]) -> Self {
        let port = free_port();
        let token = format!("token-of-{script}");
        let file = repository().join(format!("tests/interop/{script}.sh"));
        let child = Command::new("bash")
            .arg(&file)
            .env("PORT", port.to_string())
            .env("TOKEN", &token)
            .envs(extra.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => panic!("{}: {error}", file.display()),
        };
        let server = Self { child, base_url: format!("http://127.0.0.1:{port}{path}"), token };
        until_it_listens(port, &format!("{script} (see tests/services/install.sh interop)"));
        server
    }
}

impl Interop {
    /// GET of a path below the base URL.
    ///
    /// # Panics
    /// When there is no JSON.
    pub fn get(&self, path: &str) -> serde_json::Value {
        crate::loopback::exchange(&format!("{}{path}", self.base_url), "GET", &self.token, None)
    }
}

impl Drop for Interop {
    fn drop(&mut self) {
        // The scripts exec the server, so that this id is the server's.
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("a third-party server could not be reaped");
        }
    }
}

/// A word that no other story of this machine has.
pub(crate) fn unique() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}_{}", std::process::id(), since.as_nanos())
}

/// Waits for a port on loopback.
///
/// # Panics
/// When nobody listens there in time.
pub(crate) fn until_it_listens(port: u16, who: &str) {
    let deadline = Instant::now() + UP_WITHIN;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{who} did not come up");
        pause();
    }
}

/// Between two looks at something outside this process, of which no signal comes.
pub fn pause() {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    if receiver.recv_timeout(Duration::from_millis(20)).is_ok() {
        unreachable!("nobody sends");
    }
}

/// Runs a Python script of the repository; the output on failure is the panic's message.
///
/// # Panics
/// When it does not end with 0.
pub fn run_python(script: &str, arguments: &[&str]) -> String {
    let file = repository().join(script);
    succeeds(script, Command::new("python3").arg("-B").arg(&file).args(arguments))
}

/// The standard output of a command; the output on failure is the panic's message.
///
/// # Panics
/// When it does not end with 0.
pub(crate) fn succeeds(script: &str, command: &mut Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => panic!(
            "{script} failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{script}: {error}"),
    }
}
