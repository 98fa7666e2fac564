//! Health of service mode over HTTP: `/health` checks the credential, `/ready` whether the platform has accepted this
//! connector, `/live` whether the process runs.

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

/// Timeout of one check of the credential.
const VALIDATE_TIMEOUT: Duration = Duration::from_secs(30);

/// Readiness of service mode, and its health pages.
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

    /// Whether the platform has accepted the hello, and the shutdown has not begun.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The three pages. `details` names the problem of the credential; it is for listeners that only this machine can reach.
    pub fn router(&self, access: Arc<Governance>, details: bool) -> Router {
        let pages = Pages {
            health: self.clone(),
            access,
            details,
        };
        Router::new()
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/live", get(async || page(StatusCode::OK, "alive", None)))
            .with_state(pages)
    }
}

async fn health(State(pages): State<Pages>) -> Response {
    match pages
        .access
        .health()
        .validate(Some(Instant::now() + VALIDATE_TIMEOUT))
        .await
    {
        Ok(()) => page(StatusCode::OK, "healthy", None),
        Err(error) => {
            let details = pages.details.then(|| Status::from(error).message().to_owned());
            page(StatusCode::SERVICE_UNAVAILABLE, "unhealthy", details)
        }
    }
}

async fn ready(State(pages): State<Pages>) -> Response {
    if pages.health.is_ready() {
        page(StatusCode::OK, "ready", None)
    } else {
        page(StatusCode::SERVICE_UNAVAILABLE, "not ready", None)
    }
}

fn page(code: StatusCode, status: &str, details: Option<String>) -> Response {
    let mut body = json!({"status": status, "timestamp": Timestamp::now().to_string()});
    if let (Some(details), Some(body)) = (details, body.as_object_mut()) {
        body.insert("details".to_owned(), json!(details));
    }
    (code, Json(body)).into_response()
}
