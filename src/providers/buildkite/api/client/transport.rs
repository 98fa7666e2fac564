//! One request over the network, and into its class.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use jiff::Timestamp;

use super::request_timer::Measured;
use crate::providers::buildkite::api::classify;
use crate::providers::buildkite::api::classify::{BodyTrouble, Received};
use crate::providers::buildkite::api::clock_skew::Clock;
use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};
use crate::providers::buildkite::api::ids::OrganizationSlug;
use crate::providers::buildkite::api::origin::ApiOrigin;
use crate::providers::buildkite::budget::{Admission, Bucket, LimitExceeded};
use crate::providers::buildkite::credential::token::ApiToken;
use crate::providers::buildkite::pagination::Window;
use crate::telemetry::redact::redact;

/// A body larger than this is no page of rows: 10,000 rows of the longest names that Buildkite allows stay below it.
const LARGEST_BODY: usize = 32 << 20;

/// The way to Buildkite.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) http: reqwest::Client,
    pub(crate) origin: ApiOrigin,
    pub(crate) organization: OrganizationSlug,
    /// Time for one request, from connecting to the body's last byte.
    pub(crate) timeout: Duration,
    pub(crate) clock: Clock,
}

/// What is asked: an endpoint, or a window of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) endpoint: Endpoint,
    pub(crate) window: Option<Window>,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// What it was sent with.
    pub(crate) token: Arc<ApiToken>,
    /// What it was answered with, if it was.
    pub(crate) status: Option<StatusCode>,
    pub(crate) outcome: Result<Arc<Received>, ApiError>,
}

impl Wire {
    /// Sends one request, and tells the budget what came of it.
    pub(crate) async fn send(
        self: Arc<Self>,
        admission: Admission,
        asked: Asked,
        body: Option<serde_json::Value>,
        token: Arc<ApiToken>,
    ) -> Sent {
        let measured = Measured::sent(asked.endpoint);
        let exchange = tokio::time::timeout(self.timeout, self.exchange(asked, body, &token)).await;
        let received = match exchange.unwrap_or(Err(Unavailability::Timeout(self.timeout))) {
            Ok(received) => received,
            Err(cause) => {
                if cause.is_before_sending() {
                    admission.never_sent();
                }
                return Sent {
                    token,
                    status: None,
                    outcome: Err(ApiError::new(asked.endpoint, ApiErrorKind::Unavailable(cause))),
                };
            }
        };
        measured.answered(received.status);
        self.clock.compare(&received.headers, Timestamp::now());
        let body = received.body.as_deref().unwrap_or_default();
        let closed = admission.answered(received.status, &received.headers, body);
        if let Some(closed) = &closed {
            let bucket = closed.bucket.map(Bucket::as_str);
            tracing::info!(call = asked.endpoint.name(), bucket, "rate limited");
        }
        let outcome = match classify::classify(&received, asked.endpoint, || {
            closed.unwrap_or_else(LimitExceeded::unknown)
        }) {
            Ok(()) => Ok(()),
            Err(trouble) => Err(ApiError {
                endpoint: asked.endpoint,
                kind: trouble,
                message: classify::message(&received),
            }),
        };
        Sent {
            token,
            status: Some(received.status),
            outcome: outcome.map(|()| Arc::new(received)),
        }
    }

    async fn exchange(
        &self,
        Asked { endpoint, window }: Asked,
        body: Option<serde_json::Value>,
        token: &ApiToken,
    ) -> Result<Received, Unavailability> {
        let path = endpoint.path(&self.organization);
        let mut request = self
            .http
            .request(endpoint.method(), self.origin.url(path.iter().map(String::as_str)));
        if let Ok(authorization) = token.authorization() {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        request = request.header(http::header::ACCEPT, "application/json");
        if let Some(window) = window {
            request = request.query(&[("page", window.page), ("per_page", window.per_page)]);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| cause(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Received {
            status,
            headers,
            body: read_body(response).await,
        })
    }
}

/// The transport's failure without its URL: a query is nobody's business, and the call names itself.
fn cause(error: &reqwest::Error) -> Unavailability {
    if !error.is_connect() {
        return Unavailability::ConnectionReset;
    }
    let chain = || {
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
            error.source()
        })
    };
    let text = redact(&chain().last().map(ToString::to_string).unwrap_or_default());
    if chain().any(|error| error.to_string() == "dns error") {
        return Unavailability::Resolve(text);
    }
    if chain().any(is_tls) {
        return Unavailability::Tls(text);
    }
    Unavailability::Connect(text)
}

/// Whether the handshake failed: the TLS library says so inside an I/O error, which may be inside another.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    while let Some(error) = inner {
        if error.is::<rustls::Error>() || error.to_string().starts_with("tls handshake") {
            return true;
        }
        inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    }
    false
}

async fn read_body(mut response: reqwest::Response) -> Result<Bytes, BodyTrouble> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| BodyTrouble::Cut)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(BodyTrouble::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
