//! What the operator sees of the budget of a connection.

use tokio::time::Instant;

use super::Scheduler;
use crate::governance::Lane;
use crate::governance::rate_limit::{Bucket, BucketState, BudgetState};
use crate::providers::buildkite::budget::connection::BucketId;

impl Scheduler {
    /// The state of the budget of a connection at `now`. The buckets of several users are added up.
    pub(crate) fn state(&mut self, connection: u64, now: Instant) -> BudgetState {
        self.advance(now);
        let Some(connection) = self.connections.get(&connection) else {
            return BudgetState {
                buckets: Vec::new(),
                sent: 0,
                in_flight: 0,
                waiting: Lane::ALL.map(|lane| (lane, 0)),
            };
        };
        let mut users: Vec<BucketId> = connection.buckets().skip(1).collect();
        users.sort_unstable();
        users.dedup();
        let of = |id: BucketId| {
            let bucket = self.buckets.get(&id).filter(|bucket| bucket.is_observed())?;
            let reserve = match bucket.bucket {
                Bucket::Organization => Self::reserve(bucket, Lane::Sync, now),
                Bucket::User => self.user_reserve(connection, id, Lane::Sync, now),
            };
            Some(BucketState {
                bucket: bucket.bucket,
                limit: bucket.limit(),
                remaining: bucket.available_beyond(0),
                remaining_for_sync: bucket.available_beyond(reserve),
                resets_at: bucket.resets_at(),
            })
        };
        let organization = of(connection.organization);
        BudgetState {
            buckets: organization
                .into_iter()
                .chain(users.into_iter().filter_map(of).reduce(sum))
                .collect(),
            sent: connection.sent,
            in_flight: connection.in_flight,
            waiting: Lane::ALL.map(|lane| (lane, connection.queue.waiting(lane))),
        }
    }
}

/// The state of the buckets of two users: what both have left, and the earlier reset.
fn sum(one: BucketState, other: BucketState) -> BucketState {
    BucketState {
        bucket: one.bucket,
        limit: one.limit.zip(other.limit).map(|(one, other)| one.saturating_add(other)),
        remaining: one.remaining.saturating_add(other.remaining),
        remaining_for_sync: one.remaining_for_sync.saturating_add(other.remaining_for_sync),
        resets_at: one.resets_at.zip(other.resets_at).map(|(one, other)| one.min(other)),
    }
}
