//! The export of finished spans to the collector.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::settings::{TracesError, TracesSettings};
use crate::telemetry::redact::mask;

/// The minimum time between two log lines about a failed export.
const MIN_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The attribute of the resource that names the service.
const SERVICE_NAME: &str = "service.name";

/// What the libraries call a service without a name.
const UNNAMED_SERVICE: &str = "unknown_service";

/// The provider that exports to the collector. Must be called within a runtime, which drives the connection.
///
/// # Errors
/// For an endpoint or a certificate that cannot be used.
pub(super) fn provider(settings: &TracesSettings) -> Result<SdkTracerProvider, TracesError> {
    let mut exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.endpoint);
    if !settings.endpoint.starts_with("http://") {
        exporter = exporter.with_tls_config(tls(settings)?);
    }
    let exporter = exporter
        .build()
        .map_err(|error| TracesError(mask(&error.to_string())))?;
    Ok(SdkTracerProvider::builder()
        .with_resource(resource())
        .with_span_processor(BatchSpanProcessor::builder(LoggedExporter::new(exporter)).build())
        .build())
}

fn tls(settings: &TracesSettings) -> Result<ClientTlsConfig, TracesError> {
    let tls = match &settings.certificate {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(match &settings.client {
        Some((certificate, key)) => tls.identity(Identity::from_pem(read(certificate)?, read(key)?)),
        None => tls,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TracesError> {
    fs::read(path).map_err(|error| TracesError(format!("{} cannot be read: {error}", path.display())))
}

/// The resource that the environment describes. A service without a name is named after this package.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let described = Resource::builder().build();
    let name = described.get(&Key::from_static_str(SERVICE_NAME));
    let is_named = name.is_some_and(|name| !name.as_str().starts_with(UNNAMED_SERVICE));
    let resource = Resource::builder();
    let resource = if is_named {
        resource
    } else {
        resource.with_service_name(env!("CARGO_PKG_NAME"))
    };
    // What the environment says of the version has precedence.
    let has_version = described.get(&version.key).is_some();
    resource.with_attributes((!has_version).then_some(version)).build()
}

/// An exporter whose failures are logged, at most once in [`MIN_LOG_INTERVAL`].
struct LoggedExporter<E> {
    exporter: E,
    failures: Mutex<Failures>,
}

/// The failures since the last log line.
#[derive(Debug, Default)]
struct Failures {
    logged_at: Option<Instant>,
    lost_spans: usize,
}

impl Failures {
    /// Adds a failure. Returns the number of lost spans to log, or `None` if the last log line is too recent.
    fn add(&mut self, spans: usize, now: Instant) -> Option<usize> {
        self.lost_spans += spans;
        let is_due = |logged_at: Instant| now.saturating_duration_since(logged_at) >= MIN_LOG_INTERVAL;
        if !self.logged_at.is_none_or(is_due) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.lost_spans))
    }
}

impl<E> LoggedExporter<E> {
    fn new(exporter: E) -> Self {
        Self {
            exporter,
            failures: Mutex::default(),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoggedExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedExporter")
            .field("exporter", &self.exporter)
            .finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for LoggedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            let lost = failures.add(spans, Instant::now());
            drop(failures);
            if let Some(lost_spans) = lost {
                tracing::warn!(%error, lost_spans, "traces cannot be exported: the next ones are tried again");
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_at_most_once_a_minute_with_every_lost_span() {
        let mut failures = Failures::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(failures.add(3, start), Some(3));
        assert_eq!(failures.add(4, after(1)), None);
        assert_eq!(failures.add(5, after(59)), None);
        assert_eq!(failures.add(6, after(60)), Some(15));
        assert_eq!(failures.add(7, after(119)), None);
    }
}
