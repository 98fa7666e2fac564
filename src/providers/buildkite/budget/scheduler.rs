//! The scheduler: decides which request may be sent now, as a state machine without I/O and without a clock.
//!
//! Every method takes the current instant. Events (a request is enqueued or cancelled, a response arrives or is lost)
//! change the state. [`Scheduler::next_action`] then returns one action at a time: grant a permit, reject a waiter, or
//! sleep until an instant. The [limiter](super::limiter) performs them.
//!
//! A request is granted when both buckets, the concurrency limit and the operator's own limit allow its lane. What
//! blocks a lane also blocks every lower lane, so no request overtakes a waiting grant.

use tokio::time::Instant;

use super::bucket::BucketTracker;
use super::headers::{LimitHeaders, TooManyRequests};
use super::operator_limit::OperatorLimit;
use super::options::BudgetOptions;
use super::queue::{PriorityQueue, Waiter};
use super::window::Estimate;
use crate::governance::Lane;
use crate::governance::rate_limit::{Bucket, BucketState, BudgetState, LimitExceeded};

/// The scheduler's next action.
#[derive(Debug)]
pub(crate) enum Action {
    /// This waiter may send a request.
    Grant(Granted),
    /// This waiter cannot be granted before its deadline.
    Reject(Rejected),
    /// Nothing until the next event, or until this instant.
    SleepUntil(Option<Instant>),
}

/// A waiter that may send a request.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) waiter: u64,
    pub(crate) request: InFlight,
    /// Whether it waited for a rate limit.
    pub(crate) throttled: bool,
}

/// A waiter that was rejected, and the limit that it would have to wait for.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) waiter: u64,
    pub(crate) limit: LimitExceeded,
    pub(crate) throttled: bool,
}

/// A granted request. Its owner settles it exactly once: [`Scheduler::complete`], [`Scheduler::abandon`] or
/// [`Scheduler::refund`].
#[derive(Debug)]
pub(crate) struct InFlight {
    /// Increases with every request.
    pub(crate) sequence: u64,
    pub(crate) lane: Lane,
    /// When it was granted; it is sent no earlier.
    pub(crate) sent_at: Instant,
}

/// The limits that one response reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResponseLimits {
    pub(crate) organization: Option<LimitHeaders>,
    pub(crate) user: Option<LimitHeaders>,
    /// For a 429: the bucket that it names, and the wait.
    pub(crate) too_many_requests: Option<TooManyRequests>,
}

/// The state of the budget.
#[derive(Debug)]
pub(crate) struct Scheduler {
    organization: BucketTracker,
    user: BucketTracker,
    operator_limit: Option<OperatorLimit>,
    queue: PriorityQueue,
    in_flight: u32,
    /// Requests granted so far, which is also the sequence number of the next one.
    sent: u64,
    last_waiter: u64,
}

impl Scheduler {
    pub(crate) fn new(options: BudgetOptions, now: Instant) -> Self {
        Self {
            organization: BucketTracker::new(Bucket::Organization, options),
            user: BucketTracker::new(Bucket::User, options),
            operator_limit: options
                .max_requests_per_minute
                .map(|limit| OperatorLimit::new(limit, now)),
            queue: PriorityQueue::default(),
            in_flight: 0,
            sent: 0,
            last_waiter: 0,
        }
    }

    /// Adds a waiter that stops waiting at `deadline`. Returns its id.
    pub(crate) fn enqueue(&mut self, lane: Lane, deadline: Instant) -> u64 {
        self.last_waiter += 1;
        let waiter = Waiter {
            id: self.last_waiter,
            deadline,
            throttled: false,
        };
        self.queue.enqueue(lane, waiter);
        self.last_waiter
    }

    /// Removes a waiter. Returns whether it had waited for a rate limit.
    pub(crate) fn cancel(&mut self, waiter: u64) -> bool {
        self.queue.cancel(waiter).is_some_and(|waiter| waiter.throttled)
    }

    /// The next action. To be called until it returns [`Action::SleepUntil`].
    pub(crate) fn next_action(&mut self, now: Instant) -> Action {
        self.advance(now);
        if let Some(granted) = self.grant(now) {
            return Action::Grant(granted);
        }
        if let Some(rejected) = self.reject(now) {
            return Action::Reject(rejected);
        }
        self.mark_throttled(now);
        Action::SleepUntil(self.next_change(now))
    }

    fn advance(&mut self, now: Instant) {
        let next_sequence = self.sent;
        for bucket in self.buckets_mut() {
            bucket.advance(now, next_sequence);
        }
    }

    fn grant(&mut self, now: Instant) -> Option<Granted> {
        let lane = self.queue.next_lane(|lane| self.may_send(lane, now))?;
        let waiter = self.queue.dequeue(lane)?;
        let request = InFlight {
            sequence: self.sent,
            lane,
            sent_at: now,
        };
        self.sent += 1;
        self.in_flight += 1;
        for bucket in self.buckets_mut() {
            bucket.record_sent(&request);
        }
        if let Some(limit) = &mut self.operator_limit {
            limit.record_sent(now);
        }
        Some(Granted {
            waiter: waiter.id,
            request,
            throttled: waiter.throttled,
        })
    }

    fn may_send(&self, lane: Lane, now: Instant) -> bool {
        self.in_flight < BudgetOptions::max_in_flight(lane)
            && self.buckets().all(|bucket| bucket.admits(lane, self.in_flight, now))
            && self.operator_limit.as_ref().is_none_or(|limit| limit.admits(lane, now))
    }

    /// Rejects the first waiter that certainly cannot be granted before its deadline.
    fn reject(&mut self, now: Instant) -> Option<Rejected> {
        let rejected = (0_u32..).zip(self.queue.iter()).find_map(|(ahead, (lane, waiter))| {
            let limit = self.forecast(lane, ahead, now, Estimate::LowerBound);
            let too_late = waiter.deadline <= now || limit.retry_at.is_some_and(|at| at > waiter.deadline);
            too_late.then_some(Rejected {
                waiter: waiter.id,
                limit,
                throttled: waiter.throttled,
            })
        })?;
        self.queue.cancel(rejected.waiter);
        Some(rejected)
    }

    /// The limit that blocks a request of this lane with `ahead` others before it, and until when. `retry_at` is `None`
    /// if no rate limit blocks it.
    pub(crate) fn forecast(&self, lane: Lane, ahead: u32, now: Instant, estimate: Estimate) -> LimitExceeded {
        let buckets = self.buckets().map(|bucket| LimitExceeded {
            bucket: Some(bucket.bucket),
            limit: bucket.limit().map(i64::from),
            retry_at: Some(bucket.forecast(lane, ahead, self.in_flight, now, estimate)),
        });
        let operator_limit = self.operator_limit.as_ref().map(|limit| LimitExceeded {
            bucket: None,
            limit: Some(i64::from(limit.limit())),
            retry_at: Some(limit.forecast(lane, ahead, now)),
        });
        buckets
            .chain(operator_limit)
            .filter(|limit| limit.retry_at.is_some_and(|at| at > now))
            .max_by_key(|limit| limit.retry_at)
            .unwrap_or_else(LimitExceeded::unknown)
    }

    fn mark_throttled(&mut self, now: Instant) {
        let is_throttled = |lane| self.forecast(lane, 0, now, Estimate::LowerBound).retry_at.is_some();
        let [provisioning, interactive, sync] = Lane::ALL.map(is_throttled);
        for (lane, waiter) in self.queue.iter_mut() {
            waiter.throttled |= match lane {
                Lane::Provisioning => provisioning,
                Lane::Interactive => interactive,
                Lane::Sync => sync,
            };
        }
    }

    /// The next instant after `now` at which the passage of time alone affects a waiter; `None` without waiters.
    fn next_change(&self, now: Instant) -> Option<Instant> {
        let deadline = self.queue.iter().map(|(_, waiter)| waiter.deadline).min()?;
        let buckets = self.buckets().filter_map(|bucket| bucket.next_change(now));
        let operator_limit = self.operator_limit.as_ref().and_then(|limit| limit.next_change(now));
        buckets.chain(operator_limit).chain([deadline]).min()
    }

    /// Settles a request whose response arrived. For a 429, returns the limit that blocks further requests.
    pub(crate) fn complete(
        &mut self,
        request: &InFlight,
        response: ResponseLimits,
        now: Instant,
    ) -> Option<LimitExceeded> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let (in_flight, next_sequence) = (self.in_flight, self.sent);
        let no_headers = response.organization.is_none() && response.user.is_none();
        for (bucket, headers) in [
            (&mut self.organization, response.organization),
            (&mut self.user, response.user),
        ] {
            match headers {
                Some(headers) => bucket.record_response(request, headers, in_flight, now, next_sequence),
                None if no_headers => bucket.no_headers(request, now),
                None => bucket.not_counted(request),
            }
        }
        if response.too_many_requests.is_none() && !no_headers {
            self.buckets_mut().for_each(BucketTracker::accepted);
        }
        response
            .too_many_requests
            .map(|refusal| self.block(request, refusal, now))
    }

    fn block(&mut self, request: &InFlight, refusal: TooManyRequests, now: Instant) -> LimitExceeded {
        let next_sequence = self.sent;
        let mut limit = LimitExceeded {
            bucket: refusal.bucket,
            ..LimitExceeded::unknown()
        };
        for bucket in self.buckets_mut() {
            if refusal.bucket.is_none_or(|named| named == bucket.bucket) {
                let until = bucket.block(request, refusal.wait(), now, next_sequence);
                limit.retry_at = limit.retry_at.max(Some(until));
                limit.limit = refusal.bucket.and(bucket.limit()).map(i64::from);
            }
        }
        limit
    }

    /// Settles a request that was sent and whose response never arrived.
    pub(crate) fn abandon(&mut self, request: &InFlight, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for bucket in self.buckets_mut() {
            bucket.unanswered(request, now);
        }
    }

    /// Settles a request that was never sent.
    pub(crate) fn refund(&mut self, request: &InFlight) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for bucket in self.buckets_mut() {
            bucket.refund(request);
        }
        if let Some(limit) = &mut self.operator_limit {
            limit.refund(request.sent_at);
        }
    }

    /// The state of the budget at `now`.
    pub(crate) fn state(&mut self, now: Instant) -> BudgetState {
        self.advance(now);
        let state = |bucket: &BucketTracker| BucketState {
            bucket: bucket.bucket,
            limit: bucket.limit(),
            remaining: bucket.available_to(Lane::Provisioning, self.in_flight, now),
            remaining_for_sync: bucket.available_to(Lane::Sync, self.in_flight, now),
            resets_at: bucket.resets_at(),
        };
        BudgetState {
            buckets: self
                .buckets()
                .filter(|bucket| bucket.is_observed())
                .map(state)
                .collect(),
            sent: self.sent,
            in_flight: self.in_flight,
            waiting: Lane::ALL.map(|lane| (lane, self.queue.waiting(lane))),
        }
    }

    fn buckets(&self) -> impl Iterator<Item = &BucketTracker> {
        [&self.organization, &self.user].into_iter()
    }

    fn buckets_mut(&mut self) -> impl Iterator<Item = &mut BucketTracker> {
        [&mut self.organization, &mut self.user].into_iter()
    }
}
