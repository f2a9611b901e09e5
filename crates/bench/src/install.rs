//! An installation of the real binary, embedded or as a cluster, with a directory and a fleet: what a case
//! imports into, synchronises and watches.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use scimfleet_testkit::directory::SampleDirectory;

use crate::figure::{BenchError, wrong};
use crate::machine::{Usage, Watch};
use crate::raw::IN_FLIGHT;
use crate::services::{Cluster, Services};
use crate::target::Target;

/// Where the work is done.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In the process of the command, on SQLite.
    Embedded,
    /// By so many workers on real services.
    Cluster { services: &'a Services, workers: usize },
}

impl Place<'_> {
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Cluster { workers: 1, .. } => "cluster, 1 worker".to_owned(),
            Self::Cluster { workers, .. } => format!("cluster, {workers} workers"),
        }
    }
}

/// One installation; everything of it goes when it is dropped.
pub(crate) struct Installation {
    binary: PathBuf,
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    cluster: Option<Cluster>,
    services_root: Option<u32>,
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) report: Value,
    pub(crate) wall_s: f64,
    pub(crate) usage: Usage,
}

impl Done {
    pub(crate) fn run(&self) -> &Value {
        &self.report["runs"][0]
    }

    /// From the run's beginning to its end, by its own report.
    pub(crate) fn run_s(&self) -> f64 {
        self.run()["duration_ms"].as_f64().unwrap_or(f64::NAN) / 1000.0
    }

    pub(crate) fn expect(&self, counter: &str, expected: usize) -> Result<(), BenchError> {
        let run = self.run();
        if run["counts"][counter].as_u64() == Some(expected as u64) && run["state"] == "completed" {
            return Ok(());
        }
        wrong(format!("{counter} should be {expected}: {run}"))
    }
}

/// The binary that stands beside this one.
pub(crate) fn binary() -> Result<PathBuf, BenchError> {
    let path = std::env::current_exe()?.with_file_name("scimfleet");
    if path.exists() {
        return Ok(path);
    }
    wrong(format!("{} is missing; run `cargo build --release` first", path.display()))
}

impl Installation {
    pub(crate) fn new(place: Place<'_>, settings: &[(&str, String)]) -> Result<Self, BenchError> {
        let (binary, folder) = (binary()?, tempfile::tempdir()?);
        let mut environment: Vec<(String, String)> = Vec::new();
        let (mut cluster, mut services_root) = (None, None);
        match place {
            Place::Embedded => {
                let put = |name: &str, file: &str| (name.to_owned(), folder.path().join(file).display().to_string());
                environment.push(put("SCIMFLEET_SECRETS_KEY_FILE", "bench.key"));
                let (name, file) = put("SCIMFLEET_STORE_URL", "bench.db");
                environment.push((name, format!("sqlite://{file}")));
                environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            }
            Place::Cluster { services, workers } => {
                let made = Cluster::start(services, &binary, workers, settings)?;
                environment.extend(made.environment().map(|(name, value)| (name.clone(), value.clone())));
                services_root = services.root();
                cluster = Some(made);
            }
        }
        Ok(Self { binary, folder, environment, cluster, services_root })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command and watches it, the cluster, and the services where they are ours. The provider lives in
    /// this process: its runtime goes on meanwhile.
    pub(crate) async fn call(&self, arguments: &[&str]) -> Result<Done, BenchError> {
        let mut command = self.command(arguments);
        command.args(["--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let child = command.spawn()?;
        let roots = [Some(child.id()), self.cluster.as_ref().map(Cluster::root), self.services_root];
        let watch = Watch::start(roots.into_iter().flatten().collect());
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
        let wall_s = began.elapsed().as_secs_f64();
        let usage = watch.stop();
        if !output.status.success() {
            return wrong(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(Done { report: serde_json::from_slice(&output.stdout)?, wall_s, usage })
    }

    /// Imports a whole sample directory.
    pub(crate) async fn import(&self, sample: SampleDirectory) -> Result<Done, BenchError> {
        let file = self.folder.path().join("people.jsonl");
        sample.write_jsonl(&mut std::io::BufWriter::new(std::fs::File::create(&file)?))?;
        self.import_file(&file).await
    }

    pub(crate) async fn import_file(&self, file: &Path) -> Result<Done, BenchError> {
        self.call(&["import", &file.display().to_string()]).await
    }

    /// Configures one provider for each target, with `more` in its table.
    pub(crate) async fn apply(&self, targets: &[(String, &Target)], more: &str) -> Result<(), BenchError> {
        let mut fleet = String::new();
        for (name, target) in targets {
            let (url, token) = (target.base_url(), target.provider().token());
            let in_flight =
                if more.contains("in_flight") { String::new() } else { format!("in_flight = {IN_FLIGHT}\n") };
            fleet.push_str(&format!(
                "[[provider]]\nname = \"{name}\"\nbase_url = \"{url}\"\nschedule = \"off\"\n{in_flight}{more}\n\
                 auth = {{ kind = \"bearer\", token = {{ value = \"{token}\" }} }}\n",
            ));
        }
        let file = self.folder.path().join("fleet.toml");
        std::fs::write(&file, fleet)?;
        self.call(&["apply", &file.display().to_string()]).await.map(drop)
    }

    pub(crate) async fn sync(&self, provider: &str) -> Result<Done, BenchError> {
        self.call(&["sync", provider, "--wait"]).await
    }
}
