//! The budget: both of Buildkite's rate limits to the full, and not one 429.
//!
//! Buildkite counts every request against the organization and against the token's user, in windows of a minute. The
//! [`Door`] is the only way to the network, and lets a request through when neither window can be overdrawn by it. Read
//! in this order: [`headers`] is what an answer says; `ends`, `window` and `bucket` are what may be concluded from it, and
//! hold the argument why alone no request is refused; `careful` is how a window is entered; `lanes` is whose turn it is;
//! `pace` is the operator's own limit; `keeper` puts them together, without a clock; `door` waits.

mod bucket;
mod careful;
mod door;
mod ends;
mod headers;
mod keeper;
mod lanes;
mod length;
mod options;
mod pace;
mod state;
mod ticket;
mod window;

#[cfg(test)]
mod tests;

use tokio::time::Instant;

pub use door::{Admission, Door};
pub use headers::{Bucket, Reading, Refusal, WINDOW};
pub use options::BudgetOptions;
pub use state::{BucketState, BudgetState};

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
