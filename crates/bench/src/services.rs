//! Real RabbitMQ, PostgreSQL and Redis, and clusters of real roles on them: by the scripts that the tests
//! use. A script runs until the file that it waits for is gone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::figure::{BenchError, wrong};
use crate::machine::rest;

/// RabbitMQ takes some seconds, on a busy machine many.
const START_WITHIN: Duration = Duration::from_secs(120);
/// Roles drain for up to 25 s.
const END_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Writes its environment where it is told, then waits.
const HOLD: &str = r#"env -0 > "$1.new" && mv "$1.new" "$1" && while [ -e "$2" ]; do sleep 0.1; done"#;
/// By these the tests find services.
const URLS: [&str; 3] = ["SCIMFLEET_TEST_AMQP_URL", "SCIMFLEET_TEST_POSTGRES_URL", "SCIMFLEET_TEST_REDIS_URL"];

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(name)
}

/// A script that keeps something running, and the environment that it gave.
struct Held {
    child: Child,
    environment: HashMap<String, String>,
    folder: tempfile::TempDir,
}

impl Held {
    /// Starts `command` with a waiting shell as its last arguments.
    fn start(mut command: Command) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir()?;
        let (told, hold) = (folder.path().join("environment"), folder.path().join("hold"));
        std::fs::write(&hold, "")?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        command.args(["--", "sh", "-c", HOLD, "sh"]).arg(&told).arg(&hold);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut held = Self { child, environment: HashMap::new(), folder };
        let began = Instant::now();
        while !told.exists() {
            if held.child.try_wait()?.is_some() || began.elapsed() > START_WITHIN {
                let log = std::fs::read_to_string(held.folder.path().join("log")).unwrap_or_default();
                return wrong(format!("services did not start: {log}"));
            }
            rest(LOOK_EVERY);
        }
        let text = std::fs::read(&told)?;
        held.environment = String::from_utf8_lossy(&text)
            .split('\0')
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(held)
    }

    fn end(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("hold"));
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > END_WITHIN {
                let _ = self.child.kill();
            }
            rest(LOOK_EVERY);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

/// The three services; they end when this is dropped.
pub(crate) struct Services {
    environment: HashMap<String, String>,
    held: Option<Held>,
}

impl Services {
    /// Those named in the environment, else private ones.
    pub(crate) fn start() -> Result<Self, BenchError> {
        let named: HashMap<String, String> =
            URLS.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
        if named.len() == URLS.len() {
            return Ok(Self { environment: named, held: None });
        }
        let held = Held::start(Command::new(script("services/with-services.sh")))?;
        let environment =
            URLS.iter().filter_map(|name| Some(((*name).to_owned(), held.environment.get(*name)?.clone()))).collect();
        Ok(Self { environment, held: Some(held) })
    }

    /// The process below which the services run, if they are ours.
    pub(crate) fn root(&self) -> Option<u32> {
        self.held.as_ref().map(|held| held.child.id())
    }
}

/// A scheduler, workers and a console on a database of their own.
pub(crate) struct Cluster {
    held: Held,
}

impl Cluster {
    pub(crate) fn start(
        services: &Services,
        binary: &Path,
        workers: usize,
        settings: &[(&str, String)],
    ) -> Result<Self, BenchError> {
        let mut command = Command::new(script("cluster.sh"));
        command.args(["--workers", &workers.to_string()]);
        command.envs(&services.environment).env("SCIMFLEET_BIN", binary).envs(settings.iter().cloned());
        Ok(Self { held: Held::start(command)? })
    }

    /// What a command needs to reach it.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&String, &String)> {
        let ours = |name: &str| name.starts_with("SCIMFLEET_") && !name.starts_with("SCIMFLEET_CLUSTER");
        self.held.environment.iter().filter(move |(name, _)| ours(name))
    }

    pub(crate) fn root(&self) -> u32 {
        self.held.child.id()
    }
}
