//! `import`: loads users and groups into the directory.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use scimfleet_directory::import::{Format, ImportError, ImportOptions, ImportReport, Key, Progress, import_file};
use scimfleet_runtime::Exit;

use crate::args::{ImportArgs, ImportFormat, ImportKey, ImportSource};
use crate::context::Context;
use crate::error::CliError;
use crate::output::table;

/// Rejected lines that people are shown; JSON has the first thousand.
const SHOWN: usize = 20;

pub(crate) async fn run(context: Context, mut args: ImportArgs) -> Result<Exit, CliError> {
    match args.source_kind.take() {
        Some(ImportSource::Authentik(args)) => return super::import_source::authentik(context, args).await,
        Some(ImportSource::Ldap(args)) => return super::import_source::ldap(context, args).await,
        None => {}
    }
    let store = context.store().await?;
    let bar = Bar::new();
    let outcome = import_file(&store, options(args), |progress| bar.show(&progress)).await;
    bar.bar.finish_and_clear();
    let (report, refused) = match outcome {
        Ok(report) => (report, None),
        Err(error @ (ImportError::Format { .. } | ImportError::Source { .. } | ImportError::Read { .. })) => {
            return Err(CliError::usage(error));
        }
        Err(ImportError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let words = error.to_string();
            let (ImportError::CutOff { report, .. } | ImportError::Guard { report, .. }) = error else {
                return Err(CliError::failed(words));
            };
            (*report, Some(words))
        }
    };
    context.output.print(&report, || text(&report))?;
    if let Some(words) = refused {
        return Err(CliError::failed(words));
    }
    Ok(if report.rejected_count > 0 { Exit::Failed } else { Exit::Done })
}

fn options(args: ImportArgs) -> ImportOptions {
    ImportOptions {
        files: args.files,
        format: args.format.map(|format| match format {
            ImportFormat::Jsonl => Format::JsonLines,
            ImportFormat::Csv => Format::Csv,
        }),
        source: args.source,
        snapshot: args.snapshot,
        key: match args.key {
            Some(ImportKey::UserName) => Key::UserName,
            Some(ImportKey::ExternalId) | None => Key::ExternalId,
        },
        allow_removals: args.allow_removals,
        ..ImportOptions::default()
    }
}

/// Bytes of the file in hand; on a terminal only.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {elapsed}");
        Self { bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())) }
    }

    fn show(&self, progress: &Progress) {
        self.bar.set_length(progress.bytes_total);
        self.bar.set_position(progress.bytes);
        self.bar.set_message(format!("{}: {} lines", progress.file.display(), progress.lines));
    }
}

pub(super) fn text(report: &ImportReport) -> String {
    let counts = [report.created, report.updated, report.unchanged, report.removed, report.rejected_count];
    let row = counts.iter().map(ToString::to_string).collect();
    let mut text = table(&["CREATED", "UPDATED", "UNCHANGED", "REMOVED", "REJECTED"], [row]);
    for line in report.rejected.iter().take(SHOWN) {
        text.push_str(&format!("\n{}:{}: {}", line.file, line.line, line.reason));
    }
    if report.rejected_count > SHOWN as u64 {
        text.push_str(&format!("\n… and {} more; `--output json` lists them", report.rejected_count - SHOWN as u64));
    }
    for warning in &report.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    if report.unresolved_members > 0 {
        text.push_str(&format!(
            "\nwarning: {} members of groups are not in the directory yet; they join when they come",
            report.unresolved_members
        ));
    }
    text
}
