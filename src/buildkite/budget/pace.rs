//! The operator's own limit, `--max-requests-per-minute`.
//!
//! It is a promise about every minute, wherever one begins to count, so it has nothing of Buildkite's windows: a burst
//! of a tenth, then one request after the other, and no minute has more than was allowed.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// A clock that shows what it is told: the keeper passes the time in.
#[derive(Debug, Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// So many requests in any minute.
#[derive(Debug)]
pub(super) struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, Hand, NoOpMiddleware<Duration>>,
    hand: Hand,
    epoch: Instant,
    limit: NonZeroU32,
    each: Duration,
    /// When the next may go, once that was asked in vain.
    ready: Option<Instant>,
}

impl Pace {
    /// At most `limit` requests in any minute after `epoch`. None if that cannot be kept, which no limit causes.
    pub(super) fn new(limit: NonZeroU32, epoch: Instant) -> Option<Self> {
        let burst = NonZeroU32::new(limit.get() / 10).unwrap_or(NonZeroU32::MIN);
        // A minute that begins with the whole burst holds one more for each time that `each` fits into it.
        let each = MINUTE.div_f64(f64::from(limit.get() - burst.get() + 1));
        let quota = Quota::with_period(each)?.allow_burst(burst);
        let hand = Hand::default();
        Some(Self {
            limiter: RateLimiter::direct_with_clock(quota, hand.clone()),
            hand,
            epoch,
            limit,
            each,
            ready: None,
        })
    }

    /// Takes the right to one request, if there is one now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.ready.is_some_and(|ready| now < ready) {
            return false;
        }
        let since = now.saturating_duration_since(self.epoch);
        self.hand
            .0
            .store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.ready = match self.limiter.check() {
            Ok(()) => None,
            Err(not_until) => Some(now + not_until.wait_time_from(since).max(Duration::from_millis(1))),
        };
        self.ready.is_none()
    }

    /// When the one with `ahead` others before it may go.
    pub(super) fn forecast(&self, ahead: u32, now: Instant) -> Instant {
        self.ready.map_or(now, |ready| ready.max(now) + self.each * ahead)
    }

    pub(super) fn changes_at(&self, now: Instant) -> Option<Instant> {
        self.ready.filter(|ready| *ready > now)
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.get()
    }
}
