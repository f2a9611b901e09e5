//! `import`: loads users and groups into the directory.

use scimfleet_runtime::Exit;

use crate::args::ImportArgs;
use crate::context::Context;
use crate::error::CliError;

pub(crate) async fn run(_context: Context, _args: ImportArgs) -> Result<Exit, CliError> {
    Err(CliError::failed("importers are not wired yet"))
}
