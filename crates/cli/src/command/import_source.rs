//! `import authentik`, `import ldap`: reads a whole directory where it lives.

use std::io::Write as _;
use std::path::Path;

use scimfleet_directory::import::ImportReport;
use scimfleet_directory::sources::authentik::FleetFile;
use scimfleet_directory::sources::{Removals, Source, SourceError};
use scimfleet_runtime::Exit;
use scimfleet_runtime::config::{AuthentikConfig, SecretPlace, SourceConfig, SourceKind};
use serde_json::json;

use super::import::text;
use crate::args::{AuthentikArgs, LdapArgs, WhichAuthentik};
use crate::context::Context;
use crate::error::CliError;
use crate::wire::egress;

/// What a source is called that stands in no configuration.
const NAMELESS: &str = "authentik";

pub(crate) async fn authentik(context: Context, args: AuthentikArgs) -> Result<Exit, CliError> {
    let config = which(&context, &args.which)?;
    let imported = take(&context, &config, args.allow_removals, args.write_fleet.is_some()).await?;
    let Some(path) = &args.write_fleet else { return Ok(imported) };
    let written = write_fleet(&context, &config, path).await?;
    Ok(if imported == Exit::Failed { imported } else { written })
}

/// Writes the fleet file; one that is there already is somebody's work.
async fn write_fleet(context: &Context, config: &SourceConfig, path: &Path) -> Result<Exit, CliError> {
    let unwritable = |error: std::io::Error| CliError::usage(format!("`{}`: {error}", path.display()));
    let source = Source::open(config, egress(context)).map_err(CliError::usage)?;
    let authentik = source.authentik().ok_or_else(|| CliError::usage("only authentik has a fleet to write down"))?;
    let fleet = authentik.fleet_file(&context.evaluator()?).await.map_err(CliError::failed)?;
    let mut file = std::fs::File::create_new(path).map_err(unwritable)?;
    file.write_all(fleet.text.as_bytes()).map_err(unwritable)?;
    context.output.print(&json!({ "file": path, "fleet": fleet }), || fleet_text(path, &fleet))?;
    Ok(if fleet.cannot_run.is_empty() { Exit::Done } else { Exit::Failed })
}

fn fleet_text(path: &Path, fleet: &FleetFile) -> String {
    let (providers, mappings) = (fleet.providers.len(), fleet.mappings.len());
    let mut text = format!("`{}`: {providers} providers, {mappings} mappings", path.display());
    for found in &fleet.cannot_run {
        text.push_str(&format!("\nmapping `{}` cannot run here, line {}: {}", found.mapping, found.line, found.reason));
    }
    for remark in &fleet.remarks {
        text.push_str(&format!("\nprovider `{}`: {}", remark.provider, remark.words));
    }
    text.push_str(&format!("\nbefore `scimfleet apply`, export the tokens: {}", fleet.variables.join(", ")));
    text
}

pub(crate) async fn ldap(context: Context, args: LdapArgs) -> Result<Exit, CliError> {
    let config = configured(&context, args.source.as_deref(), "ldap")?;
    take(&context, &config, args.allow_removals, false).await
}

/// `quietly`: another document follows on standard output, and there is to be one.
async fn take(context: &Context, config: &SourceConfig, allowed: Option<u64>, quietly: bool) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let source = Source::open(config, egress(context)).map_err(CliError::usage)?;
    let removals = Removals { guard: config.guard.clone(), allowed };
    match source.take_whole(&store, &removals).await {
        Ok(taken) => {
            if quietly && context.output.is_json() {
                return Ok(exit(&taken.report));
            }
            context.output.print(&taken.report, || text(&taken.report))?;
            Ok(exit(&taken.report))
        }
        Err(SourceError::Guard { name, removals, before, allowance, report }) => {
            context.output.print(&*report, || text(&report))?;
            Err(CliError::failed(SourceError::Guard { name, removals, before, allowance, report }))
        }
        Err(error) => Err(CliError::failed(error)),
    }
}

fn exit(report: &ImportReport) -> Exit {
    if report.rejected_count > 0 { Exit::Failed } else { Exit::Done }
}

/// The authentik that is meant: by its address, or as a source of the configuration.
pub(crate) fn which(context: &Context, args: &WhichAuthentik) -> Result<SourceConfig, CliError> {
    let Some(url) = &args.url else { return configured(context, args.source.as_deref(), "authentik") };
    let file = args.token_file.clone().ok_or_else(|| CliError::usage("`--url` needs `--token-file`"))?;
    let name = args.source.as_deref().unwrap_or(NAMELESS);
    let name = name.parse().map_err(|error| CliError::usage(format!("--source `{name}`: {error}")))?;
    let tls = scimfleet_core::provider::Tls {
        ca_file: args.ca_file.as_ref().map(|path| path.display().to_string()),
        ..scimfleet_core::provider::Tls::default()
    };
    let kind = SourceKind::Authentik(AuthentikConfig { url: url.clone(), token: SecretPlace::File(file) });
    let guard = scimfleet_core::provider::Guard::default();
    Ok(SourceConfig { name, full_every: None, changes_every: None, guard, tls, kind })
}

fn configured(context: &Context, name: Option<&str>, kind: &str) -> Result<SourceConfig, CliError> {
    let is_kind = |source: &&SourceConfig| match source.kind {
        SourceKind::Authentik(_) => kind == "authentik",
        SourceKind::Ldap(_) => kind == "ldap",
    };
    let mut found = context.config.sources.iter().filter(is_kind);
    let fitting = match name {
        Some(name) => found.find(|source| source.name.as_str() == name).map(|one| (one, false)),
        None => found.next().map(|one| (one, found.next().is_some())),
    };
    match fitting {
        Some((source, false)) => Ok(source.clone()),
        Some((_, true)) => Err(CliError::usage(format!(
            "there is more than one source of kind `{kind}`: say which by `--source NAME`"
        ))),
        None => {
            let called = name.map(|name| format!(" that is called `{name}`")).unwrap_or_default();
            let or = if kind == "authentik" { ", or give `--url` and `--token-file`" } else { "" };
            Err(CliError::usage(format!("the configuration has no [[source]] of kind `{kind}`{called}: add one{or}")))
        }
    }
}
