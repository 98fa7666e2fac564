//! What syncs leave of each window to grants and revokes.
//!
//! Of the organization's window they leave the whole reserve. Where one user makes all changes, the same holds for that user's
//! window. Several users who make changes keep one reserve together, in whichever windows it is, because a change goes to the one
//! who has most left. A change takes up to three requests of one user, so only what suffices for whole changes counts.

use tokio::time::Instant;

use super::Scheduler;
use crate::governance::Lane;
use crate::providers::buildkite::budget::bucket::BucketTracker;
use crate::providers::buildkite::budget::connection::{BucketId, Connection};
use crate::providers::buildkite::budget::routing::Route;

/// Requests that a change takes at most if nothing goes wrong.
const REQUESTS_PER_CHANGE: u32 = 3;

impl Scheduler {
    /// The part of a window that a request of this lane leaves: what is neither spent nor released.
    pub(super) fn reserve(bucket: &BucketTracker, lane: Lane, now: Instant) -> u32 {
        if lane != Lane::Sync || bucket.is_released(now) {
            return 0;
        }
        bucket.reserve().saturating_sub(bucket.provisioning_sent())
    }

    /// The same for the window of a user, who may share the reserve with the other users who make changes.
    pub(super) fn user_reserve(&self, connection: &Connection, user: BucketId, lane: Lane, now: Instant) -> u32 {
        let Some(bucket) = self.buckets.get(&user) else {
            return 0;
        };
        let alone = Self::reserve(bucket, lane, now);
        if alone == 0 || connection.credentials.len() == 1 {
            return alone;
        }
        let writers = connection.users(Route::Change);
        if !writers.contains(&user) {
            // Nothing but reads is sent for this user.
            return 0;
        }
        let writers = writers.into_iter().filter_map(|id| Some((id, self.buckets.get(&id)?)));
        let (mut others, mut reserve, mut spent, mut count) = (0_u32, 0, 0_u32, 0_u32);
        for (id, writer) in writers {
            count += 1;
            reserve = reserve.max(writer.reserve());
            spent = spent.saturating_add(writer.provisioning_sent());
            if id != user {
                let available = writer.available_beyond(0);
                others = others.saturating_add(available - available % REQUESTS_PER_CHANGE);
            }
        }
        if count == 1 {
            return alone;
        }
        let missing = reserve.saturating_sub(spent).saturating_sub(others);
        missing.next_multiple_of(REQUESTS_PER_CHANGE)
    }
}
