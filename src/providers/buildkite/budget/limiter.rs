//! The rate limiter of a connection: waits for the decisions of the [scheduler](super::scheduler).
//!
//! A dropped waiter leaves the queue without trace. How waiters sleep is in [`super::group`].

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::group::{Decision, Group};
use super::headers::{LimitHeaders, TooManyRequests};
use super::options::BudgetOptions;
use super::registry::{Budgets, Registration};
use super::routing::{CredentialUse, Route};
use super::scheduler::{InFlight, Rejected, ResponseLimits};
use super::window::Estimate;
use crate::governance::rate_limit::{Bucket, BudgetState, LimitExceeded};
use crate::governance::{CallContext, Lane};
use crate::telemetry::metrics::{ConnectionTag, LANE_WAIT};

/// Grants a permit for each request to Buildkite. Clones share the budget.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    registration: Arc<Registration>,
    options: BudgetOptions,
    tag: ConnectionTag,
}

impl RateLimiter {
    /// A limiter for one credential that spends the budget as the options say and shares it with no other connection.
    #[must_use]
    pub fn new(options: BudgetOptions) -> Self {
        Budgets::default().limiter(None, &[CredentialUse::Any], options)
    }

    /// The same limiter, whose metrics have the label of a connection.
    #[must_use]
    pub fn tagged(self, tag: ConnectionTag) -> Self {
        Self { tag, ..self }
    }

    pub(super) fn of(registration: Registration, options: BudgetOptions) -> Self {
        Self {
            registration: Arc::new(registration),
            options,
            tag: ConnectionTag::default(),
        }
    }

    /// Waits for permission to send one request of this call, with the credential that serves its lane. Dropping the future
    /// leaves the queue.
    ///
    /// # Errors
    /// The limit that blocks the request, as soon as it is certain to block it for longer than the call's deadline and
    /// the longest wait allow.
    pub async fn acquire(&self, call: &CallContext) -> Result<Permit, LimitExceeded> {
        let route = match call.lane() {
            Lane::Provisioning => Route::Change,
            Lane::Interactive | Lane::Sync => Route::Read,
        };
        self.acquire_for(call, route).await
    }

    /// The same for a request that only the credentials of `route` may serve.
    ///
    /// # Errors
    /// As for [`RateLimiter::acquire`].
    pub async fn acquire_for(&self, call: &CallContext, route: Route) -> Result<Permit, LimitExceeded> {
        let enqueued_at = Instant::now();
        let max_wait = enqueued_at + self.options.max_wait(call.lane());
        let deadline = call.deadline().map_or(max_wait, |deadline| deadline.min(max_wait));
        let decision = self.enqueue(call, route, enqueued_at, deadline).decision().await;
        let throttled = match &decision {
            Ok(granted) => granted.throttled,
            Err(rejected) => rejected.throttled,
        };
        if throttled {
            call.record_wait_since(enqueued_at);
        }
        match decision {
            Ok(granted) => {
                LANE_WAIT.observe_for(&self.tag, [call.lane().as_str()], enqueued_at.elapsed());
                Ok(Permit {
                    group: Arc::clone(&self.registration.group),
                    credential: granted.request.credential,
                    request: Some(granted.request),
                })
            }
            Err(rejected) => Err(rejected.limit),
        }
    }

    /// The state of the budget.
    #[must_use]
    pub fn state(&self) -> BudgetState {
        let connection = self.registration.connection;
        let state = |state: &mut super::group::State| state.scheduler.state(connection, Instant::now());
        self.registration.group.read(state)
    }

    /// Estimates when the last of `requests` of this lane can be sent, if no others are enqueued; `None` if no rate
    /// limit blocks it. The estimate considers all buckets and the operator's own limit, as they are known now.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        let connection = self.registration.connection;
        self.registration.group.read(|state| {
            let now = Instant::now();
            let forecast = state
                .scheduler
                .forecast(connection, lane, requests, now, Estimate::Expected);
            forecast.retry_at
        })
    }

    /// A credential belongs to the user whom `identities` name: its requests count in the bucket of that user, whatever else has
    /// the same identities.
    pub fn learn(&self, credential: usize, identities: Vec<Arc<str>>) {
        self.registration.learn(credential, identities);
    }

    /// Sets whether a credential is offered work. Credentials that are not are used only where no other can serve.
    pub fn set_usable(&self, credential: usize, is_usable: bool) {
        let connection = self.registration.connection;
        let set = |state: &mut super::group::State| state.scheduler.set_usable(connection, credential, is_usable);
        self.registration.group.update(set);
    }

    /// The credential whose user has most left for a request of this lane.
    #[must_use]
    pub fn preferred(&self, lane: Lane, route: Route) -> Option<usize> {
        let connection = self.registration.connection;
        let preferred = |state: &mut super::group::State| {
            let now = Instant::now();
            state.scheduler.preferred(connection, lane, route, now)
        };
        self.registration.group.read(preferred)
    }

    /// For each credential, the first one whose requests count in the same user's bucket.
    #[must_use]
    pub fn first_of_user(&self) -> Vec<usize> {
        let connection = self.registration.connection;
        let users = self
            .registration
            .group
            .read(|state| state.scheduler.users_of(connection));
        let first = |user| users.iter().position(|other| other == user);
        users.iter().filter_map(first).collect()
    }

    fn enqueue<'a>(
        &'a self,
        call: &'a CallContext,
        route: Route,
        enqueued_at: Instant,
        deadline: Instant,
    ) -> QueuedWaiter<'a> {
        let (sender, receiver) = oneshot::channel();
        let Registration { group, connection, .. } = &*self.registration;
        let id = self.registration.next_id();
        group.update(|state| {
            state.waiting.insert(id, sender);
            state.scheduler.enqueue(*connection, id, call.lane(), route, deadline);
        });
        QueuedWaiter {
            registration: &self.registration,
            call,
            enqueued_at,
            id,
            receiver,
        }
    }
}

/// A waiter in the queue. Dropping it leaves the queue.
struct QueuedWaiter<'a> {
    registration: &'a Registration,
    call: &'a CallContext,
    enqueued_at: Instant,
    id: u64,
    receiver: oneshot::Receiver<Decision>,
}

impl QueuedWaiter<'_> {
    /// Waits until the scheduler grants or rejects the request.
    async fn decision(mut self) -> Decision {
        let decision = self.registration.group.decision(&mut self.receiver).await;
        decision.unwrap_or_else(|| {
            Err(Rejected {
                waiter: self.id,
                limit: LimitExceeded::unknown(),
                throttled: false,
            })
        })
    }
}

impl Drop for QueuedWaiter<'_> {
    fn drop(&mut self) {
        let Registration { group, connection, .. } = self.registration;
        let (id, receiver) = (self.id, &mut self.receiver);
        let throttled = group.update(|state| {
            state.waiting.remove(&id);
            let mut throttled = state.scheduler.cancel(*connection, id);
            if let Ok(Ok(granted)) = receiver.try_recv() {
                state.scheduler.refund(&granted.request);
                throttled |= granted.throttled;
            }
            throttled
        });
        if throttled {
            // A reader that leaves because another reader's response serves it has waited for the limit too.
            self.call.record_wait_since(self.enqueued_at);
        }
    }
}

/// Permission to send one request. If it is dropped unsettled, the request counts as sent and unanswered.
#[derive(Debug)]
pub struct Permit {
    group: Arc<Group>,
    credential: usize,
    request: Option<InFlight>,
}

impl Permit {
    /// The position of the credential that the request is sent with.
    #[must_use]
    pub fn credential(&self) -> usize {
        self.credential
    }

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
        self.group
            .update(|state| state.scheduler.complete(&request, response, Instant::now()))
    }

    /// Settles the permit without a charge: nothing was sent, because no connection was made.
    pub fn refund(mut self) {
        if let Some(request) = self.request.take() {
            self.group.update(|state| state.scheduler.refund(&request));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.group
                .update(|state| state.scheduler.abandon(&request, Instant::now()));
        }
    }
}
