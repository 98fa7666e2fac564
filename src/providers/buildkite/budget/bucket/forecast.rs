//! When a request can probably be sent into a bucket.

use tokio::time::Instant;

use super::{BucketTracker, RELEASE};
use crate::providers::buildkite::budget::window::Estimate;

/// Requests of a window that a request must leave: of the running window, and of later ones.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reserve {
    pub(crate) now: u32,
    pub(crate) later: u32,
}

impl BucketTracker {
    /// Estimates when a request that must leave `reserve`, with `ahead` others before it, can be sent.
    pub(crate) fn forecast(&self, reserve: Reserve, ahead: u32, now: Instant, estimate: Estimate) -> Instant {
        let unblocked_at = self.blocked_until.unwrap_or(now);
        let available = self.available();
        if ahead < available.saturating_sub(reserve.now) {
            return unblocked_at;
        }
        let Some(excess) = ahead.checked_sub(available) else {
            return self.release_at().map_or(unblocked_at, |at| at.max(unblocked_at));
        };
        let next = self
            .blocked_until
            .max(self.ends_at())
            .or(self.unattributed.next_expiry())
            .unwrap_or(now);
        let Some(limit) = self.limit else { return next };
        let length = self.length.at(estimate);
        let begin = next + length * (excess / limit);
        if excess % limit >= limit.saturating_sub(reserve.later) {
            // In that window the request needs the reserve, which is released last.
            return begin + length.saturating_sub(RELEASE);
        }
        begin
    }
}
