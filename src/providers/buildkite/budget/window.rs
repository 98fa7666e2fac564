//! One rate-limit window, as the responses that were counted in it describe it.
//!
//! Responses overtake each other, also across the moment at which a window ends. This module decides which window a
//! response belongs to, and every other conclusion rests on that decision: see [`Window::attribute`].
//!
//! Buildkite reports the time left in whole seconds. Its documentation does not say whether they are rounded down, up
//! or to the nearest, and the moment between sending and receiving at which they were computed is unknown. So one
//! response leaves the reset uncertain by two seconds plus the round trip; all responses of a window together leave it
//! uncertain by about one second.
//!
//! The length of a window is estimated for forecasts only. What is sent, and when, rests on the reset intervals alone.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::{LimitHeaders, MAX_LIMIT};
use crate::governance::rate_limit::WINDOW;

/// Clocks of servers may differ by milliseconds: a window is used this long after it must have begun.
pub(crate) const MARGIN: Duration = Duration::from_millis(100);

/// The error of rounding to whole seconds, in either direction.
const ROUNDING: Duration = Duration::from_secs(1);

/// What one response says, parsed and bounded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    pub(crate) sent_at: Instant,
    pub(crate) received_at: Instant,
    /// When its window resets, if the response says so.
    pub(crate) resets: Option<ResetInterval>,
    /// Requests left, if the response says so; never more than the limit.
    pub(crate) remaining: Option<u32>,
}

impl Observation {
    /// Reads the headers of a response; `limit` bounds the remaining count.
    pub(crate) fn new(sent_at: Instant, received_at: Instant, headers: LimitHeaders, limit: Option<u32>) -> Self {
        let max = limit.map_or(MAX_LIMIT, i64::from);
        let possible = headers.remaining.filter(|remaining| *remaining <= MAX_LIMIT);
        Self {
            sent_at,
            received_at,
            resets: ResetInterval::from_header(sent_at, received_at, headers.reset),
            remaining: possible.map(|remaining| u32::try_from(remaining.clamp(0, max)).unwrap_or_default()),
        }
    }

    /// Whether the response reports both its window and how many requests are left. The bucket charges any other
    /// response separately, because it may have been counted after the response that reported the fewest left.
    pub(crate) fn is_complete(&self) -> bool {
        self.resets.is_some() && self.remaining.is_some()
    }
}

/// Which window a response was counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribution {
    /// In this window.
    Current,
    /// In this window, but it reports a different reset. The later of the two is used.
    Conflicting,
    /// In a later window: this one has ended.
    Next,
    /// In an earlier window, which has ended: the response was slow.
    Previous,
}

/// A window that at least one response described.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) resets: ResetInterval,
    /// Whether a response reported the reset. Without a reset header the interval is only a bound: it cannot show that
    /// two responses belong to one window, so it is never intersected.
    pub(crate) is_reported: bool,
    /// When its first response arrived: the window had begun by then.
    first_received_at: Instant,
    /// Requests of this process that were certainly counted in it, and whose responses were complete.
    pub(crate) counted: u32,
    /// The fewest requests that one of its responses reported as left.
    pub(crate) remaining: Option<u32>,
    /// When its latest response arrived.
    last_received_at: Instant,
}

impl Window {
    /// Starts a window from a response that belongs to no known window.
    pub(crate) fn new(observation: &Observation) -> Self {
        let (sent_at, received_at) = (observation.sent_at, observation.received_at);
        let unknown = || ResetInterval::unknown(sent_at, received_at);
        let mut window = Self {
            resets: observation.resets.unwrap_or_else(unknown),
            is_reported: observation.resets.is_some(),
            first_received_at: received_at,
            counted: u32::from(observation.is_complete()),
            remaining: None,
            last_received_at: received_at,
        };
        window.lower_remaining(observation);
        window
    }

    /// Decides which window a response that resets within `resets` belongs to.
    ///
    /// Intervals that do not overlap belong to two windows, and windows follow each other: the later one has begun only
    /// when the earlier one has ended. A response that contradicts this (a later window before this one can have ended,
    /// or an earlier window for a request sent after this one began) shows that one of the two resets is wrong.
    ///
    /// Within a window the remaining count only falls. A response that reports no fewer than the responses that arrived
    /// before its request was sent therefore belongs to a later window, even if the intervals overlap; this separates
    /// short windows. A wrong decision here is harmless: the remaining count of that response includes all of them.
    pub(crate) fn attribute(&self, resets: ResetInterval, observation: &Observation) -> Attribution {
        match resets.order(self.resets) {
            Order::Earlier if observation.sent_at < self.first_received_at => Attribution::Previous,
            Order::Later if observation.received_at >= self.resets.earliest => Attribution::Next,
            Order::Earlier | Order::Later => Attribution::Conflicting,
            Order::Overlapping if self.remaining_increased(observation) => Attribution::Next,
            Order::Overlapping => Attribution::Current,
        }
    }

    fn remaining_increased(&self, observation: &Observation) -> bool {
        match (self.remaining, observation.remaining) {
            // A counter that stops at zero shows nothing by reporting zero again.
            (Some(before), Some(now)) => now > 0 && now >= before && observation.sent_at >= self.last_received_at,
            _ => false,
        }
    }

    /// Counts a request that was attributed as [`Attribution::Current`].
    pub(crate) fn count(&mut self, resets: ResetInterval, observation: &Observation) {
        self.resets = if self.is_reported {
            self.resets.intersect(resets)
        } else {
            resets
        };
        self.is_reported = true;
        self.add(observation);
    }

    /// Counts a request that was attributed as [`Attribution::Conflicting`].
    pub(crate) fn count_conflicting(&mut self, resets: ResetInterval, observation: &Observation) {
        if resets.latest > self.resets.latest {
            self.resets = resets;
            self.is_reported = true;
        }
        self.add(observation);
    }

    /// Whether both describe one window of the same limit.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.is_reported && other.is_reported && self.resets.order(other.resets) == Order::Overlapping
    }

    /// Adds what was observed of the same window elsewhere.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.resets = self.resets.intersect(other.resets);
        self.first_received_at = self.first_received_at.min(other.first_received_at);
        self.last_received_at = self.last_received_at.max(other.last_received_at);
        self.counted += other.counted;
        self.remaining = match (self.remaining, other.remaining) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
    }

    fn add(&mut self, observation: &Observation) {
        self.counted += u32::from(observation.is_complete());
        self.last_received_at = observation.received_at;
        self.lower_remaining(observation);
    }

    /// Keeps the lowest remaining count that was reported.
    pub(crate) fn lower_remaining(&mut self, observation: &Observation) {
        self.remaining = match (self.remaining, observation.remaining) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => before.or(now),
        };
    }
}

/// The interval that contains the reset of one window: later than `earliest`, and no later than `latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResetInterval {
    pub(crate) earliest: Instant,
    pub(crate) latest: Instant,
}

/// The order of two reset intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Earlier,
    /// Both may contain the same reset. Windows of a minute reset a minute apart, which is far more than the
    /// uncertainty.
    Overlapping,
    Later,
}

impl ResetInterval {
    /// The interval that a response reports; it was counted between `sent_at` and `received_at`, and `reset` is the
    /// header's value. Returns `None` if the header is missing or impossible: negative, or longer than a window.
    pub(crate) fn from_header(sent_at: Instant, received_at: Instant, reset: Option<i64>) -> Option<Self> {
        let reset = Duration::from_secs(u64::try_from(reset?).ok()?);
        (reset <= WINDOW).then(|| Self {
            earliest: sent_at + reset.saturating_sub(ROUNDING),
            latest: received_at + (reset + ROUNDING).min(WINDOW),
        })
    }

    /// The interval for a response without a reset: the window had not ended when the request was sent, and it is no
    /// longer than the documented length.
    pub(crate) fn unknown(sent_at: Instant, received_at: Instant) -> Self {
        Self {
            earliest: sent_at,
            latest: received_at + WINDOW,
        }
    }

    pub(crate) fn order(self, other: Self) -> Order {
        if self.latest <= other.earliest {
            Order::Earlier
        } else if self.earliest >= other.latest {
            Order::Later
        } else {
            Order::Overlapping
        }
    }

    /// Intersects two intervals. Only meaningful for intervals that overlap.
    pub(crate) fn intersect(self, other: Self) -> Self {
        Self {
            earliest: self.earliest.max(other.earliest),
            latest: self.latest.min(other.latest),
        }
    }

    /// The best estimate of the reset; used for plans, never for safety.
    pub(crate) fn midpoint(self) -> Instant {
        self.earliest + self.latest.saturating_duration_since(self.earliest) / 2
    }
}

/// What a forecast has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Estimate {
    /// Not earlier than this. A waiter is rejected only on this estimate, never on a guess.
    LowerBound,
    /// The expected time, for a plan.
    Expected,
}

/// An estimate of the length of windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowLength {
    /// The longest time to a reset that a response reported.
    at_least: Duration,
    /// The shortest time observed between two resets, and never more than the documented length.
    expected: Duration,
}

impl Default for WindowLength {
    fn default() -> Self {
        Self {
            at_least: Duration::ZERO,
            expected: WINDOW,
        }
    }
}

impl WindowLength {
    /// Takes in the time that a response reported to be left of its window.
    pub(crate) fn observe_left(&mut self, left: Duration) {
        self.at_least = self.at_least.max(left);
    }

    /// Takes in the resets of two windows that followed each other.
    pub(crate) fn observe_next(&mut self, previous: ResetInterval, next: ResetInterval) {
        let apart = next.midpoint().saturating_duration_since(previous.midpoint());
        self.expected = self.expected.min(apart.max(Duration::from_secs(1)));
    }

    pub(crate) fn at(self, estimate: Estimate) -> Duration {
        match estimate {
            Estimate::LowerBound => self.at_least,
            Estimate::Expected => self.expected.max(self.at_least),
        }
    }
}
