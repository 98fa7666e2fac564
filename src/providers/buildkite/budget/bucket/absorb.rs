//! Two trackers turn out to observe one limit: the user of a credential is learned only from a response.

use tokio::time::Instant;

use super::BucketTracker;
use crate::providers::buildkite::budget::window::Order;

impl BucketTracker {
    /// Takes over everything that `other` knows and charges, because both observe the same limit.
    ///
    /// If both windows are the same one, their charges add up and the lower remaining count holds for both. Else the later
    /// window is kept, and what was counted in the other is charged as unattributed: for a minute, or until a response shows
    /// a remaining count that includes it.
    pub(crate) fn absorb(&mut self, mut other: Self, now: Instant) {
        let is_later = |one: &Self, two: &Self| match (one.running(), two.running()) {
            (Some(one), Some(two)) => one.resets.order(two.resets) == Order::Later,
            (one, two) => one.is_some() && two.is_none(),
        };
        if is_later(&other, self) {
            std::mem::swap(self, &mut other);
        }
        self.in_flight += other.in_flight;
        self.slow_start.absorb(&other.slow_start);
        self.observed |= other.observed;
        self.limit = self.limit.or(other.limit);
        self.provisioning_sent += other.provisioning_sent;
        self.contention.current |= other.contention.current;
        self.contention.previous |= other.contention.previous;
        self.blocked_until = self.blocked_until.max(other.blocked_until);
        self.refusals = self.refusals.max(other.refusals);
        for options in std::mem::take(&mut other.options) {
            self.share(options);
        }
        let ended = self.ended || other.ended;
        match (&mut self.window, &other.window) {
            (Some(window), Some(absorbed)) if !ended && window.is_same_as(absorbed) => window.absorb(absorbed),
            (_, Some(absorbed)) if !other.ended => {
                (0..absorbed.counted).for_each(|_| self.unattributed.push(now));
            }
            _ => {}
        }
        self.unattributed.absorb(other.unattributed);
    }
}
