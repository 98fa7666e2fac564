//! Executes a request: coalesced with an identical read or with a permit of its own, and again if that is safe and
//! can help.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Client;
use super::coalescing::SharedExchange;
use super::transport::{Exchange, RequestKey};
use crate::governance::CallContext;
use crate::governance::rate_limit::LimitExceeded;
use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};
use crate::providers::buildkite::api::response_class;
use crate::providers::buildkite::api::response_class::{BodyError, RawResponse};
use crate::providers::buildkite::budget::{Permit, Route};
use crate::providers::buildkite::credential::{Authorization, Credential};
use crate::telemetry::traces::RequestSpan;

/// The first delay before a retry; each further delay doubles, with jitter, up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// An attempt with less time left than this is not made.
const MIN_ATTEMPT_TIME: Duration = Duration::from_millis(500);

impl Client {
    /// Retries transient failures of `attempt` until the retry time or the deadline of the call ends.
    pub(crate) async fn with_retries<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        call: &CallContext,
        attempt: impl FnMut() -> F,
    ) -> Result<T, ApiError> {
        let retry_until = Instant::now() + self.options.retry_for;
        let until = call
            .deadline()
            .map_or(retry_until, |deadline| deadline.min(retry_until));
        let backoff = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(MIN_BACKOFF)
            .with_max_delay(MAX_BACKOFF)
            .without_max_times();
        attempt
            .retry(backoff)
            .when(|error: &ApiError| error.is_transient() && Instant::now() < until)
            .adjust(|_, delay| match call.probe_timeout() {
                Some(_) => clamp_backoff(delay?, until.saturating_duration_since(Instant::now())),
                None => delay,
            })
            .await
    }

    /// Sends one request, and again only if it was certainly not executed: after a 429, or after a 401 if the
    /// credential has another authorization. A read may return the response to an identical request of another call.
    ///
    /// The future is boxed, so that the compiler proves once that it is `Send`, and not for each caller.
    pub(crate) fn execute<'a>(
        &'a self,
        key: &'a RequestKey,
        body: Option<&'a serde_json::Value>,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Response, ApiError>> {
        self.execute_until_settled(key, body, call).boxed()
    }

    async fn execute_until_settled(
        &self,
        key: &RequestKey,
        body: Option<&serde_json::Value>,
        call: &CallContext,
    ) -> Result<Response, ApiError> {
        // A retry after a 429 does not extend the maximum wait.
        let max_wait = Instant::now() + self.options.budget.max_wait(call.lane());
        let queue_deadline = call.deadline().map_or(max_wait, |deadline| deadline.min(max_wait));
        let route = self.route(key.endpoint().is_write(), call);
        let mut first_rejected: HashMap<usize, Arc<Authorization>> = HashMap::new();
        loop {
            let span = RequestSpan::begin(
                key.endpoint().method().as_str(),
                &key.request.template(),
                call.lane().as_str(),
            );
            let exchange = if key.endpoint().is_write() {
                self.execute_write(key, body, (route, queue_deadline), call, &span)
                    .await
            } else {
                // A read changes nothing, so it is dropped as soon as its call is cancelled.
                tokio::select! {
                    biased;
                    () = call.cancelled() => Err(ApiErrorKind::Abandoned),
                    exchange = self.execute_read(key, (route, queue_deadline), call, &span) => exchange,
                }
            };
            let status = exchange.as_ref().ok().and_then(|exchange| exchange.status);
            span.finish(status.map(|status| status.as_u16()));
            let exchange = exchange.map_err(|kind| ApiError::new(key.endpoint(), kind))?;
            match exchange.outcome {
                Ok(response) => {
                    self.accepted(exchange.credential, route);
                    return Ok(Response(response));
                }
                // The limiter knows that the bucket is exhausted, so it waits for the reset or rejects the request if
                // that is too late.
                Err(ApiError {
                    kind: ApiErrorKind::RateLimited(_),
                    ..
                }) => {}
                Err(error) if error.kind == ApiErrorKind::TokenRejected => {
                    let position = exchange.credential;
                    let credential = self.pool.credential(position);
                    let first = first_rejected.get(&position).map(Arc::as_ref);
                    if is_renewed_after_rejection(credential, exchange.authorization.as_deref(), first).await {
                        if let Some(used) = exchange.authorization {
                            first_rejected.entry(position).or_insert(used);
                        }
                        continue;
                    }
                    let kind = credential.rejection();
                    let error = ApiError { kind, ..error };
                    if !self.is_reassigned(position, &error, route, call) {
                        return Err(error);
                    }
                }
                // Nothing was sent.
                Err(error) if exchange.authorization.is_none() => {
                    if !self.is_reassigned(exchange.credential, &error, route, call) {
                        return Err(error);
                    }
                }
                Err(error) => {
                    if matches!(
                        error.kind,
                        ApiErrorKind::Forbidden | ApiErrorKind::NotFound | ApiErrorKind::Rejected(_)
                    ) {
                        self.accepted(exchange.credential, route);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// A write of a cancelled call is not started. A started write is awaited even then: if it were cut off, its
    /// outcome would be unknown.
    async fn execute_write(
        &self,
        key: &RequestKey,
        body: Option<&serde_json::Value>,
        until: (Route, Instant),
        call: &CallContext,
        span: &RequestSpan,
    ) -> Result<Exchange, ApiErrorKind> {
        let permit = tokio::select! {
            biased;
            () = call.cancelled() => return Err(ApiErrorKind::Abandoned),
            permit = self.acquire(until, call, span) => permit?,
        };
        let exchange = self.sending(permit, key, body.cloned()).await;
        self.reads.invalidate();
        call.record(key.endpoint().name(), exchange.status.map(|status| status.as_u16()));
        Ok(exchange)
    }

    /// A rejection by the rate limiter is final; a 429 from Buildkite is retried through the limiter.
    async fn execute_read(
        &self,
        key: &RequestKey,
        until: (Route, Instant),
        call: &CallContext,
        span: &RequestSpan,
    ) -> Result<Exchange, ApiErrorKind> {
        let permit = self.acquire(until, call, span);
        let (flight, permit) = if call.may_coalesce() {
            let flight = self.reads.join(key.clone(), self.only);
            let permit = tokio::select! {
                biased;
                exchange = flight.started() => {
                    span.coalesced();
                    return Self::await_response(exchange, call).await;
                }
                permit = permit => permit?,
            };
            (flight, permit)
        } else {
            let permit = permit.await?;
            let credential = self
                .only
                .or_else(|| (!self.pool.is_single()).then(|| permit.credential()));
            (self.reads.lead(key.clone(), credential), permit)
        };
        let (exchange, unused) = flight.start(permit, |permit| self.sending(permit, key, None).boxed());
        if let Some(permit) = unused {
            permit.refund();
            span.coalesced();
            return Self::await_response(exchange, call).await;
        }
        let exchange = Self::await_response(exchange, call).await;
        let status = exchange.as_ref().ok().and_then(|exchange| exchange.status);
        call.record(key.endpoint().name(), status.map(|status| status.as_u16()));
        exchange
    }

    /// Sends the request with the authorization of this moment. The future does not depend on the call, because others
    /// may hold it.
    fn sending(
        &self,
        permit: Permit,
        key: &RequestKey,
        body: Option<serde_json::Value>,
    ) -> impl Future<Output = Exchange> + Send + 'static {
        let position = permit.credential();
        let (credential, upstream) = (Arc::clone(self.pool.credential(position)), self.upstream.clone());
        let (transport, key) = (Arc::clone(&self.transport), key.clone());
        async move {
            match credential.authorization(&upstream).await {
                Ok(authorization) => transport.send(permit, key, body, authorization).await,
                Err(kind) => {
                    permit.refund();
                    Exchange::unsent(position, key.endpoint(), kind)
                }
            }
        }
    }

    /// Waits for permission to send until `queue_deadline`, and until the credential that it is for can authorize a
    /// request. A credential that cannot do so at once is waited for without a permit.
    async fn acquire(
        &self,
        (route, queue_deadline): (Route, Instant),
        call: &CallContext,
        span: &RequestSpan,
    ) -> Result<Permit, ApiErrorKind> {
        let only = self.only.or_else(|| self.pool.is_single().then_some(0));
        if let Some(position) = only {
            self.prepare_credential(position, call).await?;
        }
        let mut prepared: HashSet<usize> = only.into_iter().collect();
        self.introduced(route, call).await?;
        let queued = call.clone().with_deadline(Some(queue_deadline));
        let begun = Instant::now();
        loop {
            let permit = self.limiter.acquire_for(&queued, self.decided(route, call)).await;
            span.waited(begun.elapsed());
            let permit = permit.map_err(|limit| limit_error(limit, call))?;
            let position = permit.credential();
            if !self.decides(position, route, call) {
                permit.refund();
                continue;
            }
            // What keeps it from authorizing is reported by the request itself, so that another one can take its place.
            let is_prepared = prepared.contains(&position)
                || self
                    .pool
                    .credential(position)
                    .prepare(&self.upstream)
                    .now_or_never()
                    .is_some();
            if is_prepared {
                return Ok(permit);
            }
            permit.refund();
            match self.prepare_credential(position, call).await {
                Err(ApiErrorKind::DeadlineExceeded) => return Err(ApiErrorKind::DeadlineExceeded),
                Ok(()) | Err(_) => prepared.insert(position),
            };
        }
    }

    /// Waits until the credential at a position can authorize a request, until the deadline of the call.
    async fn prepare_credential(&self, position: usize, call: &CallContext) -> Result<(), ApiErrorKind> {
        let credential = self.pool.credential(position);
        let prepared = credential.prepare(&self.upstream);
        let Some(deadline) = call.deadline() else {
            return prepared.await;
        };
        let begun = Instant::now();
        match tokio::time::timeout_at(deadline, prepared).await {
            Ok(prepared) => prepared,
            Err(_) => Err(match overdue(begun, call) {
                ApiErrorKind::Unavailable(cause) => ApiErrorKind::Unavailable(credential.unavailable(cause)),
                kind => kind,
            }),
        }
    }

    /// Waits for an exchange until the deadline of the call.
    async fn await_response(exchange: SharedExchange, call: &CallContext) -> Result<Exchange, ApiErrorKind> {
        let Some(deadline) = call.deadline() else {
            return Ok(exchange.await);
        };
        let begun = Instant::now();
        match tokio::time::timeout_at(deadline, exchange).await {
            Ok(exchange) => Ok(exchange),
            Err(_) => Err(overdue(begun, call)),
        }
    }
}

async fn is_renewed_after_rejection(
    credential: &Credential,
    used: Option<&Authorization>,
    first: Option<&Authorization>,
) -> bool {
    match used {
        Some(used) => credential.should_retry_after_rejection(used, first).await,
        None => false,
    }
}

/// The error of a wait that began at `begun` and ended with the deadline of the call, which is the caller's or that of
/// a probe.
fn overdue(begun: Instant, call: &CallContext) -> ApiErrorKind {
    if call.is_overdue() {
        ApiErrorKind::DeadlineExceeded
    } else {
        ApiErrorKind::Unavailable(Unavailability::Timeout(begun.elapsed()))
    }
}

/// A limit that resets too late is reported as the deadline of the caller only if that deadline has passed.
fn limit_error(limit: LimitExceeded, call: &CallContext) -> ApiErrorKind {
    if call.is_overdue() {
        ApiErrorKind::DeadlineExceeded
    } else {
        ApiErrorKind::RateLimited(limit)
    }
}

/// The delay before the next attempt, given the time `left` until the probe timeout. The last attempt starts early
/// enough to be answered; after it the actual error is returned instead of a timeout.
fn clamp_backoff(delay: Duration, left: Duration) -> Option<Duration> {
    match left.checked_sub(MIN_ATTEMPT_TIME) {
        Some(before) => Some(delay.min(before)).filter(|delay| *delay >= MIN_BACKOFF),
        None => None,
    }
}

/// A 2xx response whose body is not decoded yet.
pub(crate) struct Response(Arc<RawResponse>);

impl Response {
    /// Decodes the body.
    pub(crate) fn decode<T: DeserializeOwned>(&self, endpoint: Endpoint) -> Result<T, ApiError> {
        response_class::decode(&self.0).map_err(|kind| ApiError::new(endpoint, kind))
    }

    /// The row that an accepted write echoes, if it can be trusted.
    pub(crate) fn echo<T: DeserializeOwned>(&self) -> Option<T> {
        response_class::echo(&self.0)
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The body as it was received, or why it could not be read.
    pub(crate) fn body(&self) -> &Result<Bytes, BodyError> {
        &self.0.body
    }

    /// The headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}
