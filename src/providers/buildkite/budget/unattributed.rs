//! Requests that cannot be attributed to a window.
//!
//! A request without a usable response may have been counted at any time up to the moment at which it was settled. No window is
//! longer than a minute, so the request is charged for a minute from then, unless a response shows earlier that its window has
//! ended or that a remaining count includes it.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::window::MARGIN;
use crate::governance::rate_limit::WINDOW;

/// Requests kept for an unobserved bucket: enough for those in flight when the first response reports it.
const MAX_UNOBSERVED: usize = 64;

/// When the unattributed requests of a bucket were settled, oldest first.
#[derive(Debug, Default)]
pub(crate) struct UnattributedRequests(VecDeque<Instant>);

impl UnattributedRequests {
    /// The number of charged requests.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Charges a request that was settled at `settled`.
    pub(crate) fn push(&mut self, settled: Instant) {
        self.0.push_back(settled);
    }

    /// The same for a bucket that no response has reported: only the newest requests are kept.
    pub(crate) fn push_unobserved(&mut self, settled: Instant) {
        if self.0.len() >= MAX_UNOBSERVED {
            self.0.pop_front();
        }
        self.push(settled);
    }

    /// Adds the requests that were charged elsewhere to the same limit.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.make_contiguous().sort_unstable();
    }

    /// Stops charging the requests that were settled at or before `moment`.
    pub(crate) fn release_until(&mut self, moment: Instant) {
        self.0.retain(|settled| *settled > moment);
    }

    /// Stops charging the requests whose minute has passed at `now`.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.next_expiry().is_some_and(|at| now >= at) {
            self.0.pop_front();
        }
    }

    /// When the oldest request is no longer charged.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.0.front().map(|settled| *settled + WINDOW + MARGIN)
    }
}
