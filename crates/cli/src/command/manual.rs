//! `completions` and `man`: what a shell and a reader of manuals need, made from the command line itself.

use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;
use scimfleet_runtime::Exit;
use serde_json::json;

use crate::error::CliError;
use crate::examples;
use crate::output::Output;

pub(crate) fn completions(output: Output, shell: Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut examples::command(), "scimfleet", &mut script);
    let script = String::from_utf8(script).map_err(CliError::failed)?;
    output.print(&json!({ "shell": shell.to_string(), "script": script }), || script.trim_end().to_owned())?;
    Ok(Exit::Done)
}

pub(crate) fn man(output: Output, folder: Option<PathBuf>) -> Result<Exit, CliError> {
    let Some(folder) = folder else {
        let page = page(examples::command())?;
        output.print(&json!({ "page": page }), || page.trim_end().to_owned())?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    let mut written = Vec::new();
    let mut whole = examples::command();
    whole.build();
    write_pages(&whole, "scimfleet", &folder, &mut written)?;
    output.print(&json!({ "written": written }), || format!("{} pages are in {}.", written.len(), folder.display()))?;
    Ok(Exit::Done)
}

/// `scimfleet-runs-show.1` for `scimfleet runs show`, as other programs with sub-commands do.
fn write_pages(command: &Command, name: &str, folder: &Path, written: &mut Vec<String>) -> Result<(), CliError> {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        write_pages(inner, &format!("{name}-{}", inner.get_name()), folder, written)?;
    }
    let file = folder.join(format!("{name}.1"));
    let text = page(command.clone().display_name(name.to_owned()))?;
    std::fs::write(&file, text).map_err(|error| unwritable(&file, &error))?;
    written.push(file.display().to_string());
    Ok(())
}

fn page(command: Command) -> Result<String, CliError> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(CliError::failed)?;
    String::from_utf8(text).map_err(CliError::failed)
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("`{}`: {error}", path.display()))
}
