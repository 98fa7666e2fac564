//! Health of service mode over HTTP: `/health` checks the credential, `/ready` says whether the platform knows this connector,
//! `/live` that the process runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use tonic::Status;

use crate::governance::Governance;

/// For one check of the credential.
const VALIDATE: Duration = Duration::from_secs(30);

/// Whether the platform knows this connector.
#[derive(Debug, Clone, Default)]
pub struct ServiceHealth {
    ready: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Pages {
    health: ServiceHealth,
    access: Arc<Governance>,
    details: bool,
}

impl ServiceHealth {
    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether the platform has heard the hello, and the end has not begun.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The three pages. `details` are for listeners that only this machine reaches: they name the credential's trouble.
    pub fn router(&self, access: Arc<Governance>, details: bool) -> Router {
        let pages = Pages {
            health: self.clone(),
            access,
            details,
        };
        Router::new()
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/live", get(async || told(StatusCode::OK, "alive", None)))
            .with_state(pages)
    }
}

async fn health(State(pages): State<Pages>) -> Response {
    match pages.access.health().validate(Some(Instant::now() + VALIDATE)).await {
        Ok(()) => told(StatusCode::OK, "healthy", None),
        Err(error) => {
            let details = pages.details.then(|| Status::from(error).message().to_owned());
            told(StatusCode::SERVICE_UNAVAILABLE, "unhealthy", details)
        }
    }
}

async fn ready(State(pages): State<Pages>) -> Response {
    if pages.health.is_ready() {
        told(StatusCode::OK, "ready", None)
    } else {
        told(StatusCode::SERVICE_UNAVAILABLE, "not ready", None)
    }
}

fn told(code: StatusCode, status: &str, details: Option<String>) -> Response {
    let mut body = json!({"status": status, "timestamp": Timestamp::now().to_string()});
    if let (Some(details), Some(body)) = (details, body.as_object_mut()) {
        body.insert("details".to_owned(), json!(details));
    }
    (code, Json(body)).into_response()
}
