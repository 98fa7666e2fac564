//! The scheduler: decides which request may be sent now and with which credential, as a state machine without I/O and without a
//! clock.
//!
//! It has the connections that share a bucket with each other, which most often is one. Every method takes the current
//! instant. Events (a request is enqueued or cancelled, a response arrives or is lost) change the state.
//! [`Scheduler::next_action`] then returns one action at a time: grant a permit, reject a waiter, or sleep until an
//! instant. The [limiter](super::limiter) performs them.
//!
//! A request is granted when the organization's bucket, the bucket of a user whose credential may serve it, the concurrency
//! limit and the operator's own limit allow its lane. Of several credentials the one whose user has most left is used. What
//! blocks a lane also blocks every lower lane, so no request overtakes a waiting grant that the same credential serves.
//! Connections that share a bucket take turns within a lane. A request of a higher lane of one counts as a bypass for
//! the lower lanes of the others too, so none starves another.

mod forecast;
mod reserve;
mod state;
mod users;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::bucket::BucketTracker;
use super::connection::{BucketId, Connection, PooledCredential};
use super::headers::{LimitHeaders, TooManyRequests};
use super::options::BudgetOptions;
use super::queue::{Next, Waiter};
use super::routing::{CredentialUse, Route};
use crate::governance::Lane;
use crate::governance::rate_limit::{Bucket, LimitExceeded};

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
    /// The position of the credential that it is sent with.
    pub(crate) credential: usize,
    connection: u64,
    organization: BucketId,
    user: BucketId,
}

/// The limits that one response reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ResponseLimits {
    pub(crate) organization: Option<LimitHeaders>,
    pub(crate) user: Option<LimitHeaders>,
    /// For a 429: the bucket that it names, and the wait.
    pub(crate) too_many_requests: Option<TooManyRequests>,
}

/// The state of the budget of the connections that share a bucket. Ids of connections, buckets and waiters are given by the caller;
/// they differ in all schedulers of a process.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    connections: BTreeMap<u64, Connection>,
    buckets: BTreeMap<BucketId, BucketTracker>,
    /// The bucket of each organization that has a name.
    organizations: HashMap<Arc<str>, BucketId>,
    /// The bucket of each user who is known, by everything that identifies them.
    users: HashMap<Arc<str>, BucketId>,
    /// Buckets that turned out to be another one.
    replaced: BTreeMap<BucketId, BucketId>,
    /// Requests granted so far, which is also the sequence number of the next one.
    sent: u64,
}

impl Scheduler {
    /// Adds a connection with an id and a credential for each of `uses`, which are all usable. Their users are not known, so each
    /// has a bucket. The bucket of an `organization` is shared with its other connections, if it has a name.
    pub(crate) fn add(
        &mut self,
        id: u64,
        organization: Option<Arc<str>>,
        uses: &[CredentialUse],
        options: BudgetOptions,
        now: Instant,
        mut next_id: impl FnMut() -> BucketId,
    ) {
        let shared = organization
            .as_ref()
            .and_then(|name| self.organizations.get(name))
            .copied();
        let organization_bucket = shared.unwrap_or_else(&mut next_id);
        self.buckets
            .entry(organization_bucket)
            .or_insert_with(|| BucketTracker::new(Bucket::Organization, options))
            .share(options);
        if let Some(name) = organization {
            self.organizations.insert(name, organization_bucket);
        }
        let credentials = uses.iter().map(|_| {
            let bucket = next_id();
            self.buckets.insert(bucket, BucketTracker::new(Bucket::User, options));
            PooledCredential::new(bucket)
        });
        let credentials = credentials.collect();
        let connection = Connection::new(options, organization_bucket, credentials, uses, now);
        self.connections.insert(id, connection);
    }

    /// Removes a connection, whose waiters have left, and the buckets that no other connection uses.
    pub(crate) fn remove(&mut self, connection: u64) {
        self.connections.remove(&connection);
        self.drop_unused_buckets();
    }

    /// Sets whether a credential is offered work while another can serve it.
    pub(crate) fn set_usable(&mut self, connection: u64, credential: usize, is_usable: bool) {
        let connection = self.connections.get_mut(&connection);
        if let Some(credential) = connection.and_then(|connection| connection.credentials.get_mut(credential)) {
            credential.is_usable = is_usable;
        }
    }

    /// Adds a waiter with an id that stops waiting at `deadline`.
    pub(crate) fn enqueue(&mut self, connection: u64, id: u64, lane: Lane, route: Route, deadline: Instant) {
        let waiter = Waiter {
            id,
            route,
            deadline,
            throttled: false,
        };
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.queue.enqueue(lane, waiter);
        }
    }

    /// Removes a waiter. Returns whether it had waited for a rate limit.
    pub(crate) fn cancel(&mut self, connection: u64, waiter: u64) -> bool {
        let connection = self.connections.get_mut(&connection);
        connection
            .and_then(|connection| connection.queue.cancel(waiter))
            .is_some_and(|waiter| waiter.throttled)
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
        for bucket in self.buckets.values_mut() {
            bucket.advance(now, self.sent);
        }
    }

    fn grant(&mut self, now: Instant) -> Option<Granted> {
        let next = |(id, connection): (&u64, &Connection)| {
            let next = connection
                .queue
                .next(|lane, route| self.credential_for(connection, lane, route, now))?;
            let precedence = if next.is_overdue { None } else { Some(next.lane) };
            Some(((precedence, connection.served), (*id, next)))
        };
        let (_, (id, next)) = self
            .connections
            .iter()
            .filter_map(next)
            .min_by_key(|(order, _)| *order)?;
        self.send(id, next, now)
    }

    fn send(&mut self, id: u64, next: Next<usize>, now: Instant) -> Option<Granted> {
        let connection = self.connections.get_mut(&id)?;
        let user = connection.credentials.get(next.choice)?.user;
        let waiter = connection.queue.dequeue(next.lane, next.waiter)?;
        let request = InFlight {
            sequence: self.sent,
            lane: next.lane,
            sent_at: now,
            credential: next.choice,
            connection: id,
            organization: connection.organization,
            user,
        };
        self.sent += 1;
        connection.served = self.sent;
        connection.sent += 1;
        connection.in_flight += 1;
        if let Some(limit) = &mut connection.operator_limit {
            limit.record_sent(now);
        }
        self.for_buckets(&request, |bucket| bucket.record_sent(&request));
        self.bypass_others(&request);
        Some(Granted {
            waiter: waiter.id,
            request,
            throttled: waiter.throttled,
        })
    }

    /// Counts the lower lanes of the other connections that share a bucket with this request as bypassed.
    fn bypass_others(&mut self, request: &InFlight) {
        let counted_in = [request.organization, request.user];
        for (id, connection) in &mut self.connections {
            if *id != request.connection && counted_in.iter().any(|bucket| connection.uses(*bucket)) {
                connection.queue.bypass(request.lane);
            }
        }
    }

    /// The credential that a request is sent with now: the one whose user has most left.
    fn credential_for(&self, connection: &Connection, lane: Lane, route: Route, now: Instant) -> Option<usize> {
        let organization = self.buckets.get(&connection.organization)?;
        if !connection.admits(lane, now) || !organization.admits(lane, Self::reserve(organization, lane, now)) {
            return None;
        }
        let admitted = connection.candidates(route).filter_map(|(position, credential)| {
            let user = self.buckets.get(&credential.user)?;
            let reserve = self.user_reserve(connection, credential.user, lane, now);
            let order = (
                user.available_beyond(reserve),
                std::cmp::Reverse((user.in_flight(), position)),
            );
            user.admits(lane, reserve).then_some((order, position))
        });
        admitted.max_by_key(|(order, _)| *order).map(|(_, position)| position)
    }

    /// The next instant after `now` at which the passage of time alone affects a waiter; `None` without waiters.
    fn next_change(&self, now: Instant) -> Option<Instant> {
        let waiting = self
            .connections
            .values()
            .filter(|connection| !connection.queue.is_empty());
        let of = |connection: &Connection| {
            let deadline = connection.queue.iter().map(|(_, waiter)| waiter.deadline).min();
            let buckets = connection
                .buckets()
                .filter_map(|bucket| self.buckets.get(&bucket)?.next_change(now));
            let operator_limit = connection
                .operator_limit
                .as_ref()
                .and_then(|limit| limit.next_change(now));
            buckets.chain(operator_limit).chain(deadline).min()
        };
        waiting.filter_map(of).min()
    }

    /// Settles a request whose response arrived. For a 429, returns the limit that blocks further requests.
    pub(crate) fn complete(
        &mut self,
        request: &InFlight,
        response: ResponseLimits,
        now: Instant,
    ) -> Option<LimitExceeded> {
        self.record_done(request);
        let next_sequence = self.sent;
        let no_headers = response.organization.is_none() && response.user.is_none();
        let is_refused = response.too_many_requests.is_some();
        self.for_buckets(request, |bucket| {
            let headers = match bucket.bucket {
                Bucket::Organization => response.organization,
                Bucket::User => response.user,
            };
            match headers {
                Some(headers) => bucket.record_response(request, headers, now, next_sequence),
                None if no_headers => bucket.no_headers(request, now),
                None => bucket.not_counted(request),
            }
            if !is_refused && !no_headers {
                bucket.accepted();
            }
        });
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
        self.for_buckets(request, |bucket| {
            if refusal.bucket.is_none_or(|named| named == bucket.bucket) {
                let until = bucket.block(request, refusal.wait(), now, next_sequence);
                limit.retry_at = limit.retry_at.max(Some(until));
                limit.limit = refusal.bucket.and(bucket.limit()).map(i64::from);
            }
        });
        limit
    }

    /// Settles a request that was sent and whose response never arrived.
    pub(crate) fn abandon(&mut self, request: &InFlight, now: Instant) {
        self.record_done(request);
        self.for_buckets(request, |bucket| bucket.unanswered(request, now));
    }

    /// Settles a request that was never sent.
    pub(crate) fn refund(&mut self, request: &InFlight) {
        self.record_done(request);
        self.for_buckets(request, |bucket| bucket.refund(request));
        let connection = self.connections.get_mut(&request.connection);
        if let Some(limit) = connection.and_then(|connection| connection.operator_limit.as_mut()) {
            limit.refund(request.sent_at);
        }
    }

    fn record_done(&mut self, request: &InFlight) {
        if let Some(connection) = self.connections.get_mut(&request.connection) {
            connection.in_flight = connection.in_flight.saturating_sub(1);
        }
    }

    /// Applies `change` to the two buckets that a request is counted in, as far as they are still used.
    fn for_buckets(&mut self, request: &InFlight, mut change: impl FnMut(&mut BucketTracker)) {
        for bucket in [request.organization, request.user] {
            let bucket = self.current(bucket);
            if let Some(bucket) = self.buckets.get_mut(&bucket) {
                change(bucket);
            }
        }
    }
}
