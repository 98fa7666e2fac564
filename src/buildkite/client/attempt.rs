//! One request on its way: through the door, over the network, and into its class; and again, where that is safe and may help.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::super::budget::{Admission, Bucket, Closed};
use super::super::call::Call;
use super::super::credential::ApiToken;
use super::super::endpoint::Endpoint;
use super::super::error::{ApiError, Cause, Trouble};
use super::super::outcome::{self, BodyTrouble, Received};
use super::super::pages::Window;
use super::super::redact;
use super::Client;
use super::measured::Measured;

/// A body larger than this is no page of rows: 10,000 rows of the longest names that Buildkite allows stay below it.
const LARGEST_BODY: usize = 32 << 20;

/// The first pause before an attempt is repeated; each further one doubles, with jitter, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An attempt that has less time than this is not made.
const LAST_ATTEMPT: Duration = Duration::from_millis(500);

impl Client {
    pub(super) async fn patiently<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        call: &Call,
        attempt: impl FnMut() -> F,
    ) -> Result<T, ApiError> {
        let patience = Instant::now() + self.options.retry_for;
        let until = call.deadline().map_or(patience, |deadline| deadline.min(patience));
        let pauses = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times();
        attempt
            .retry(pauses)
            .when(|error: &ApiError| error.is_transient() && Instant::now() < until)
            .adjust(|_, pause| match call.patience() {
                Some(_) => within(pause?, until.saturating_duration_since(Instant::now())),
                None => pause,
            })
            .await
    }

    /// One request, sent again only where it was certainly not executed: a 429 is refused beforehand, and so is a token that
    /// was replaced meanwhile.
    pub(super) async fn attempt(
        &self,
        endpoint: Endpoint,
        window: Option<Window>,
        body: Option<&serde_json::Value>,
        call: &Call,
    ) -> Result<Answered, ApiError> {
        // A request that was refused and comes again is not given a new patience.
        let patience = Instant::now() + self.options.budget.patience(call.lane());
        let turn = call.clone().until(Some(
            call.deadline().map_or(patience, |deadline| deadline.min(patience)),
        ));
        loop {
            // What the door says is final; what Buildkite says is asked again, through the door.
            let admission = tokio::select! {
                biased;
                // A write that nobody waits for any more leaves the queue: it was not begun.
                () = call.given_up(), if endpoint.is_write() => Err(Trouble::Abandoned),
                admission = self.door.enter(&turn) => admission.map_err(|closed| beyond_patience(closed, call)),
            }
            .map_err(|trouble| ApiError::new(endpoint, trouble))?;
            let token = self.credential.current();
            let refused = match self.send(admission, endpoint, window, body, call, &token).await {
                Err(ApiError {
                    trouble: Trouble::RateLimited(closed),
                    ..
                }) => closed,
                Err(ApiError {
                    trouble: Trouble::TokenRejected,
                    ..
                }) if self.credential.has_another_than(&token) => continue,
                other => return other,
            };
            // The bucket is closed now, so the door either waits for its reset or says that it is too far.
            tracing::info!(
                call = endpoint.name(),
                bucket = refused.bucket.map(Bucket::as_str),
                "rate limited"
            );
        }
    }

    async fn send(
        &self,
        admission: Admission<'_>,
        endpoint: Endpoint,
        window: Option<Window>,
        body: Option<&serde_json::Value>,
        call: &Call,
        token: &ApiToken,
    ) -> Result<Answered, ApiError> {
        let fail = |trouble| ApiError::new(endpoint, trouble);
        let timeout = match call.deadline() {
            // A write that was begun is waited for: cut off, nobody would know what became of it.
            _ if endpoint.is_write() && call.is_abandoned() => {
                admission.never_sent();
                return Err(fail(Trouble::Abandoned));
            }
            Some(deadline) if !endpoint.is_write() => deadline
                .saturating_duration_since(Instant::now())
                .min(self.options.attempt_timeout),
            _ => self.options.attempt_timeout,
        };
        let measured = Measured::sent(endpoint);
        let exchange = tokio::time::timeout(timeout, self.exchange(endpoint, window, body, token));
        let received = match exchange.await {
            Ok(Ok(received)) => received,
            Ok(Err(cause)) => {
                if cause.is_before_sending() {
                    admission.never_sent();
                }
                call.record(endpoint, None);
                return Err(fail(Trouble::Unavailable(cause)));
            }
            Err(_) if timeout < self.options.attempt_timeout && call.is_overdue() => {
                call.record(endpoint, None);
                return Err(fail(Trouble::DeadlineExceeded));
            }
            Err(_) => {
                call.record(endpoint, None);
                return Err(fail(Trouble::Unavailable(Cause::Silent(timeout))));
            }
        };
        call.record(endpoint, Some(received.status));
        measured.answered(received.status);
        self.clock.compare(&received.headers, Timestamp::now());
        let body = received.body.as_deref().unwrap_or_default();
        let closed = admission.answered(received.status, &received.headers, body);
        match outcome::classify(&received, || closed.unwrap_or_else(Closed::unknown)) {
            Ok(()) => Ok(Answered(received)),
            Err(trouble) => Err(ApiError {
                endpoint,
                trouble,
                message: outcome::message(&received),
            }),
        }
    }

    async fn exchange(
        &self,
        endpoint: Endpoint,
        window: Option<Window>,
        body: Option<&serde_json::Value>,
        token: &ApiToken,
    ) -> Result<Received, Cause> {
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
            request = request.json(body);
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

/// A limit that opens too late is the caller's deadline only where Buildkite was never the reason.
fn beyond_patience(closed: Closed, call: &Call) -> Trouble {
    if call.is_overdue() {
        Trouble::DeadlineExceeded
    } else {
        Trouble::RateLimited(closed)
    }
}

/// The pause before the next attempt in what is `left` of a call's own patience. The last attempt comes just before its end, and has
/// time to be answered; past it, the trouble itself is told rather than that time ran out.
fn within(pause: Duration, left: Duration) -> Option<Duration> {
    match left.checked_sub(LAST_ATTEMPT) {
        Some(before) => Some(pause.min(before)).filter(|pause| *pause >= FIRST_PAUSE),
        None => None,
    }
}

/// The transport's failure without its URL: a query is nobody's business, and the call names itself.
fn cause(error: &reqwest::Error) -> Cause {
    if !error.is_connect() {
        return Cause::Broken;
    }
    let chain = || {
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
            error.source()
        })
    };
    let text = redact(&chain().last().map(ToString::to_string).unwrap_or_default());
    if chain().any(|error| error.to_string() == "dns error") {
        return Cause::Resolve(text);
    }
    if chain().any(is_tls) {
        return Cause::Tls(text);
    }
    Cause::Connect(text)
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

/// A 2xx answer whose body is still to be read.
pub(super) struct Answered(Received);

impl Answered {
    pub(super) fn decode<T: DeserializeOwned>(&self, endpoint: Endpoint) -> Result<T, ApiError> {
        outcome::decode(&self.0).map_err(|trouble| ApiError::new(endpoint, trouble))
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}
