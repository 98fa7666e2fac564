//! Traces by OTLP: a span for each call, below it one for each operation, and below that one for each REST request.
//!
//! `spans` declares the spans, `settings` reads the standard variables of OpenTelemetry, and `export` sends finished spans to the
//! collector. Without an endpoint in the environment no subscriber enables the spans, and each costs a test of its call site.
//! They have a target of their own ([`TARGET`]), so that the log's filter never enables them and no log line changes with them.
//!
//! A finished span goes into a bounded queue without waiting, and a thread exports the queue in batches. A collector that is away or
//! slow fills the queue; then spans are dropped. No attribute names a person, a token, or an id of either.

mod export;
mod settings;
mod spans;

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, context};
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{FilterFn, Filtered, filter_fn};
use tracing_subscriber::{Layer, Registry};

pub use settings::TracesError;
pub use spans::{CallSpan, OperationSpan, RequestSpan};

/// The target of the spans.
pub const TARGET: &str = "otlp";

/// The maximum time for exporting the last spans when the process ends.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The provider of this process, if traces are exported.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// The part of the process's subscriber that exports spans.
pub type TracesLayer = Filtered<OpenTelemetryLayer<Registry, Tracer>, FilterFn, Registry>;

/// Starts the export that the environment describes. `None` if it names no collector or disables traces. Must be called within a
/// runtime, at most once in a process that exports traces.
///
/// # Errors
/// One sentence about a variable that cannot be used. Traces are then not exported.
pub fn start(variable: impl Fn(&str) -> Option<String>) -> Result<Option<TracesLayer>, TracesError> {
    let Some(settings) = settings::read(variable)? else {
        return Ok(None);
    };
    let provider = export::provider(&settings)?;
    let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
    // A second start keeps the provider of the first, whose spans are flushed at the end.
    let _ = PROVIDER.set(provider);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    // The hint keeps events below this level as cheap as without traces.
    let filter = filter_fn(is_traced as fn(&Metadata<'_>) -> bool).with_max_level_hint(LevelFilter::INFO);
    Ok(Some(layer.with_filter(filter)))
}

/// Whether a span belongs to a trace. The log excludes those.
#[must_use]
pub fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET
}

/// Exports the spans that are left, for at most [`FLUSH_TIMEOUT`]. Spans that end later are dropped.
pub async fn shut_down() {
    let Some(provider) = PROVIDER.get() else {
        return;
    };
    // The exporter's connection is driven by this runtime, so it must not be blocked here. What fails is logged by the exporter.
    let flushed = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(FLUSH_TIMEOUT));
    let _ = flushed.await;
}

/// The same work in the present trace, for a task of its own. It inherits nothing of the log's context.
pub fn in_current_trace<F: Future>(work: F) -> impl Future<Output = F::Output> {
    use futures::future::Either;
    if PROVIDER.get().is_some() {
        Either::Left(context::FutureExt::with_context(work, Context::current()))
    } else {
        Either::Right(work)
    }
}
