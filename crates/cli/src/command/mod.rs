//! The commands, one file each.

mod add;
mod apply;
mod dead;
mod demo;
mod enqueue;
mod explain;
mod holds;
mod import;
mod import_source;
mod links;
mod log;
mod manual;
mod migrate;
pub(crate) mod offboard;
mod parked;
mod preview;
mod probe;
mod progress;
mod providers;
mod reconcile;
mod runs;
mod status;
mod sync;
mod take_over;
mod token;

use scimfleet_runtime::Exit;

use crate::args::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::roles::{self, Roles};

pub(crate) async fn dispatch(context: Context, command: Command) -> Result<Exit, CliError> {
    let none = Roles { scheduler: false, worker: false, console: false };
    match command {
        Command::Status => status::run(context).await,
        Command::Demo(args) => demo::run(context, args).await,
        Command::Serve => roles::run(context, Roles { scheduler: true, worker: true, console: true }).await,
        Command::Scheduler => roles::run(context, Roles { scheduler: true, ..none }).await,
        Command::Worker => roles::run(context, Roles { worker: true, ..none }).await,
        Command::Console => roles::run(context, Roles { console: true, ..none }).await,
        Command::Migrate => migrate::run(context).await,
        Command::Apply(args) => apply::run(context, args).await,
        Command::Import(args) => import::run(context, args).await,
        Command::Sync(args) => sync::run(context, args).await,
        Command::Preview(args) => preview::run(context, args).await,
        Command::Explain(args) => explain::run(context, args).await,
        Command::Runs(args) => runs::run(context, args).await,
        Command::Holds(args) => holds::run(context, args).await,
        Command::Offboard(args) => offboard::run(context, args).await,
        Command::Leavers(args) => offboard::leavers(context, args).await,
        Command::Providers(args) => providers::run(context, args).await,
        Command::Links(args) => links::run(context, args).await,
        Command::Parked(args) => parked::run(context, args).await,
        Command::Dead(args) => dead::run(context, args).await,
        Command::Log(args) => log::run(context, args).await,
        Command::Token(args) => token::run(context, args).await,
        Command::Enqueue(args) => enqueue::run(context, args).await,
        Command::Completions { shell } => manual::completions(context.output, shell),
        Command::Man { folder } => manual::man(context.output, folder),
    }
}
