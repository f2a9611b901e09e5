//! Traces across processes: W3C Trace Context comes in with a write to the directory or a job, goes with the
//! task through the broker and out with the request to the provider. Spans are exported over OTLP when
//! `[telemetry] otlp` names a collector; without one the context is only handed on.

use std::fmt;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use scimfleet_core::ports::TRACEPARENT_HEADER;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::redact::ServiceUrl;

/// How long the last spans may take on their way out; less than what is left after a drain.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// The path of the OTLP specification (§ OTLP/HTTP request).
const TRACES_PATH: &str = "/v1/traces";

/// Sends spans to a collector.
#[derive(Clone)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Telemetry")
    }
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be exported: {source} (`telemetry.otlp`)")]
pub struct TelemetryError {
    #[from]
    source: ExporterBuildError,
}

impl Telemetry {
    /// Prepares the export to the collector at `base` (OTLP over HTTP, protobuf). Nothing is connected yet;
    /// a collector that is away costs spans and nothing else.
    pub fn new(base: &ServiceUrl) -> Result<Self, TelemetryError> {
        let endpoint = format!("{}{TRACES_PATH}", base.expose().trim_end_matches('/'));
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
        let resource = Resource::builder().with_service_name("scimfleet").build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        Ok(Self { provider })
    }

    /// What turns the spans of this process into exported ones.
    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.provider.tracer("scimfleet");
        tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false).with_target(false)
    }

    /// Sends what is left. Blocks for a few seconds at the most; call it after the work has ended.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::debug!(error = %error, "the last spans could not be sent");
        }
    }
}

/// Makes `span` the child of a context that came from elsewhere, and returns the context to hand on: the
/// span's own when spans are exported, else the one that came.
pub fn follow(span: &Span, traceparent: Option<&str>) -> Option<String> {
    let parent = traceparent.and_then(parse);
    if let Some(parent) = &parent {
        let context = opentelemetry::Context::new().with_remote_span_context(parent.clone());
        if span.set_parent(context).is_err() {
            // Nothing is exported, or the span is of no interest: the context is handed on as it is.
            return traceparent.map(str::to_owned);
        }
    }
    of(span).or_else(|| parent.and(traceparent).map(str::to_owned))
}

/// The context of a span, as a `traceparent`; `None` when spans are not exported.
pub fn of(span: &Span) -> Option<String> {
    let context = span.context();
    let own = context.span().span_context().clone();
    own.is_valid().then(|| {
        format!("00-{:032x}-{:016x}-{:02x}", own.trace_id(), own.span_id(), own.trace_flags() & TraceFlags::SAMPLED)
    })
}

/// Reads a `traceparent` (W3C Trace Context §3.2); `None` when it is none.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    // A later version may have more to say (§3.2.4); the first one has not.
    let whole = version != "00" || parts.next().is_none();
    if !(hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && whole) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

/// Whether a text is a `traceparent`.
pub fn is_traceparent(text: &str) -> bool {
    parse(text).is_some()
}

/// The way of one write through the directory's own interface, with the context that it came with.
pub type Write = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// Gives every request that writes a span, and hands its context to `carry`, which keeps it with what is
/// written. Requests that only read pass as they are: a dashboard would fill the collector.
pub fn traced(router: Router, carry: fn(Option<String>, Write) -> Write) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| async move {
        if !matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
            return next.run(request).await;
        }
        let given = request.headers().get(TRACEPARENT_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let span = tracing::info_span!("write", method = %request.method(), otel.kind = "server");
        let context = follow(&span, given.as_deref());
        let write: Write = Box::pin(next.run(request).instrument(span));
        carry(context, write).await
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_a_traceparent_is_one() {
        assert!(is_traceparent(GIVEN));
        assert!(is_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more"));
        let wrong = [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\u{e9}-01",
        ];
        for text in wrong {
            assert!(!is_traceparent(text), "{text}");
        }
    }

    #[test]
    fn without_an_export_the_context_is_handed_on_as_it_came() {
        let span = tracing::info_span!("task");
        assert_eq!(follow(&span, Some(GIVEN)).as_deref(), Some(GIVEN));
        assert_eq!(follow(&span, None), None);
    }

    #[test]
    fn with_an_export_the_span_is_the_next_parent() {
        use tracing_subscriber::layer::SubscriberExt as _;
        let provider = SdkTracerProvider::builder().build();
        let layer = Telemetry { provider }.layer();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let next = follow(&tracing::info_span!("task"), Some(GIVEN)).unwrap();
            assert!(next.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && next.ends_with("-01"), "{next}");
            assert_ne!(next, GIVEN);
            assert!(is_traceparent(&follow(&tracing::info_span!("task"), None).unwrap()));
            assert_eq!(follow(&tracing::info_span!("task"), Some("nonsense")).map(|text| text.len()), Some(55));
        });
    }
}
