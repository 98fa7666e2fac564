//! Buildkite's two counters as the reference describes them: fixed windows with any alignment, refused requests counted
//! too, and the time left in whole seconds.

use std::time::Duration;

use crate::governance::rate_limit::Bucket;
use crate::providers::buildkite::budget::LimitHeaders;

/// How the time left is rounded to whole seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rounding {
    Floor,
    Ceil,
    Nearest,
}

/// One counter. Times are relative to the begin of the test.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    pub(crate) limit: u32,
    pub(crate) offset: Duration,
    pub(crate) length: Duration,
    pub(crate) rounding: Rounding,
    window: u128,
    used: u32,
}

/// One request, as it was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) window: u128,
    pub(crate) ends: Duration,
    pub(crate) refused: bool,
    pub(crate) headers: LimitHeaders,
}

impl Counter {
    pub(crate) fn new(limit: u32, offset: Duration, rounding: Rounding) -> Self {
        Self {
            limit,
            offset,
            length: Duration::from_secs(60),
            rounding,
            window: 0,
            used: 0,
        }
    }

    pub(crate) fn window(&self, at: Duration) -> u128 {
        (at + self.offset).as_nanos() / self.length.as_nanos()
    }

    pub(crate) fn ends(&self, window: u128) -> Duration {
        (self.length * u32::try_from(window + 1).unwrap()).saturating_sub(self.offset)
    }

    pub(crate) fn spend(&mut self, at: Duration, requests: u32) -> Counted {
        let window = self.window(at);
        if window != self.window {
            (self.window, self.used) = (window, 0);
        }
        self.used += requests;
        let ends = self.ends(window);
        let left = ends.saturating_sub(at).as_secs_f64();
        let seconds = match self.rounding {
            Rounding::Floor => left.floor(),
            Rounding::Ceil => left.ceil(),
            Rounding::Nearest => left.round(),
        };
        #[allow(clippy::cast_possible_truncation, reason = "at most a window")]
        let headers = LimitHeaders {
            limit: Some(i64::from(self.limit)),
            remaining: Some(i64::from(self.limit) - i64::from(self.used)),
            reset: Some(seconds as i64),
        };
        Counted {
            window,
            ends,
            refused: self.used > self.limit,
            headers,
        }
    }
}

/// Both counters.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) organization: Counter,
    pub(crate) user: Counter,
}

impl Model {
    pub(crate) fn of(&self, bucket: Bucket) -> &Counter {
        match bucket {
            Bucket::Organization => &self.organization,
            Bucket::User => &self.user,
        }
    }

    pub(crate) fn spend(&mut self, bucket: Bucket, at: Duration, requests: u32) -> Counted {
        match bucket {
            Bucket::Organization => self.organization.spend(at, requests),
            Bucket::User => self.user.spend(at, requests),
        }
    }
}
