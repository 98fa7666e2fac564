//! The right to send one request.

use tokio::time::Instant;

use super::super::call::Lane;

/// A request that was let through. It is given back exactly once: answered, lost or withdrawn.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Counts up with every request.
    pub(super) number: u64,
    pub(super) lane: Lane,
    /// When it was let through; it leaves no earlier.
    pub(super) sent: Instant,
}
