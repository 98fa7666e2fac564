//! The provider's rate limits as callers see them: the state of each, and the error for one that is exceeded.

use std::time::Duration;

use tokio::time::Instant;

use super::call_context::Lane;

/// The length of a rate limit window.
pub const WINDOW: Duration = Duration::from_secs(60);

/// One of the two limits that Buildkite counts a request against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// The whole organization's requests (`rest`).
    Organization,
    /// The requests of the token's user, with any of their tokens (`rest_user`).
    User,
}

impl Bucket {
    /// Both buckets.
    pub const ALL: [Self; 2] = [Self::Organization, Self::User];

    /// The bucket's name in Buildkite's `scope` field and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "rest",
            Self::User => "rest_user",
        }
    }
}

/// A rate limit that allows no further request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The bucket; `None` if Buildkite did not name one, or if it is the operator's own limit.
    pub bucket: Option<Bucket>,
    /// Its requests a window, if known.
    pub limit: Option<i64>,
    /// When a retry can succeed, taking queued requests into account.
    pub retry_at: Option<Instant>,
}

impl LimitExceeded {
    /// An exceeded limit without any details.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            bucket: None,
            limit: None,
            retry_at: None,
        }
    }
}

/// The state of the budget at one moment, for logs, metrics and the rate-limit details of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetState {
    /// Each bucket that a response has reported.
    pub buckets: Vec<BucketState>,
    /// Requests sent so far.
    pub sent: u64,
    /// Requests in flight.
    pub in_flight: u32,
    /// How many requests wait in each lane, in order of priority.
    pub waiting: [(Lane, usize); 3],
}

/// The state of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketState {
    /// The bucket.
    pub bucket: Bucket,
    /// Requests a window, if known.
    pub limit: Option<u32>,
    /// Requests that may still be sent in this window.
    pub remaining: u32,
    /// How many of these a sync may send: the reserve is excluded.
    pub remaining_for_sync: u32,
    /// When the window has ended for certain, or when a 429 no longer blocks the bucket; `None` until a response of the
    /// window has reported it.
    pub resets_at: Option<Instant>,
}
