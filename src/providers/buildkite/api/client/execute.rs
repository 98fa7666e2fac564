//! One request's turn: shared with whoever asks the same, or through the door; and again, where that is safe and may help.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::future::FutureExt;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Client;
use super::single_flight::Answer;
use super::transport::{Asked, Sent};
use crate::providers::buildkite::api::classify;
use crate::providers::buildkite::api::classify::Received;
use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};
use crate::providers::buildkite::budget::LimitExceeded;
use crate::providers::buildkite::call::CallContext;

/// The first pause before an attempt is repeated; each further one doubles, with jitter, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An attempt that has less time than this is not made.
const LAST_ATTEMPT: Duration = Duration::from_millis(500);

impl Client {
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        call: &CallContext,
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
    /// was replaced meanwhile. A read may be answered by a request that somebody else sent.
    pub(crate) async fn attempt(
        &self,
        asked: Asked,
        body: Option<&serde_json::Value>,
        call: &CallContext,
    ) -> Result<Answered, ApiError> {
        // A request that was refused and comes again is not given a new patience.
        let patience = Instant::now() + self.options.budget.patience(call.lane());
        let turn = call.clone().with_deadline(Some(
            call.deadline().map_or(patience, |deadline| deadline.min(patience)),
        ));
        loop {
            let sent = if asked.endpoint.is_write() {
                self.write_once(asked, body, &turn, call).await
            } else {
                self.read_together(asked, &turn, call).await
            };
            let sent = sent.map_err(|trouble| ApiError::new(asked.endpoint, trouble))?;
            match sent.outcome {
                Ok(received) => return Ok(Answered(received)),
                // The bucket is closed now, so the door either waits for its reset or says that it is too far.
                Err(ApiError {
                    kind: ApiErrorKind::RateLimited(_),
                    ..
                }) => {}
                Err(ApiError {
                    kind: ApiErrorKind::TokenRejected,
                    ..
                }) if self.credential.has_another_than(&sent.token).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A write that nobody waits for any more is not begun. One that was begun is waited for: cut off, nobody would know
    /// what became of it.
    async fn write_once(
        &self,
        asked: Asked,
        body: Option<&serde_json::Value>,
        turn: &CallContext,
        call: &CallContext,
    ) -> Result<Sent, ApiErrorKind> {
        let admission = tokio::select! {
            biased;
            () = call.cancelled() => return Err(ApiErrorKind::Abandoned),
            admission = self.door.enter(turn) => admission.map_err(|closed| beyond_patience(closed, call))?,
        };
        let token = self.credential.current();
        let sent = Arc::clone(&self.wire)
            .send(admission, asked, body.cloned(), token)
            .await;
        self.reads.changed();
        call.record(asked.endpoint, sent.status);
        Ok(sent)
    }

    /// What the door says is final; what Buildkite says is asked again, through the door.
    async fn read_together(&self, asked: Asked, turn: &CallContext, call: &CallContext) -> Result<Sent, ApiErrorKind> {
        let turn = async {
            self.door
                .enter(turn)
                .await
                .map_err(|closed| beyond_patience(closed, call))
        };
        let (spot, admission) = if call.may_coalesce() {
            let spot = self.reads.spot(asked);
            let admission = tokio::select! {
                biased;
                answer = spot.asked() => return Self::within_patience(answer, call).await,
                admission = turn => admission?,
            };
            (spot, admission)
        } else {
            let admission = turn.await?;
            (self.reads.open_spot(asked), admission)
        };
        let begin = |admission| {
            let wire = Arc::clone(&self.wire);
            wire.send(admission, asked, None, self.credential.current()).boxed()
        };
        let (answer, unused) = spot.ask(admission, begin);
        if let Some(admission) = unused {
            admission.never_sent();
            return Self::within_patience(answer, call).await;
        }
        let sent = Self::within_patience(answer, call).await;
        call.record(asked.endpoint, sent.as_ref().ok().and_then(|sent| sent.status));
        sent
    }

    /// Waits for an answer for as long as the call does.
    async fn within_patience(answer: Answer, call: &CallContext) -> Result<Sent, ApiErrorKind> {
        let Some(deadline) = call.deadline() else {
            return Ok(answer.await);
        };
        let begun = Instant::now();
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(sent) => Ok(sent),
            Err(_) if call.is_overdue() => Err(ApiErrorKind::DeadlineExceeded),
            Err(_) => Err(ApiErrorKind::Unavailable(Unavailability::Timeout(begun.elapsed()))),
        }
    }
}

/// A limit that opens too late is the caller's deadline only where Buildkite was never the reason.
fn beyond_patience(closed: LimitExceeded, call: &CallContext) -> ApiErrorKind {
    if call.is_overdue() {
        ApiErrorKind::DeadlineExceeded
    } else {
        ApiErrorKind::RateLimited(closed)
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

/// A 2xx answer whose body is still to be read.
pub(crate) struct Answered(Arc<Received>);

impl Answered {
    pub(crate) fn decode<T: DeserializeOwned>(&self, endpoint: Endpoint) -> Result<T, ApiError> {
        classify::decode(&self.0).map_err(|trouble| ApiError::new(endpoint, trouble))
    }

    /// What an accepted write echoes, where that can be believed.
    pub(crate) fn echo<T: DeserializeOwned>(&self) -> Option<T> {
        classify::echo(&self.0)
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}
