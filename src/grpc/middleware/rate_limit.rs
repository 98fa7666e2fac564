//! Rate limit per caller. Without a callers file all clients share one limit.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::limits;

/// A caller's name in the callers file. `None` without a file.
type Key = Option<Arc<str>>;

/// A rate limit for every caller. Its clock is the system's: governor's other clock calibrates itself in a busy loop.
#[derive(Debug)]
pub(crate) struct CallerRateLimits<C: Clock + Clone = MonotonicClock> {
    limiter: RateLimiter<Key, DashMapStateStore<Key>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl CallerRateLimits {
    pub(crate) fn new(calls_per_second: NonZeroU32) -> Self {
        Self::with_clock(calls_per_second, MonotonicClock)
    }
}

impl<C: Clock + Clone> CallerRateLimits<C> {
    fn with_clock(calls_per_second: NonZeroU32, clock: C) -> Self {
        let burst = calls_per_second.saturating_mul(limits::BURST_SECONDS);
        let quota = Quota::per_second(calls_per_second).allow_burst(burst);
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
        }
    }

    /// Counts a call of `caller`.
    ///
    /// # Errors
    /// The time after which the caller may call again, if this call is above the limit.
    pub(crate) fn check(&self, caller: Option<&Arc<str>>) -> Result<(), Duration> {
        self.limiter
            .check_key(&caller.cloned())
            .map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Drops callers whose whole burst is available again, so that the state does not grow with names that the callers file
    /// no longer has.
    pub(crate) fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(calls_per_second: u32) -> (CallerRateLimits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rate = NonZeroU32::new(calls_per_second).unwrap();
        (CallerRateLimits::with_clock(rate, clock.clone()), clock)
    }

    #[test]
    fn a_caller_has_five_seconds_worth_at_once_and_is_told_when_the_next_call_is_allowed() {
        let (limits, clock) = limits(4);
        let (nightly, platform): (Arc<str>, Arc<str>) = ("nightly".into(), "platform".into());
        for _ in 0..20 {
            limits.check(Some(&nightly)).unwrap();
        }
        assert_eq!(limits.check(Some(&nightly)), Err(Duration::from_millis(250)));
        limits.check(Some(&platform)).unwrap();
        limits.check(None).unwrap();
        clock.advance(Duration::from_millis(100));
        assert_eq!(limits.check(Some(&nightly)), Err(Duration::from_millis(150)));
        clock.advance(Duration::from_millis(150));
        limits.check(Some(&nightly)).unwrap();
        assert!(limits.check(Some(&nightly)).is_err());
    }

    #[test]
    fn callers_that_are_idle_are_forgotten_and_others_are_not() {
        let (limits, clock) = limits(1);
        for caller in 0..100 {
            limits.check(Some(&format!("caller-{caller}").into())).unwrap();
        }
        clock.advance(Duration::from_secs(30));
        let busy: Arc<str> = "busy".into();
        for _ in 0..5 {
            limits.check(Some(&busy)).unwrap();
        }
        limits.forget_idle();
        assert_eq!(limits.limiter.len(), 1);
        assert!(limits.check(Some(&busy)).is_err());
    }
}
