//! The right to send one request.

use tokio::time::Instant;

use crate::providers::buildkite::call::Lane;

/// A request that was let through. It is given back exactly once: answered, lost or withdrawn.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Counts up with every request.
    pub(crate) number: u64,
    pub(crate) lane: Lane,
    /// When it was let through; it leaves no earlier.
    pub(crate) sent: Instant,
}
