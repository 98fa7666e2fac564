//! The budget as others may see it: logs, metrics, and the rate-limit details of an answer.

use tokio::time::Instant;

use super::headers::Bucket;
use crate::providers::buildkite::call::Lane;

/// How the budget stands at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetState {
    /// Each bucket that an answer has told of.
    pub buckets: Vec<BucketState>,
    /// Requests sent so far.
    pub sent: u64,
    /// Requests under way.
    pub in_flight: u32,
    /// How many wait on each lane, the first to pass first.
    pub waiting: [(Lane, usize); 3],
}

/// How one bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketState {
    /// Which.
    pub bucket: Bucket,
    /// Requests a window, where known.
    pub limit: Option<u32>,
    /// Requests that may still be sent in this window.
    pub remaining: u32,
    /// Of these, what a sync may send: the reserve is not its own.
    pub remaining_for_sync: u32,
    /// When the window is over, or the bucket opens again; none until an answer of the window has told.
    pub resets_at: Option<Instant>,
}
