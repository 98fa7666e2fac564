//! The budget: both of Buildkite's rate limits to the full, and not one 429.
//!
//! Buildkite counts every request against the organization and against the token's user, in windows of a minute. The
//! [`RateLimiter`] is the only way to the network, and lets a request through when neither window can be overdrawn by it. Read
//! in this order: [`headers`] is what an answer says; `ends`, `window` and `bucket` are what may be concluded from it, and
//! hold the argument why alone no request is refused; `careful` is how a window is entered; `lanes` is whose turn it is;
//! `pace` is the operator's own limit; `keeper` puts them together, without a clock; `door` waits.

mod bucket;
mod headers;
mod limiter;
mod operator_limit;
mod options;
mod queue;
mod scheduler;
mod slow_start;
mod window;

#[cfg(test)]
mod tests;

use tokio::time::Instant;

pub use headers::{Bucket, LimitHeaders, TooManyRequests, WINDOW};
pub use limiter::{Permit, RateLimiter};
pub use options::BudgetOptions;
pub use scheduler::{BucketState, BudgetState};

/// A limit that leaves no room: which, how large, and when it does again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The bucket; none where Buildkite did not say, or where it is the operator's own limit.
    pub bucket: Option<Bucket>,
    /// Its requests a window, where known.
    pub limit: Option<i64>,
    /// When it opens again; for one who is not alone in waiting, when its turn would come.
    pub retry_at: Option<Instant>,
}

impl LimitExceeded {
    /// A limit of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            bucket: None,
            limit: None,
            retry_at: None,
        }
    }
}
