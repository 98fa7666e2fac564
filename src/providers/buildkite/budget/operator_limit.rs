//! The operator's own limit, `--max-requests-per-minute`.
//!
//! It holds for any minute, wherever it begins, so it does not use Buildkite's windows. It is a GCRA: a burst of a
//! tenth of the limit, then one request per interval, and no minute has more requests than the limit. The last requests
//! of the burst are reserved from syncs, so that a grant never waits for one.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::governance::Lane;

const MINUTE: Duration = Duration::from_secs(60);

/// Requests that are reserved from syncs if the burst is larger: a grant or a revoke takes up to three.
const RESERVED: u32 = 3;

/// A limit on the requests in any minute.
#[derive(Debug)]
pub(crate) struct OperatorLimit {
    limit: NonZeroU32,
    burst: u32,
    interval: Duration,
    /// When the whole burst is available again: every request postpones it by `interval`.
    full_at: Instant,
    /// The requests of the last minute, oldest first.
    latest: VecDeque<Instant>,
}

impl OperatorLimit {
    /// At most `limit` requests in any minute after `epoch`.
    pub(crate) fn new(limit: NonZeroU32, epoch: Instant) -> Self {
        let burst = (limit.get() / 10).max(1);
        // A minute that begins with the whole burst allows one more request for each interval in it.
        let interval = MINUTE / (limit.get() - burst + 1) + Duration::from_nanos(1);
        Self {
            limit,
            burst,
            interval,
            full_at: epoch,
            latest: VecDeque::new(),
        }
    }

    /// Whether a request of this lane may be sent now.
    pub(crate) fn admits(&self, lane: Lane, now: Instant) -> bool {
        self.wait(lane, 0, now).is_zero()
    }

    /// Counts a request that is sent now.
    pub(crate) fn record_sent(&mut self, now: Instant) {
        while self.latest.front().is_some_and(|sent| *sent + MINUTE <= now) {
            self.latest.pop_front();
        }
        self.latest.push_back(now);
        self.full_at = self.full_at.max(now) + self.interval;
    }

    /// Removes the request of `sent_at`, which was never sent: the state becomes that of the other requests of the last
    /// minute. An older request no longer has an effect, so there is nothing to refund.
    pub(crate) fn refund(&mut self, sent_at: Instant) {
        let Ok(index) = self.latest.binary_search(&sent_at) else {
            return;
        };
        self.latest.remove(index);
        let first = self.latest.front().copied().unwrap_or(sent_at);
        let others = self.latest.iter();
        self.full_at = others.fold(first, |full_at, other| full_at.max(*other) + self.interval);
    }

    /// When a request of this lane, with `ahead` others before it, can be sent.
    pub(crate) fn forecast(&self, lane: Lane, ahead: u32, now: Instant) -> Instant {
        now + self.wait(lane, ahead, now)
    }

    /// The next instant at which a lane that is blocked now is no longer blocked.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        let waits = Lane::ALL.map(|lane| self.wait(lane, 0, now));
        let shortest = waits.into_iter().filter(|wait| !wait.is_zero()).min();
        shortest.map(|wait| now + wait)
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.get()
    }

    fn wait(&self, lane: Lane, ahead: u32, now: Instant) -> Duration {
        let reserved = match lane {
            Lane::Sync => RESERVED,
            Lane::Provisioning | Lane::Interactive => 0,
        };
        let usable = self.burst.saturating_sub(reserved).max(1);
        let missing = self.full_at.saturating_duration_since(now) + self.interval * ahead;
        missing.saturating_sub(self.interval * (usable - 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operator_limit(limit: u32, now: Instant) -> OperatorLimit {
        OperatorLimit::new(NonZeroU32::new(limit).unwrap(), now)
    }

    #[test]
    fn a_saturating_sync_leaves_the_reserved_requests_to_a_grant() {
        let mut now = Instant::now();
        let mut limiter = operator_limit(100, now);
        for _ in 0..500 {
            while limiter.admits(Lane::Sync, now) {
                limiter.record_sent(now);
            }
            now = limiter.forecast(Lane::Sync, 0, now);
        }
        for _ in 0..RESERVED {
            assert!(limiter.admits(Lane::Provisioning, now));
            limiter.record_sent(now);
        }
        assert!(!limiter.admits(Lane::Sync, now));
    }

    #[test]
    fn a_request_that_was_never_sent_is_refunded() {
        let now = Instant::now();
        let mut limiter = operator_limit(1, now);
        limiter.record_sent(now);
        assert!(!limiter.admits(Lane::Provisioning, now));
        limiter.refund(now);
        assert!(limiter.admits(Lane::Sync, now));
    }

    #[test]
    fn a_late_refund_allows_no_extra_request() {
        let start = Instant::now();
        let mut limiter = operator_limit(60, start);
        // The connection fails, and the refund comes only when the interval of the request has passed.
        limiter.record_sent(start);
        let burst = start + Duration::from_secs(20);
        (0..6).for_each(|_| limiter.record_sent(burst));
        limiter.refund(start);
        let (mut now, mut within) = (burst, 6);
        while now < burst + MINUTE {
            now = limiter.forecast(Lane::Provisioning, 0, now);
            limiter.record_sent(now);
            within += u32::from(now < burst + MINUTE);
        }
        assert!(within <= 60, "{within} within a minute");
    }

    proptest! {
        #[test]
        fn no_minute_has_more_requests_than_the_limit(
            limit in 1u32..200, pauses in proptest::collection::vec(0u64..90, 1..6),
            refunds in proptest::collection::vec((0usize..200, 1usize..50), 0..40),
        ) {
            let start = Instant::now();
            let mut limiter = operator_limit(limit, start);
            let (mut now, mut sent) = (start, Vec::<Instant>::new());
            for pause in pauses {
                now += Duration::from_secs(pause);
                for _ in 0..limit {
                    now = limiter.forecast(Lane::Provisioning, 0, now);
                    prop_assert!(limiter.admits(Lane::Provisioning, now));
                    limiter.record_sent(now);
                    sent.push(now);
                    // Some are refunded, soon or late.
                    let count = sent.len();
                    for (_, before) in refunds.iter().filter(|(after, _)| *after == count) {
                        if let Some(index) = sent.len().checked_sub(*before) {
                            limiter.refund(sent.remove(index));
                        }
                    }
                }
            }
            for (first, from) in sent.iter().enumerate() {
                let minute = sent.iter().skip(first).take_while(|at| **at < *from + MINUTE);
                prop_assert!(minute.count() <= limit as usize);
            }
        }
    }
}
