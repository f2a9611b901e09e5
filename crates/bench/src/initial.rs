//! First sync and idle sync by the real binary, embedded, timed by its own report.

use std::path::{Path, PathBuf};
use std::process::Command;

use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use serde_json::Value;

use crate::ceiling::sample;
use crate::figure::{BenchError, Figure, number};

const RUNS: usize = 3;

pub(crate) async fn measure(users: usize, ceiling: f64) -> Result<Vec<Figure>, BenchError> {
    let binary = binary()?;
    let (mut first, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let provider = ServiceProvider::start(Behaviour::default()).await?;
        provider.cap_journal(0);
        let folder = tempfile::tempdir()?;
        let took = one(&binary, folder.path(), &provider, users).await?;
        first.push(number(users) / took.0);
        idle.push(took.1 * 1e6 / number(users));
        provider.stop().await;
    }
    Ok(vec![
        Figure::of("first sync, embedded, 200 groups", "users/s", first).against(ceiling, 0.5),
        Figure::of("idle sync, embedded", "µs/user", idle),
    ])
}

fn binary() -> Result<PathBuf, BenchError> {
    let path = std::env::current_exe()?.with_file_name("scimfleet");
    if path.exists() {
        return Ok(path);
    }
    Err(BenchError(format!("{} is missing; run `cargo build --release` first", path.display())))
}

/// Seconds of the first and of the second sync.
async fn one(binary: &Path, folder: &Path, provider: &Running, users: usize) -> Result<(f64, f64), BenchError> {
    let people = folder.join("people.jsonl");
    sample(users).write_jsonl(&mut std::io::BufWriter::new(std::fs::File::create(&people)?))?;
    let fleet = folder.join("fleet.toml");
    let table = format!(
        "[[provider]]\nname = \"bench\"\nbase_url = \"{}\"\nin_flight = 64\nauth = {{ kind = \"bearer\", token = {{ value = \"{}\" }} }}\n",
        provider.base_url(),
        provider.token()
    );
    std::fs::write(&fleet, table)?;
    call(binary, folder, &["import", &people.display().to_string()]).await?;
    call(binary, folder, &["apply", &fleet.display().to_string()]).await?;
    let first = sync(binary, folder, "created", users + 200).await?;
    if provider.users_count() != users || provider.groups_count() != 200 {
        return Err(BenchError(format!("the provider holds {} users after the sync", provider.users_count())));
    }
    let mark = provider.mark();
    let idle = sync(binary, folder, "unchanged", users + 200).await?;
    let writes = provider.counts_since(&mark).writes();
    if writes > 0 {
        return Err(BenchError(format!("the idle sync made {writes} writes")));
    }
    Ok((first, idle))
}

async fn sync(binary: &Path, folder: &Path, counter: &str, expected: usize) -> Result<f64, BenchError> {
    let report = call(binary, folder, &["sync", "bench", "--wait"]).await?;
    let run = &report["runs"][0];
    if run["counts"][counter].as_u64() != Some(expected as u64) {
        return Err(BenchError(format!("{counter} should be {expected}: {}", run["counts"])));
    }
    Ok(run["duration_ms"].as_f64().unwrap_or(f64::NAN) / 1000.0)
}

/// The provider lives in this process: its runtime must go on while the binary works.
async fn call(binary: &Path, folder: &Path, arguments: &[&str]) -> Result<Value, BenchError> {
    let mut command = Command::new(binary);
    command.args(arguments).args(["--output", "json"]).current_dir(folder);
    command.env("SCIMFLEET_STORE_URL", format!("sqlite://{}", folder.join("bench.db").display()));
    command.env("SCIMFLEET_SECRETS_KEY_FILE", folder.join("bench.key"));
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        return Err(BenchError(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
