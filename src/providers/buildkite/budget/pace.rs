//! The operator's own limit, `--max-requests-per-minute`.
//!
//! It is a promise about every minute, wherever one begins to count, so it has nothing of Buildkite's windows: a burst
//! of a tenth, then one request after the other, and no minute has more than was allowed. The last few of the burst are
//! kept from syncs, so that a grant finds them whenever it comes.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::providers::buildkite::call::Lane;

const MINUTE: Duration = Duration::from_secs(60);

/// What a grant or a revoke takes: as many are kept from syncs, where the burst is larger.
const KEPT: u32 = 3;

/// So many requests in any minute.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: NonZeroU32,
    burst: u32,
    each: Duration,
    /// When the whole burst is there again: every request puts it off by `each`.
    whole: Instant,
    /// The requests of the last minute, oldest first.
    latest: VecDeque<Instant>,
}

impl Pace {
    /// At most `limit` requests in any minute after `epoch`.
    pub(crate) fn new(limit: NonZeroU32, epoch: Instant) -> Self {
        let burst = (limit.get() / 10).max(1);
        // A minute that begins with the whole burst holds one more for each time that `each` fits into it.
        let each = MINUTE / (limit.get() - burst + 1) + Duration::from_nanos(1);
        Self {
            limit,
            burst,
            each,
            whole: epoch,
            latest: VecDeque::new(),
        }
    }

    /// Whether a request of this lane may go now.
    pub(crate) fn admits(&self, lane: Lane, now: Instant) -> bool {
        self.wait(lane, 0, now).is_zero()
    }

    /// A request goes.
    pub(crate) fn sent(&mut self, now: Instant) {
        while self.latest.front().is_some_and(|sent| *sent + MINUTE <= now) {
            self.latest.pop_front();
        }
        self.latest.push_back(now);
        self.whole = self.whole.max(now) + self.each;
    }

    /// The request that was to go at `sent` never left: all is as the others of the last minute alone make it. One that
    /// was to go earlier takes nothing any more, and so has nothing to give back.
    pub(crate) fn withdrawn(&mut self, sent: Instant) {
        let Ok(place) = self.latest.binary_search(&sent) else {
            return;
        };
        self.latest.remove(place);
        let first = self.latest.front().copied().unwrap_or(sent);
        let others = self.latest.iter();
        self.whole = others.fold(first, |whole, other| whole.max(*other) + self.each);
    }

    /// When the one with `ahead` others before it may go.
    pub(crate) fn forecast(&self, lane: Lane, ahead: u32, now: Instant) -> Instant {
        now + self.wait(lane, ahead, now)
    }

    /// The next moment at which a lane has room that has none now.
    pub(crate) fn changes_at(&self, now: Instant) -> Option<Instant> {
        let waits = Lane::ALL.map(|lane| self.wait(lane, 0, now));
        let shortest = waits.into_iter().filter(|wait| !wait.is_zero()).min();
        shortest.map(|wait| now + wait)
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.get()
    }

    fn wait(&self, lane: Lane, ahead: u32, now: Instant) -> Duration {
        let kept = match lane {
            Lane::Sync => KEPT,
            Lane::Provisioning | Lane::Interactive => 0,
        };
        let usable = self.burst.saturating_sub(kept).max(1);
        let missing = self.whole.saturating_duration_since(now) + self.each * ahead;
        missing.saturating_sub(self.each * (usable - 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(limit: u32, now: Instant) -> Pace {
        Pace::new(NonZeroU32::new(limit).unwrap(), now)
    }

    #[test]
    fn a_grant_finds_room_however_busy_a_sync_is() {
        let mut now = Instant::now();
        let mut pace = pace(100, now);
        for _ in 0..500 {
            while pace.admits(Lane::Sync, now) {
                pace.sent(now);
            }
            now = pace.forecast(Lane::Sync, 0, now);
        }
        for _ in 0..KEPT {
            assert!(pace.admits(Lane::Provisioning, now));
            pace.sent(now);
        }
        assert!(!pace.admits(Lane::Sync, now));
    }

    #[test]
    fn what_never_left_is_given_back() {
        let now = Instant::now();
        let mut pace = pace(1, now);
        pace.sent(now);
        assert!(!pace.admits(Lane::Provisioning, now));
        pace.withdrawn(now);
        assert!(pace.admits(Lane::Sync, now));
    }

    #[test]
    fn what_is_given_back_late_makes_no_room_for_more() {
        let start = Instant::now();
        let mut pace = pace(60, start);
        // No connection is made, which shows only when the room that it took is there again.
        pace.sent(start);
        let burst = start + Duration::from_secs(20);
        (0..6).for_each(|_| pace.sent(burst));
        pace.withdrawn(start);
        let (mut now, mut within) = (burst, 6);
        while now < burst + MINUTE {
            now = pace.forecast(Lane::Provisioning, 0, now);
            pace.sent(now);
            within += u32::from(now < burst + MINUTE);
        }
        assert!(within <= 60, "{within} within a minute");
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_was_allowed(
            limit in 1u32..200, pauses in proptest::collection::vec(0u64..90, 1..6),
            withdrawn in proptest::collection::vec((0usize..200, 1usize..50), 0..40),
        ) {
            let start = Instant::now();
            let mut pace = pace(limit, start);
            let (mut now, mut sent) = (start, Vec::<Instant>::new());
            for pause in pauses {
                now += Duration::from_secs(pause);
                for _ in 0..limit {
                    now = pace.forecast(Lane::Provisioning, 0, now);
                    prop_assert!(pace.admits(Lane::Provisioning, now));
                    pace.sent(now);
                    sent.push(now);
                    // Of some it is found out, soon or late, that they never left.
                    let many = sent.len();
                    for (_, before) in withdrawn.iter().filter(|(after, _)| *after == many) {
                        if let Some(place) = sent.len().checked_sub(*before) {
                            pace.withdrawn(sent.remove(place));
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
