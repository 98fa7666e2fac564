//! The pages that monitors ask for, with GET or HEAD. None of them asks Buildkite.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::exposition::Exposition;
use crate::governance::Governance;

/// The text that Prometheus, and whatever reads like it, understands.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Pages {
    exposition: Arc<Exposition>,
    access: Arc<Governance>,
    ending: CancellationToken,
}

/// Every page. What is none is 404, and any other method 405.
pub(crate) fn router(exposition: Arc<Exposition>, access: Arc<Governance>, ending: CancellationToken) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(Arc::new(Pages {
            exposition,
            access,
            ending,
        }))
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    match pages.exposition.text(&pages.access) {
        Ok(text) => ([(header::CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The process lives: an outage at Buildkite is no reason to restart it.
async fn live() -> &'static str {
    "live\n"
}

/// The process takes calls, until it was told to end.
async fn ready(State(pages): State<Arc<Pages>>) -> (StatusCode, &'static str) {
    if pages.ending.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "ending\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
