//! The part of the scheduler's state that belongs to one connection: its credentials, its queue and its operator's limit.

use tokio::time::Instant;

use super::operator_limit::OperatorLimit;
use super::options::BudgetOptions;
use super::queue::PriorityQueue;
use super::routing::{CredentialUse, Route, serves};
use crate::governance::Lane;

/// Identifies a bucket among all schedulers of a process.
pub(crate) type BucketId = u64;

/// One connection, as the scheduler sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) options: BudgetOptions,
    /// The bucket of its organization.
    pub(crate) organization: BucketId,
    pub(crate) credentials: Vec<PooledCredential>,
    pub(crate) operator_limit: Option<OperatorLimit>,
    pub(crate) queue: PriorityQueue,
    pub(crate) in_flight: u32,
    /// Requests granted so far.
    pub(crate) sent: u64,
    /// The number of the grant that it received last, among those of all connections that share a bucket with it.
    pub(crate) served: u64,
    /// Which credentials serve a read, and which a change.
    readers: Vec<bool>,
    writers: Vec<bool>,
}

/// One credential of a connection.
#[derive(Debug)]
pub(crate) struct PooledCredential {
    /// The bucket of its user.
    pub(crate) user: BucketId,
    /// Whether it is offered work, unless no other credential can serve it.
    pub(crate) is_usable: bool,
}

impl Connection {
    pub(crate) fn new(
        options: BudgetOptions,
        organization: BucketId,
        credentials: Vec<PooledCredential>,
        uses: &[CredentialUse],
        now: Instant,
    ) -> Self {
        Self {
            options,
            organization,
            credentials,
            operator_limit: options
                .max_requests_per_minute
                .map(|limit| OperatorLimit::new(limit, now)),
            queue: PriorityQueue::default(),
            in_flight: 0,
            sent: 0,
            served: 0,
            readers: serves(uses, Route::Read),
            writers: serves(uses, Route::Change),
        }
    }

    fn serves(&self, route: Route, position: usize) -> bool {
        let of = |serving: &[bool]| serving.get(position).copied().unwrap_or(false);
        match route {
            Route::Read => of(&self.readers),
            Route::Change => of(&self.writers),
            Route::Credential(only) => position == only,
        }
    }

    /// The credentials that may serve a request, with their positions. Those that are not usable are among them only if all are.
    pub(crate) fn candidates(&self, route: Route) -> impl Iterator<Item = (usize, &PooledCredential)> {
        let serving = move |(position, _): &(usize, &PooledCredential)| self.serves(route, *position);
        let is_usable = self
            .credentials
            .iter()
            .enumerate()
            .filter(serving)
            .any(|(_, of)| of.is_usable);
        let by_name = matches!(route, Route::Credential(_));
        let offered = move |(_, of): &(usize, &PooledCredential)| by_name || of.is_usable || !is_usable;
        self.credentials.iter().enumerate().filter(serving).filter(offered)
    }

    /// The buckets of the users whose credentials may serve a request, each once.
    pub(crate) fn users(&self, route: Route) -> Vec<BucketId> {
        let mut users: Vec<BucketId> = self.candidates(route).map(|(_, credential)| credential.user).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// All buckets that its requests are counted in.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = BucketId> {
        let users = self.credentials.iter().map(|credential| credential.user);
        [self.organization].into_iter().chain(users)
    }

    /// Whether the operator's limit and the number of requests in flight allow one more on this lane.
    pub(crate) fn admits(&self, lane: Lane, now: Instant) -> bool {
        self.in_flight < BudgetOptions::max_in_flight(lane)
            && self.operator_limit.as_ref().is_none_or(|limit| limit.admits(lane, now))
    }
}
