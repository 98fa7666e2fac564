//! The spans and their attributes. None of them holds a name, an address or an id of a person, a resource or a caller.

use std::time::Duration;

use futures::future::TryFutureExt;
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::TARGET;

/// The name of every service and method that is not served: clients choose paths freely.
const OTHER: &str = "other";

/// The longest `tracestate` that is continued, in bytes: what every participant has to propagate (W3C Trace Context, section 3.3.1.5).
const MAX_TRACE_STATE: usize = 512;

const TRACE_STATE: &str = "tracestate";

/// The gRPC codes that are errors of a server (OpenTelemetry's conventions for gRPC): `UNKNOWN`, `DEADLINE_EXCEEDED`,
/// `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`.
const SERVER_ERRORS: [i32; 6] = [2, 4, 12, 13, 14, 15];

/// The span of a call: continues the caller's trace, or begins one.
#[derive(Debug, Clone)]
pub struct CallSpan(Span);

impl CallSpan {
    /// Begins the span of a call with these headers. `method` has the names of the service and the method; `None` for a method that is
    /// not served.
    #[must_use]
    pub fn begin(method: Option<(&'static str, &'static str)>, headers: &HeaderMap) -> Self {
        let (service, method) = method.unwrap_or((OTHER, OTHER));
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "call",
            otel.name = %format_args!("{service}/{method}"),
            otel.kind = "server",
            rpc.system = "grpc",
            rpc.service = service,
            rpc.method = method,
            rpc.grpc.status_code = Empty,
            otel.status_code = Empty,
            request_id = Empty,
        );
        if !span.is_disabled() {
            let caller = TraceContextPropagator::new().extract(&TraceHeaders(headers));
            if caller.span().span_context().is_valid() {
                // The span was not entered yet, so that its parent can still be set.
                let _ = span.set_parent(caller);
            }
        }
        Self(span)
    }

    /// Whether the span is recorded at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.0.is_disabled()
    }

    /// Records the id of the request, as it is in the log, in the audit record and in the response. One that looks like an e-mail
    /// address is left out.
    pub fn set_request_id(&self, id: &str) {
        if !id.contains('@') {
            self.0.record("request_id", id);
        }
    }

    /// Ends the call with a gRPC code. The span ends when its last clone is dropped.
    pub fn finish(&self, code: i32) {
        // The time at which a span was last entered is its end: a stream ends long after its response began.
        self.0.in_scope(|| {
            self.0.record("rpc.grpc.status_code", i64::from(code));
            if SERVER_ERRORS.contains(&code) {
                mark_failed(&self.0);
            }
        });
    }

    /// The same work within the span.
    pub fn instrument<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.instrument(self.0.clone())
    }
}

/// The headers of a call that continue a trace.
struct TraceHeaders<'a>(&'a HeaderMap);

impl Extractor for TraceHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (key != TRACE_STATE || value.len() <= MAX_TRACE_STATE).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// The span of an operation of a call.
#[derive(Debug)]
pub struct OperationSpan(Span);

impl OperationSpan {
    /// A job of the command line, or a task of an access platform: what a call is to a server. `request_id` is the id of the task.
    #[must_use]
    pub fn job(name: &'static str, request_id: Option<&str>) -> Self {
        Self(tracing::info_span!(
            target: TARGET,
            parent: None,
            "job",
            otel.name = name,
            request_id,
            otel.status_code = Empty,
        ))
    }

    /// Reads a page of a list: `list` is `resources` or `grants`, `resource_type` the id of a resource type.
    #[must_use]
    pub fn sync_page(list: &'static str, resource_type: &'static str) -> Self {
        Self(tracing::info_span!(
            target: TARGET,
            "sync page",
            sync.list = list,
            sync.resource_type = resource_type,
            otel.status_code = Empty,
        ))
    }

    /// The same in a task that reads the page before it is requested.
    #[must_use]
    pub fn prefetched_page(list: &'static str, resource_type: &'static str) -> Self {
        Self(tracing::info_span!(
            target: TARGET,
            "sync page",
            sync.list = list,
            sync.resource_type = resource_type,
            sync.prefetched = true,
            otel.status_code = Empty,
        ))
    }

    /// Reads the present state, decides on a write, and checks that nothing forbids it.
    #[must_use]
    pub fn decision() -> Self {
        Self(tracing::info_span!(target: TARGET, "decision", otel.status_code = Empty))
    }

    /// Sends a write.
    #[must_use]
    pub fn write() -> Self {
        Self(tracing::info_span!(target: TARGET, "write", otel.status_code = Empty))
    }

    /// Reads until a write is visible, or was seen not to have been applied.
    #[must_use]
    pub fn confirm() -> Self {
        Self(tracing::info_span!(target: TARGET, "confirm", otel.status_code = Empty))
    }

    /// The same work within the span, for a task of its own.
    pub fn instrument<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.instrument(self.0.clone())
    }

    /// Does a part of the operation. An error is marked in the span, without its text.
    pub fn run<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + use<T, E, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        let span = self.0.clone();
        work.instrument(self.0.clone()).inspect_err(move |_| mark_failed(&span))
    }
}

/// The span of one attempt at a REST request, with its wait for the rate limit.
#[derive(Debug)]
pub struct RequestSpan(Span);

impl RequestSpan {
    /// Begins the span of a request: its HTTP method, the template of its path, and its lane.
    #[must_use]
    pub fn begin(method: &str, endpoint: &str, lane: &'static str) -> Self {
        Self(tracing::info_span!(
            target: TARGET,
            "request",
            otel.name = %format_args!("{method} {endpoint}"),
            otel.kind = "client",
            http.request.method = method,
            buildkite.endpoint = endpoint,
            buildkite.lane = lane,
            buildkite.waited_ms = Empty,
            buildkite.coalesced = Empty,
            http.response.status_code = Empty,
            otel.status_code = Empty,
        ))
    }

    /// The request waited this long until the rate limit let it pass.
    pub fn waited(&self, time: Duration) {
        // tracing-opentelemetry exports other integers as text.
        let milliseconds = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.0.record("buildkite.waited_ms", milliseconds);
    }

    /// The request was not sent: the response to an identical request of another call is used.
    pub fn coalesced(&self) {
        self.0.record("buildkite.coalesced", true);
    }

    /// Ends the span with the HTTP status of the response; `None` if there was no response.
    pub fn finish(self, status: Option<u16>) {
        if let Some(status) = status {
            self.0.record("http.response.status_code", i64::from(status));
        }
        if status.is_none_or(|status| status >= 400) {
            mark_failed(&self.0);
        }
    }
}

fn mark_failed(span: &Span) {
    span.record("otel.status_code", "ERROR");
}
