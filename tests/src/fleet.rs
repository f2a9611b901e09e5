//! The real binary with a folder of its own: database, key file and the files that a story writes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What one call of the binary did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// The JSON document on its standard output; `null` when there is none.
    pub json: Value,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    fn of(output: &std::process::Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            json: serde_json::from_str(&stdout).unwrap_or_default(),
            stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The only run of a report.
    ///
    /// # Panics
    /// When there is none or several.
    pub fn run(&self) -> &Value {
        match self.json["runs"].as_array().map(Vec::as_slice) {
            Some([run]) => run,
            other => panic!("one run was expected: {other:?}\n{}", self.stderr),
        }
    }

    /// A counter of the only run.
    pub fn count(&self, counter: &str) -> u64 {
        self.run()["counts"][counter].as_u64().unwrap_or(u64::MAX)
    }

    /// The writes of the only run.
    pub fn writes(&self) -> u64 {
        let requests = &self.run()["requests"];
        ["POST", "PUT", "PATCH", "DELETE", "bulk_operations"]
            .iter()
            .map(|method| requests[method].as_u64().unwrap_or_default())
            .sum()
    }

    /// Fails unless the exit code is this one.
    ///
    /// # Panics
    /// When it is another.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A `[[provider]]` table with a bearer token.
pub fn provider_table(name: &str, base_url: &str, token: &str, more: &str) -> String {
    format!(
        "[[provider]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\n\
         auth = {{ kind = \"bearer\", token = {{ value = \"{token}\" }} }}\n{more}\n"
    )
}

/// The binary in a temporary folder.
#[derive(Debug)]
pub struct Fleet {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::embedded()
    }
}

impl Fleet {
    /// Embedded: SQLite in the folder, everything in one process.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn embedded() -> Self {
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        let path = |name: &str| folder.path().join(name).display().to_string();
        let environment = vec![
            ("SCIMFLEET_STORE_URL".to_owned(), format!("sqlite://{}", path("scimfleet.db"))),
            ("SCIMFLEET_SECRETS_KEY_FILE".to_owned(), path("scimfleet.key")),
            ("SCIMFLEET_CONSOLE_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ];
        Self { folder, environment }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the folder and returns its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        if let Err(error) = std::fs::write(&path, text) {
            panic!("{}: {error}", path.display());
        }
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("SCIMFLEET_LOG").envs(self.environment.iter().cloned());
        command
    }

    /// A line for a shell in which `scimfleet` is this binary.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        let folder = binary().parent().map(Path::to_path_buf).unwrap_or_default();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        command.args(["-c", line]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("SCIMFLEET_LOG").env("PATH", path).envs(self.environment.iter().cloned());
        command
    }

    /// One more variable for whatever is run.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When the binary cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        match self.command(arguments).output() {
            Ok(output) => Ran::of(&output),
            Err(error) => panic!("{}: {error}", binary().display()),
        }
    }

    /// Runs a line as a person would type it into a shell.
    ///
    /// # Panics
    /// When there is no shell.
    pub fn run_line(&self, line: &str) -> Ran {
        match self.shell(line).output() {
            Ok(output) => Ran::of(&output),
            Err(error) => panic!("bash: {error}"),
        }
    }

    /// Runs a script of `tests/browser` with a browser at hand, and the binary as this fleet has it.
    ///
    /// # Panics
    /// When it does not end with 0.
    pub fn in_browser(&self, script: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("bash");
        command.arg(crate::repository().join("tests/browser/browser.sh")).arg(script).args(arguments);
        command.current_dir(self.folder.path()).envs(self.environment.iter().cloned()).env("SCIMFLEET_BIN", binary());
        crate::process::succeeds(script, &mut command)
    }

    /// Starts a role in the background; it is killed when the value goes.
    ///
    /// # Panics
    /// When the binary cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Role {
        match self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => Role { child },
            Err(error) => panic!("{}: {error}", binary().display()),
        }
    }

    /// Starts a role whose console listens, and waits until it does. Returns the base URL of its SCIM endpoint.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_console(&self, role: &str) -> (Role, String) {
        let port = crate::process::free_port();
        let mut command = self.command(&[role]);
        command.env("SCIMFLEET_CONSOLE_LISTEN", format!("127.0.0.1:{port}"));
        let role = match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => Role { child },
            Err(error) => panic!("{}: {error}", binary().display()),
        };
        crate::process::until_it_listens(port, "the console");
        (role, format!("http://127.0.0.1:{port}/scim/v2"))
    }

    /// Applies a fleet file with this text.
    pub fn apply(&self, text: &str) -> Ran {
        let path = self.write("fleet.toml", text);
        self.run(&["apply", &path.display().to_string(), "--output", "json"])
    }

    /// Imports lines of JSON.
    pub fn import(&self, lines: &str, more: &[&str]) -> Ran {
        let path = self.write("people.jsonl", lines).display().to_string();
        let mut arguments = vec!["import", path.as_str(), "--output", "json"];
        arguments.extend_from_slice(more);
        self.run(&arguments)
    }

    /// `sync NAME --wait`.
    pub fn sync(&self, provider: &str, more: &[&str]) -> Ran {
        let mut arguments = vec!["sync", provider, "--wait", "--output", "json"];
        arguments.extend_from_slice(more);
        self.run(&arguments)
    }

    /// Runs a command until its JSON satisfies the condition.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub fn until(&self, arguments: &[&str], condition: impl Fn(&Value) -> bool) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let ran = self.run(arguments);
            if condition(&ran.json) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
            crate::process::pause();
        }
    }
}

/// A role in the background.
#[derive(Debug)]
pub struct Role {
    child: Child,
}

impl Drop for Role {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("a role could not be reaped");
        }
    }
}

/// `scimfleet`, beside this test's own executable; `make test` builds it.
fn binary() -> PathBuf {
    let folder = std::env::current_exe().ok().and_then(|path| path.parent()?.parent().map(Path::to_path_buf));
    let path = folder.map(|folder| folder.join("scimfleet")).unwrap_or_default();
    assert!(path.exists(), "{} is missing; run `cargo build --workspace` or `make test`", path.display());
    path
}
