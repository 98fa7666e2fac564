//! The one door to the network: no request leaves without passing it.
//!
//! Buildkite counts every request against the organization and against the token's user. The door keeps few requests in
//! flight, learns from every answer, and closes a bucket that a 429 named until its window ends, so that nothing is sent
//! into a limit that is known to be used up. Who would have to wait longer than they can is told so at once.

mod headers;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use headers::{Bucket, Reading, Refusal, WINDOW};

use super::call::Call;

/// Requests under way at once: enough to hide latency, too few to overrun a window that was not yet seen.
const IN_FLIGHT: usize = 8;

/// A limit that leaves no room: which, how large, and when it does again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The bucket; none where Buildkite did not say.
    pub bucket: Option<Bucket>,
    /// Its requests a window, where known.
    pub limit: Option<i64>,
    /// When it opens again.
    pub opens_at: Option<Instant>,
}

impl Closed {
    /// A limit of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            bucket: None,
            limit: None,
            opens_at: None,
        }
    }
}

/// The door.
#[derive(Debug)]
pub struct Door {
    in_flight: Semaphore,
    closed: Mutex<Option<Closed>>,
    max_wait: Duration,
}

impl Door {
    /// A door that lets nobody wait longer than `max_wait` for a window to end.
    #[must_use]
    pub fn new(max_wait: Duration) -> Self {
        Self {
            in_flight: Semaphore::new(IN_FLIGHT),
            closed: Mutex::default(),
            max_wait,
        }
    }

    /// Waits until the call may send one request, which was ready to be sent at `arrived`: a request that was refused and
    /// comes again is not given a new patience.
    ///
    /// # Errors
    /// The closed limit, at once, where it opens later than the call or `max_wait` allows.
    pub async fn enter(&self, call: &Call, arrived: Instant) -> Result<Admission<'_>, Closed> {
        loop {
            let Ok(permit) = self.in_flight.acquire().await else {
                return Err(Closed::unknown());
            };
            let Some((closed, opens_at)) = self.closed_now() else {
                return Ok(Admission {
                    door: self,
                    _permit: permit,
                });
            };
            drop(permit);
            let patience = arrived + self.max_wait;
            if opens_at > call.deadline().map_or(patience, |deadline| deadline.min(patience)) {
                return Err(closed);
            }
            let slept_from = Instant::now();
            tokio::time::sleep_until(opens_at).await;
            call.waited(slept_from.elapsed());
        }
    }

    fn closed_now(&self) -> Option<(Closed, Instant)> {
        let closed = (*self.closed.lock().unwrap_or_else(PoisonError::into_inner))?;
        let opens_at = closed.opens_at?;
        (opens_at > Instant::now()).then_some((closed, opens_at))
    }

    fn close(&self, headers: &HeaderMap, body: &[u8]) -> Closed {
        let refusal = Refusal::read(headers, body);
        let limit = refusal
            .bucket
            .and_then(|bucket| Reading::of(bucket, headers))
            .and_then(|reading| reading.limit);
        let closed = Closed {
            bucket: refusal.bucket,
            limit,
            opens_at: Some(Instant::now() + refusal.wait()),
        };
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(closed);
        closed
    }
}

/// The right to send one request, given back when it is answered or given up.
#[derive(Debug)]
pub struct Admission<'door> {
    door: &'door Door,
    _permit: SemaphorePermit<'door>,
}

impl Admission<'_> {
    /// Tells the door what came back; for a 429, what it closed.
    #[must_use]
    pub fn answered(self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Closed> {
        (status == StatusCode::TOO_MANY_REQUESTS).then(|| self.door.close(headers, body))
    }
}
