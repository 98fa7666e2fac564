//! The part of the scheduler's state that belongs to one connection: its credentials, its queue and its operator's limit.

use tokio::time::Instant;

use super::operator_limit::OperatorLimit;
use super::options::BudgetOptions;
use super::queue::PriorityQueue;
use super::routing::{CredentialUse, Route, serving};
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
    /// Which credentials serve a read, and which a change, in order of preference.
    readers: Vec<Vec<usize>>,
    writers: Vec<Vec<usize>>,
}

/// One credential of a connection.
#[derive(Debug)]
pub(crate) struct PooledCredential {
    /// The bucket of its user.
    pub(crate) user: BucketId,
    /// Whether it is offered work, unless no other credential can serve it.
    pub(crate) is_usable: bool,
}

impl PooledCredential {
    /// A usable credential whose requests count in the bucket of its user.
    pub(crate) fn new(user: BucketId) -> Self {
        Self { user, is_usable: true }
    }
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
            readers: serving(uses, Route::Read),
            writers: serving(uses, Route::Change),
        }
    }

    /// The credentials that may serve a request, with their positions: the usable ones of the first group that has any, or
    /// all of the first group if none is usable.
    pub(crate) fn candidates(&self, route: Route) -> impl Iterator<Item = (usize, &PooledCredential)> {
        let by_name = match route {
            Route::Credential(only) => Some(only),
            Route::Read | Route::Change => None,
        };
        let groups = match route {
            Route::Read => self.readers.as_slice(),
            Route::Change => self.writers.as_slice(),
            Route::Credential(_) => &[],
        };
        let is_usable = |position: &usize| self.credentials.get(*position).is_some_and(|of| of.is_usable);
        let usable = groups.iter().find(|group| group.iter().any(is_usable));
        let group = usable.or_else(|| groups.first()).map_or(&[][..], Vec::as_slice);
        let has_usable = usable.is_some();
        let positions = group.iter().copied().chain(by_name);
        let of = move |position| Some((position, self.credentials.get(position)?));
        positions
            .filter_map(of)
            .filter(move |(_, of)| by_name.is_some() || of.is_usable || !has_usable)
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

    /// Whether its requests are counted in a bucket.
    pub(crate) fn uses(&self, bucket: BucketId) -> bool {
        self.buckets().any(|used| used == bucket)
    }

    /// Whether the operator's limit and the number of requests in flight allow one more on this lane.
    pub(crate) fn admits(&self, lane: Lane, now: Instant) -> bool {
        self.in_flight < BudgetOptions::max_in_flight(lane)
            && self.operator_limit.as_ref().is_none_or(|limit| limit.admits(lane, now))
    }
}
