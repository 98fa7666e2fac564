//! One request's turn: shared with whoever asks the same, or through the door; and again, where that is safe and may help.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::future::FutureExt;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::super::budget::Closed;
use super::super::call::Call;
use super::super::endpoint::Endpoint;
use super::super::error::{ApiError, Cause, Trouble};
use super::super::outcome::{self, Received};
use super::Client;
use super::shared::Answer;
use super::wire::{Asked, Sent};

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
    /// was replaced meanwhile. A read may be answered by a request that somebody else sent.
    pub(super) async fn attempt(
        &self,
        asked: Asked,
        body: Option<&serde_json::Value>,
        call: &Call,
    ) -> Result<Answered, ApiError> {
        // A request that was refused and comes again is not given a new patience.
        let patience = Instant::now() + self.options.budget.patience(call.lane());
        let turn = call.clone().until(Some(
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
                    trouble: Trouble::RateLimited(_),
                    ..
                }) => {}
                Err(ApiError {
                    trouble: Trouble::TokenRejected,
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
        turn: &Call,
        call: &Call,
    ) -> Result<Sent, Trouble> {
        let admission = tokio::select! {
            biased;
            () = call.given_up() => return Err(Trouble::Abandoned),
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
    async fn read_together(&self, asked: Asked, turn: &Call, call: &Call) -> Result<Sent, Trouble> {
        let turn = async {
            self.door
                .enter(turn)
                .await
                .map_err(|closed| beyond_patience(closed, call))
        };
        let (spot, admission) = if call.joins_others() {
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
    async fn within_patience(answer: Answer, call: &Call) -> Result<Sent, Trouble> {
        let Some(deadline) = call.deadline() else {
            return Ok(answer.await);
        };
        let begun = Instant::now();
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(sent) => Ok(sent),
            Err(_) if call.is_overdue() => Err(Trouble::DeadlineExceeded),
            Err(_) => Err(Trouble::Unavailable(Cause::Silent(begun.elapsed()))),
        }
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

/// A 2xx answer whose body is still to be read.
pub(super) struct Answered(Arc<Received>);

impl Answered {
    pub(super) fn decode<T: DeserializeOwned>(&self, endpoint: Endpoint) -> Result<T, ApiError> {
        outcome::decode(&self.0).map_err(|trouble| ApiError::new(endpoint, trouble))
    }

    /// What an accepted write echoes, where that can be believed.
    pub(super) fn echo<T: DeserializeOwned>(&self) -> Option<T> {
        outcome::echo(&self.0)
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}
