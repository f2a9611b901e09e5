//! `enqueue`: publishes a job as any AMQP client would.

use std::io::Read;

use scimfleet_core::task::Job;
use scimfleet_runtime::Exit;
use scimfleet_scheduler::open_run;
use scimfleet_store::Store;
use serde_json::json;

use crate::args::EnqueueArgs;
use crate::context::{Context, object, provider};
use crate::error::CliError;

pub(crate) async fn run(context: Context, args: EnqueueArgs) -> Result<Exit, CliError> {
    let shown = args.file.display().to_string();
    let mut body = Vec::new();
    if shown == "-" {
        std::io::stdin().read_to_end(&mut body).map_err(CliError::failed)?;
    } else {
        body = std::fs::read(&args.file).map_err(|error| CliError::usage(format!("`{shown}`: {error}")))?;
    }
    // Refused here with the file's name rather than later in the dead letters.
    let job = Job::decode(&body).map_err(|error| CliError::usage(format!("`{shown}`: {error}")))?;
    if context.config.is_embedded() {
        // The in-process queue is another process's: the database carries the job (R9).
        enqueue_in_database(&context.store().await?, &job).await?;
    } else {
        let queue = context.queue().await?;
        queue.publish_raw_job(&body).await?;
        queue.close().await;
    }
    context.output.print(&json!({ "enqueued": true }), || "Enqueued.".to_owned())?;
    Ok(Exit::Done)
}

async fn enqueue_in_database(store: &Store, job: &Job) -> Result<(), CliError> {
    match job {
        Job::Sync { provider: Some(name), .. } => drop(open_run(store, name).await?),
        Job::Sync { provider: None, .. } => {
            for row in store.providers().await? {
                open_run(store, &row.settings.name).await?;
            }
        }
        Job::SyncObject { provider: name, object: reference } => {
            let row = provider(store, name).await?;
            let resource = object(store, reference).await?;
            store.mark(row.id, &[resource.id]).await?;
        }
    }
    Ok(())
}
