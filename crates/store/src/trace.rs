//! The trace context of whoever writes: kept with what the write leaves in the outbox.

use std::future::Future;

tokio::task_local! {
    static TRACEPARENT: Option<String>;
}

/// Does `work`; what it writes to the directory carries this `traceparent` (W3C Trace Context).
pub async fn traced<F: Future>(traceparent: Option<String>, work: F) -> F::Output {
    TRACEPARENT.scope(traceparent, work).await
}

pub(crate) fn traceparent() -> Option<String> {
    TRACEPARENT.try_with(Clone::clone).ok().flatten()
}
