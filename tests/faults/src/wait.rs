//! Waiting for something outside this process, of which no signal comes.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Told};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until the condition holds.
///
/// # Errors
/// When it does not hold in time, or cannot be looked at.
pub async fn until<F, L>(limit: Duration, words: &str, mut look: L) -> Told<()>
where
    L: FnMut() -> F,
    F: Future<Output = Told<bool>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if look().await? {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure(format!("in {} s not seen: {words}", limit.as_secs())));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
