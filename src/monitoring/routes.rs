//! The monitoring endpoints, for GET and HEAD. None of them sends a request to Buildkite.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::exporter::Exporter;
use crate::governance::connections::Connections;

/// The content type of the Prometheus text format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct MonitoringState {
    exporter: Arc<Exporter>,
    connections: Connections,
    shutdown: CancellationToken,
}

/// The router. Unknown paths get 404, other methods 405.
pub(crate) fn router(exporter: Arc<Exporter>, connections: Connections, shutdown: CancellationToken) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(Arc::new(MonitoringState {
            exporter,
            connections,
            shutdown,
        }))
}

async fn metrics(State(state): State<Arc<MonitoringState>>) -> Response {
    match state.exporter.render(&state.connections) {
        Ok(text) => ([(header::CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Liveness: an outage at Buildkite is not a reason to restart the process.
async fn live() -> &'static str {
    "live\n"
}

/// Readiness: the process accepts calls until shutdown starts.
async fn ready(State(state): State<Arc<MonitoringState>>) -> (StatusCode, &'static str) {
    if state.shutdown.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "ending\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
