//! The rate limiter: waits for the decisions of the [scheduler](super::scheduler).
//!
//! Every waiter sleeps until it is granted or rejected, or until the instant at which the passage of time alone changes
//! something. A waiter that wakes up performs all pending actions of the scheduler and wakes the waiters that they
//! concern. So the limiter has no background task, and needs no shutdown. A dropped waiter leaves the queue without
//! trace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, StatusCode};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::headers::{LimitHeaders, TooManyRequests};
use super::options::BudgetOptions;
use super::scheduler::{Action, Granted, InFlight, Rejected, ResponseLimits, Scheduler};
use super::window::Estimate;
use crate::governance::rate_limit::{Bucket, BudgetState, LimitExceeded};
use crate::governance::{CallContext, Lane};
use crate::telemetry::metrics::{ConnectionTag, LANE_WAIT};

/// Grants a permit for each request to Buildkite. Clones share the budget.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

/// What the limiter shares with its permits.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The next instant at which the passage of time alone changes something.
    next_wakeup: watch::Sender<Option<Instant>>,
    options: BudgetOptions,
    tag: ConnectionTag,
}

#[derive(Debug)]
struct State {
    scheduler: Scheduler,
    waiting: HashMap<u64, oneshot::Sender<Result<Granted, Rejected>>>,
}

impl RateLimiter {
    /// A limiter that spends the budget as the options say.
    #[must_use]
    pub fn new(options: BudgetOptions) -> Self {
        Self::tagged(options, ConnectionTag::default())
    }

    /// The same, whose metrics have the label of a connection.
    #[must_use]
    pub fn tagged(options: BudgetOptions, tag: ConnectionTag) -> Self {
        let shared = Shared {
            state: Mutex::new(State {
                scheduler: Scheduler::new(options, Instant::now()),
                waiting: HashMap::new(),
            }),
            next_wakeup: watch::Sender::new(None),
            options,
            tag,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Waits for permission to send one request of this call. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The limit that blocks the request, as soon as it is certain to block it for longer than the call's deadline and
    /// the longest wait allow.
    pub async fn acquire(&self, call: &CallContext) -> Result<Permit, LimitExceeded> {
        let enqueued_at = Instant::now();
        let max_wait = enqueued_at + self.shared.options.max_wait(call.lane());
        let deadline = call.deadline().map_or(max_wait, |deadline| deadline.min(max_wait));
        let decision = self.shared.enqueue(call, enqueued_at, deadline).granted().await;
        let throttled = match &decision {
            Ok(granted) => granted.throttled,
            Err(rejected) => rejected.throttled,
        };
        if throttled {
            call.record_wait_since(enqueued_at);
        }
        match decision {
            Ok(granted) => {
                LANE_WAIT.observe_for(&self.shared.tag, [call.lane().as_str()], enqueued_at.elapsed());
                Ok(Permit {
                    shared: Arc::clone(&self.shared),
                    request: Some(granted.request),
                })
            }
            Err(rejected) => Err(rejected.limit),
        }
    }

    /// The state of the budget.
    #[must_use]
    pub fn state(&self) -> BudgetState {
        self.shared.lock().scheduler.state(Instant::now())
    }

    /// Estimates when the last of `requests` of this lane can be sent, if no others are enqueued; `None` if no rate
    /// limit blocks it. The estimate considers both buckets and the operator's own limit, as they are known now.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        let ahead = requests.saturating_sub(1);
        let state = self.shared.lock();
        state
            .scheduler
            .forecast(lane, ahead, Instant::now(), Estimate::Expected)
            .retry_at
    }
}

impl Shared {
    fn enqueue<'a>(&'a self, call: &'a CallContext, enqueued_at: Instant, deadline: Instant) -> QueuedWaiter<'a> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        let id = state.scheduler.enqueue(call.lane(), deadline);
        state.waiting.insert(id, sender);
        self.dispatch(state);
        QueuedWaiter {
            shared: self,
            call,
            enqueued_at,
            id,
            receiver,
        }
    }

    /// Performs all pending actions of the scheduler.
    fn dispatch(&self, mut state: MutexGuard<'_, State>) {
        let now = Instant::now();
        let next_wakeup = loop {
            let (id, decision) = match state.scheduler.next_action(now) {
                Action::Grant(granted) => (granted.waiter, Ok(granted)),
                Action::Reject(rejected) => (rejected.waiter, Err(rejected)),
                Action::SleepUntil(until) => break until,
            };
            if let Some(sender) = state.waiting.remove(&id)
                && let Err(Ok(granted)) = sender.send(decision)
            {
                // The receiver can only be dropped under this lock, so this branch should be unreachable; refund the
                // permit anyway.
                state.scheduler.refund(&granted.request);
            }
        };
        drop(state);
        self.next_wakeup.send_if_modified(|current| {
            let is_new = *current != next_wakeup;
            *current = next_wakeup;
            is_new
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is complete before anything that could panic, so a poisoned state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiter in the queue. Dropping it leaves the queue.
struct QueuedWaiter<'a> {
    shared: &'a Shared,
    call: &'a CallContext,
    enqueued_at: Instant,
    id: u64,
    receiver: oneshot::Receiver<Result<Granted, Rejected>>,
}

impl QueuedWaiter<'_> {
    /// Waits until the scheduler grants or rejects the request.
    async fn granted(mut self) -> Result<Granted, Rejected> {
        let mut next_wakeup = self.shared.next_wakeup.subscribe();
        loop {
            let at = *next_wakeup.borrow_and_update();
            let wakeup = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                decision = &mut self.receiver => {
                    return decision.unwrap_or_else(|_| Err(Rejected {
                        waiter: self.id,
                        limit: LimitExceeded::unknown(),
                        throttled: false,
                    }));
                }
                _ = next_wakeup.changed() => {}
                () = wakeup => self.shared.dispatch(self.shared.lock()),
            }
        }
    }
}

impl Drop for QueuedWaiter<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.waiting.remove(&self.id);
        let mut throttled = state.scheduler.cancel(self.id);
        if let Ok(Ok(granted)) = self.receiver.try_recv() {
            state.scheduler.refund(&granted.request);
            throttled |= granted.throttled;
        }
        self.shared.dispatch(state);
        if throttled {
            // A reader that leaves because another reader's response serves it has waited for the limit too.
            self.call.record_wait_since(self.enqueued_at);
        }
    }
}

/// Permission to send one request. If it is dropped unsettled, the request counts as sent and unanswered.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    request: Option<InFlight>,
}

impl Permit {
    /// Settles the permit with the response. For a 429, returns the limit that blocks further requests.
    #[must_use]
    pub fn complete(mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<LimitExceeded> {
        let request = self.request.take()?;
        let is_refused = status == StatusCode::TOO_MANY_REQUESTS;
        let response = ResponseLimits {
            organization: LimitHeaders::of(Bucket::Organization, headers),
            user: LimitHeaders::of(Bucket::User, headers),
            too_many_requests: is_refused.then(|| TooManyRequests::read(headers, body)),
        };
        let mut state = self.shared.lock();
        let limit = state.scheduler.complete(&request, response, Instant::now());
        self.shared.dispatch(state);
        limit
    }

    /// Settles the permit without a charge: nothing was sent, because no connection was made.
    pub fn refund(mut self) {
        if let Some(request) = self.request.take() {
            let mut state = self.shared.lock();
            state.scheduler.refund(&request);
            self.shared.dispatch(state);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            let mut state = self.shared.lock();
            state.scheduler.abandon(&request, Instant::now());
            self.shared.dispatch(state);
        }
    }
}
