//! Sends one request over the network and classifies the response.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::governance::rate_limit::{Bucket, LimitExceeded};
use crate::providers::buildkite::api::clock_skew::ClockSkew;
use crate::providers::buildkite::api::endpoint::{Endpoint, Request};
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};
use crate::providers::buildkite::api::ids::OrganizationSlug;
use crate::providers::buildkite::api::origin::ApiOrigin;
use crate::providers::buildkite::api::response_class;
use crate::providers::buildkite::api::response_class::{BodyError, RawResponse};
use crate::providers::buildkite::budget::Permit;
use crate::providers::buildkite::credential::Authorization;
use crate::providers::buildkite::pagination::Window;
use crate::telemetry::metrics::{ConnectionTag, REST_DURATION, REST_REQUESTS};
use crate::telemetry::redact::redact;

/// A larger body cannot be a page of rows: 10,000 rows with the longest names that Buildkite allows are smaller.
const MAX_BODY_BYTES: usize = 32 << 20;

/// A larger body is not passed on as it is.
const MAX_REST_BODY_BYTES: usize = 1 << 20;

/// Sends requests to Buildkite.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) http: reqwest::Client,
    pub(crate) origin: ApiOrigin,
    pub(crate) organization: OrganizationSlug,
    /// Timeout of one request, from connecting to the last byte of the body.
    pub(crate) timeout: Duration,
    pub(crate) clock_skew: Arc<ClockSkew>,
    /// The label of its metrics.
    pub(crate) tag: ConnectionTag,
}

/// Identifies a request, or a window of the list that it returns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    pub(crate) request: Request,
    pub(crate) window: Option<Window>,
}

impl RequestKey {
    /// The endpoint that the request is for.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.request.endpoint()
    }
}

/// The result of sending a request.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// The position of the credential.
    pub(crate) credential: usize,
    /// What it was sent with; `None` if it was not sent, because no authorization was available.
    pub(crate) authorization: Option<Arc<Authorization>>,
    /// The status of the response, if there was one.
    pub(crate) status: Option<StatusCode>,
    pub(crate) outcome: Result<Arc<RawResponse>, ApiError>,
}

impl Exchange {
    /// A request that was not sent.
    pub(crate) fn unsent(credential: usize, endpoint: Endpoint, kind: ApiErrorKind) -> Self {
        Self {
            credential,
            authorization: None,
            status: None,
            outcome: Err(ApiError::new(endpoint, kind)),
        }
    }
}

impl Transport {
    /// Sends one request and reports the outcome to the rate limiter.
    pub(crate) async fn send(
        self: Arc<Self>,
        permit: Permit,
        key: RequestKey,
        body: Option<serde_json::Value>,
        authorization: Arc<Authorization>,
    ) -> Exchange {
        let timer = RequestTimer::start(key.endpoint().name(), self.tag.clone());
        let credential = permit.credential();
        let response = tokio::time::timeout(self.timeout, self.round_trip(&key, body, &authorization)).await;
        let response = match response.unwrap_or(Err(Unavailability::Timeout(self.timeout))) {
            Ok(response) => response,
            Err(cause) => {
                if cause.is_before_sending() {
                    permit.refund();
                }
                return Exchange {
                    credential,
                    authorization: Some(authorization),
                    status: None,
                    outcome: Err(ApiError::new(key.endpoint(), ApiErrorKind::Unavailable(cause))),
                };
            }
        };
        timer.stop(response.status);
        self.clock_skew.observe(&response.headers, Timestamp::now());
        let body = response.body.as_deref().unwrap_or_default();
        let limit = permit.complete(response.status, &response.headers, body);
        if let Some(limit) = &limit {
            let bucket = limit.bucket.map(Bucket::as_str);
            tracing::info!(call = key.endpoint().name(), bucket, "rate limited");
        }
        let outcome = match response_class::classify(&response, key.endpoint(), || {
            limit.unwrap_or_else(LimitExceeded::unknown)
        }) {
            Ok(()) => Ok(()),
            Err(kind) => Err(ApiError {
                endpoint: key.endpoint(),
                kind,
                message: response_class::message(&response),
            }),
        };
        Exchange {
            credential,
            authorization: Some(authorization),
            status: Some(response.status),
            outcome: outcome.map(|()| Arc::new(response)),
        }
    }

    async fn round_trip(
        &self,
        RequestKey { request, window }: &RequestKey,
        body: Option<serde_json::Value>,
        authorization: &Authorization,
    ) -> Result<RawResponse, Unavailability> {
        let path = request.path(&self.organization);
        let mut builder = self.http.request(
            request.endpoint().method(),
            self.origin.url(path.iter().map(String::as_str)),
        );
        builder = builder.header(http::header::AUTHORIZATION, authorization.header());
        builder = builder.header(http::header::ACCEPT, "application/json");
        builder = builder.query(&request.query());
        if let Request::Rest(path) = request {
            builder = builder.query(path.query());
        }
        if let Some(window) = window {
            builder = builder.query(&[("page", window.page), ("per_page", window.per_page)]);
        }
        if let Some(body) = body {
            builder = builder.json(&body);
        }
        let response = builder.send().await.map_err(|error| cause(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(RawResponse {
            status,
            headers,
            body: read_body(response, max_body_bytes(request.endpoint())).await,
        })
    }
}

/// Counts and times one request. A request that is dropped before its response counts as one without a status.
pub(crate) struct RequestTimer {
    endpoint: &'static str,
    sent: Instant,
    status: Option<StatusCode>,
    tag: ConnectionTag,
}

impl RequestTimer {
    /// Starts with a request of a connection that `endpoint` names in the metrics.
    pub(crate) fn start(endpoint: &'static str, tag: ConnectionTag) -> Self {
        Self {
            tag,
            endpoint,
            sent: Instant::now(),
            status: None,
        }
    }

    /// Ends with the response.
    pub(crate) fn stop(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        let status = self.status.as_ref().map_or("none", StatusCode::as_str);
        REST_REQUESTS.increment_for(&self.tag, [self.endpoint, status]);
        REST_DURATION.observe_for(&self.tag, [self.endpoint], self.sent.elapsed());
    }
}

/// The cause of a transport error, without its URL: the query must not be logged, and the endpoint identifies the
/// request.
pub(crate) fn cause(error: &reqwest::Error) -> Unavailability {
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

/// Whether the TLS handshake failed: the TLS library reports it in an I/O error, which may be nested in another.
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

/// The size of the largest body that is accepted.
fn max_body_bytes(endpoint: Endpoint) -> usize {
    if endpoint == Endpoint::Rest {
        MAX_REST_BODY_BYTES
    } else {
        MAX_BODY_BYTES
    }
}

/// Reads a body of at most `max_bytes`.
pub(crate) async fn read_body(mut response: reqwest::Response, max_bytes: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| BodyError::Truncated)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
