//! `demo`: everything at work in a temporary folder. A sample directory, a sample SCIM service provider on
//! loopback, a full sync, one change and one leaver end to end; then it serves until Ctrl-C.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scimfleet_core::provider::ProviderSettings;
use scimfleet_core::task::Lane;
use scimfleet_core::{ProviderName, ResourceKind};
use scimfleet_directory::import::{ImportOptions, import_file};
use scimfleet_runtime::{Config, Drain, Exit, Metrics};
use scimfleet_scheduler::open_run;
use scimfleet_store::{Store, TokenScope};
use scimfleet_testkit::directory::SampleDirectory;
use scimfleet_testkit::provider::{Behaviour, Running, ServiceProvider};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::progress::Progress;
use crate::args::DemoArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::report::Report;
use crate::roles::{self, Roles};
use crate::wire::Parts;

/// The sample provider's name in the fleet.
const PROVIDER: &str = "sample";
/// How long the demo waits for a change to arrive; it takes milliseconds.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);

pub(crate) async fn run(context: Context, args: DemoArgs) -> Result<Exit, CliError> {
    let folder = tempfile::Builder::new().prefix("scimfleet-demo-").tempdir().map_err(CliError::failed)?;
    let context = context.with_config(configuration(&context.config, folder.path(), args.once)?);
    let sample = ServiceProvider::start(Behaviour::default()).await.map_err(CliError::failed)?;
    let store = context.store().await?;
    let drain = Drain::default();
    drain.on_signals().map_err(CliError::failed)?;

    say(&context, &format!("A directory and a SCIM service provider in {}", folder.path().display()));
    load_directory(&store, folder.path()).await?;
    let name = ProviderName::parse(PROVIDER).map_err(CliError::failed)?;
    let settings = ProviderSettings::new(name.clone(), sample.base_url());
    let (id, _) = store.put_provider(&settings).await?;
    store.put_provider_secret(id, &SecretString::from(sample.token())).await?;

    let metrics = Metrics::install().map_err(CliError::failed)?;
    metrics.keep_up(&drain);
    let run = open_run(&store, &name).await?;
    let parts = Parts::new(&context, store.clone(), drain.clone()).await?;
    let all = Roles { scheduler: true, worker: true, console: true };
    let console = roles::start(&context, &parts, all, metrics).await?;
    let report = super::sync::wait(&store, &[(name.clone(), run)], Some(&drain), Progress::new()).await?;
    let exit = show_report(&context, &report, &sample)?;
    if exit == Exit::Done && !drain.is_begun() {
        show_idle(&context, &store, &name, &sample).await?;
        show_change(&context, &store, folder.path(), &sample).await?;
        show_leaver(&context, &store, folder.path(), &sample).await?;
    }
    if !args.once && !drain.is_begun() {
        if let Some(address) = console {
            let (_, token) = store.create_token("demo", TokenScope::Admin).await?;
            let token = token.expose_secret();
            say(&context, &format!("\nDashboard: http://{address}/   sign in with {token}   (Ctrl-C ends the demo)"));
        }
        drain.begun().await;
    }
    drain.begin();
    drain.finish().await;
    store.close().await;
    sample.stop().await;
    Ok(exit)
}

/// Everything embedded, in the folder; the dashboard's usual address unless it is taken.
fn configuration(given: &Config, folder: &std::path::Path, once: bool) -> Result<Config, CliError> {
    let mut config = Config::default();
    let database = format!("sqlite://{}", folder.join("scimfleet.db").display());
    config.store.url = scimfleet_runtime::ServiceUrl::new(database);
    config.secrets.key_file = folder.join("scimfleet.key");
    config.admin_token.clone_from(&given.admin_token);
    config.directory_token.clone_from(&given.directory_token);
    config.console.listen = free_address(given.console.listen, once)?;
    Ok(config)
}

fn free_address(wanted: SocketAddr, once: bool) -> Result<SocketAddr, CliError> {
    if !once && std::net::TcpListener::bind(wanted).is_ok() {
        return Ok(wanted);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(CliError::failed)?;
    listener.local_addr().map_err(CliError::failed)
}

/// For people only; `--output json` prints the report and nothing else.
fn say(context: &Context, text: &str) {
    if !context.output.is_json() {
        println!("{text}");
    }
}

/// Writes the sample directory to a file and imports that, as an operator would.
async fn load_directory(store: &Store, folder: &Path) -> Result<(), CliError> {
    let file = folder.join("people.jsonl");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).map_err(CliError::failed)?);
    SampleDirectory::demo().write_jsonl(&mut out).map_err(CliError::failed)?;
    import(store, file).await
}

/// Imports one changed resource.
async fn import_change(store: &Store, folder: &Path, change: &Value) -> Result<(), CliError> {
    let file = folder.join("change.jsonl");
    std::fs::write(&file, format!("{change}\n")).map_err(CliError::failed)?;
    import(store, file).await
}

async fn import(store: &Store, file: PathBuf) -> Result<(), CliError> {
    let options = ImportOptions { files: vec![file], ..ImportOptions::default() };
    let report = import_file(store, options, |_| ()).await.map_err(CliError::failed)?;
    match report.rejected.first() {
        Some(line) => Err(CliError::failed(format!("{}:{}: {}", line.file, line.line, line.reason))),
        None => Ok(()),
    }
}

fn show_report(context: &Context, report: &Report, sample: &Running) -> Result<Exit, CliError> {
    context.output.print(report, || {
        format!(
            "\n{}\n\nThe provider holds {} users and {} groups.",
            report.text(),
            sample.users_count(),
            sample.groups_count()
        )
    })?;
    Ok(report.exit(false))
}

/// The same again: what is in step costs reads of the listing and no write.
async fn show_idle(context: &Context, store: &Store, name: &ProviderName, sample: &Running) -> Result<(), CliError> {
    let mark = sample.mark();
    let run = open_run(store, name).await?;
    let report = super::sync::wait(store, &[(name.clone(), run)], None, Progress::new()).await?;
    let unchanged = report.runs.first().map(|run| run.count("unchanged")).unwrap_or_default();
    let counts = sample.counts_since(&mark);
    let (reads, writes) = (counts.total() - counts.writes(), counts.writes());
    say(context, &format!("\nThe same again: {unchanged} unchanged, {reads} reads, {writes} writes."));
    Ok(())
}

/// Somebody moves to another department.
async fn show_change(context: &Context, store: &Store, folder: &Path, sample: &Running) -> Result<(), CliError> {
    let Some(user) = somebody(store, 0).await? else { return Ok(()) };
    let mark = sample.mark();
    let began = Instant::now();
    let change = json!({ "userName": user, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "title": "Head of Demonstrations" });
    import_change(store, folder, &change).await?;
    arrived(sample, || {
        sample.named(ResourceKind::User, &user).first().is_some_and(|shown| shown["title"] == "Head of Demonstrations")
    })
    .await?;
    let counts = sample.counts_since(&mark);
    say(
        context,
        &format!(
            "\nOne change: `{user}` got a new title; it was there after {} ms with {} write.",
            began.elapsed().as_millis(),
            counts.writes()
        ),
    );
    Ok(())
}

/// Somebody leaves: the account is deactivated through the lane of their own.
async fn show_leaver(context: &Context, store: &Store, folder: &Path, sample: &Running) -> Result<(), CliError> {
    let Some(user) = somebody(store, 1).await? else { return Ok(()) };
    let began = Instant::now();
    let change =
        json!({ "userName": user, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "active": false });
    import_change(store, folder, &change).await?;
    arrived(sample, || sample.named(ResourceKind::User, &user).first().is_some_and(|shown| shown["active"] == false))
        .await?;
    say(
        context,
        &format!(
            "One leaver: `{user}` was disabled; the account was off after {} ms, through the lane `{}`.",
            began.elapsed().as_millis(),
            Lane::Leavers
        ),
    );
    Ok(())
}

/// The name of the n-th active user.
async fn somebody(store: &Store, n: usize) -> Result<Option<String>, CliError> {
    let users = store.resources_after(ResourceKind::User, None, 50).await?;
    Ok(users.iter().filter(|user| user.active).nth(n).map(|user| user.name().to_owned()))
}

/// Waits until the provider shows something.
async fn arrived(sample: &Running, shows: impl Fn() -> bool) -> Result<(), CliError> {
    let deadline = Instant::now() + ARRIVAL_MAX;
    while !shows() {
        if Instant::now() > deadline {
            return Err(CliError::failed(format!("the change did not arrive at {} in time", sample.base_url())));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
