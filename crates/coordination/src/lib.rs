//! What makes workers polite: how fast a provider may be called, until when not at all, who is
//! alive. Redis between processes, plain memory inside one.
//!
//! Nothing here is needed for correctness: no lock, no attempt, no due time. When it is lost,
//! workers go on, each with its share of the limit.

mod gcra;
mod local;
mod memory;
mod redis;

use std::path::Path;
use std::sync::Arc;

pub use scimfleet_core::ports::{Coordination, CoordinationError, Heartbeat, LEARNED_SETTLES, LearnedRate, Rate};

pub use self::memory::MemoryCoordination;
pub use self::redis::{DEFAULT_PREFIX, RedisCoordination};

/// Opens the service that `url` names: `memory://`, `redis://…` or `rediss://…`. Keys in Redis begin
/// with `<prefix>:`; without Redis, `epoch_file` keeps what must outlive the process (R34).
///
/// A Redis that does not answer is no error: a worker must be able to start during its outage. Ask
/// [`Coordination::healthy`] to find out.
///
/// # Errors
/// [`CoordinationError`] for another kind of URL or one that cannot be read. The URL is never
/// repeated: it may hold a password.
pub async fn connect(url: &str, prefix: &str, epoch_file: &Path) -> Result<Arc<dyn Coordination>, CoordinationError> {
    match url.split_once("://") {
        Some(("memory", _)) => Ok(Arc::new(MemoryCoordination::with_epoch_file(epoch_file.to_owned()))),
        Some(("redis" | "rediss", _)) => {
            let redis = RedisCoordination::open(url, prefix)?;
            if let Err(error) = redis.healthy().await {
                tracing::warn!(%error, "starting without the coordination service");
            }
            Ok(Arc::new(redis))
        }
        _ => {
            let reason = "the URL must begin with `memory://`, `redis://` or `rediss://`".to_owned();
            Err(CoordinationError { reason })
        }
    }
}
