//! One window of one bucket, as the answers that were counted in it tell of it.
//!
//! Answers overtake each other, also across the moment at which a window ends. Which window an answer is about is
//! decided here, and it is the decision that everything else rests on: see [`Window::place`].
//!
//! When a window ends, as far as an answer can tell.
//!
//! Buildkite names the time left in whole seconds, and whether they were rounded down, up or to the nearest is not
//! documented; nor is it known at which moment between sending and receiving they were counted. So one answer leaves
//! the end open by two seconds and the round trip, and the answers of a window together leave it open by about one.
//!
//! How long a window is. Only forecasts ask: what is sent, and when, rests on ends alone.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::WINDOW;

/// What an answer says, read and bounded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    /// When the request left.
    pub(crate) sent: Instant,
    /// When the answer was there.
    pub(crate) received: Instant,
    /// The end of its window, where it says so.
    pub(crate) ends: Option<ResetInterval>,
    /// What was left, where it says so; never more than the limit.
    pub(crate) remaining: Option<u32>,
}

impl Observation {
    /// Whether it tells both its window and how far that is used up. One that does not is charged by the bucket: it may
    /// have been counted after the answer that told the least.
    pub(crate) fn is_complete(&self) -> bool {
        self.ends.is_some() && self.remaining.is_some()
    }
}

/// Where an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribution {
    /// The request was counted in this window.
    Current,
    /// It was counted in this window, of which it tells another end: the later of the two is believed.
    Conflicting,
    /// It was counted in a later window: this one is over.
    Next,
    /// It was counted in an earlier window, which is over: the answer was slow.
    Previous,
}

/// A window that at least one answer told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) ends: ResetInterval,
    /// Whether an answer told its end. One that did not bounds it all the same, but shows no two answers to be of one
    /// window, so it narrows nothing.
    pub(crate) is_told: bool,
    /// When its first answer was there: it had begun by then.
    since: Instant,
    /// Our requests that were certainly counted in it, and whose answers were complete.
    pub(crate) counted: u32,
    /// The least that one of its answers said was left.
    pub(crate) left: Option<u32>,
    /// When the latest of its answers was there.
    latest: Instant,
}

impl Window {
    /// The window of an answer that belongs to no known one.
    pub(crate) fn begin(told: &Observation) -> Self {
        let mut window = Self {
            ends: told
                .ends
                .unwrap_or_else(|| ResetInterval::untold(told.sent, told.received)),
            is_told: told.ends.is_some(),
            since: told.received,
            counted: u32::from(told.is_complete()),
            left: None,
            latest: told.received,
        };
        window.note(told);
        window
    }

    /// Which window the answer, which ends at `ends`, is about.
    ///
    /// ResetInterval that cannot be the same are of two windows, and windows follow each other: so the later of two has begun
    /// only when the earlier is over. An answer that would break that (a later window before this one can be over, or an
    /// earlier one for a request sent when this one had begun) shows that one of them was told wrong.
    ///
    /// Within a window what is left only falls. An answer with no less left than those that were there before its request
    /// was sent is therefore of a later window, however alike the ends look: that tells short windows apart. Where it
    /// errs, nothing is lost: what that very answer says is left has all of them in it.
    pub(crate) fn place(&self, ends: ResetInterval, told: &Observation) -> Attribution {
        match ends.order(self.ends) {
            Order::Earlier if told.sent < self.since => Attribution::Previous,
            Order::Later if told.received >= self.ends.after => Attribution::Next,
            Order::Earlier | Order::Later => Attribution::Conflicting,
            Order::Same if self.is_refilled(told) => Attribution::Next,
            Order::Same => Attribution::Current,
        }
    }

    fn is_refilled(&self, told: &Observation) -> bool {
        match (self.left, told.remaining) {
            // A counter that stops at zero says nothing when it says zero again.
            (Some(left), Some(now)) => now > 0 && now >= left && told.sent >= self.latest,
            _ => false,
        }
    }

    /// Counts a request that was [`Attribution::Current`].
    pub(crate) fn count(&mut self, ends: ResetInterval, told: &Observation) {
        self.ends = if self.is_told { self.ends.and(ends) } else { ends };
        self.is_told = true;
        self.count_in(told);
    }

    /// Counts a request whose answer [`Attribution::Conflicting`] the end.
    pub(crate) fn count_disputed(&mut self, ends: ResetInterval, told: &Observation) {
        if ends.by > self.ends.by {
            self.ends = ends;
            self.is_told = true;
        }
        self.count_in(told);
    }

    fn count_in(&mut self, told: &Observation) {
        self.counted += u32::from(told.is_complete());
        self.latest = told.received;
        self.note(told);
    }

    /// Remembers what was left, where it is the least so far.
    pub(crate) fn note(&mut self, told: &Observation) {
        self.left = match (self.left, told.remaining) {
            (Some(left), Some(now)) => Some(left.min(now)),
            (left, now) => left.or(now),
        };
    }
}

/// A second either way: what rounding to whole seconds hides.
const ROUNDING: Duration = Duration::from_secs(1);

/// The end of one window: later than `after`, and no later than `by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResetInterval {
    pub(crate) after: Instant,
    pub(crate) by: Instant,
}

/// How the window of one answer lies to another window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Earlier,
    /// The ends may be one and the same. Windows of a minute end a minute apart, far more than the two are open by.
    Same,
    Later,
}

impl ResetInterval {
    /// What an answer to a request says: it was counted between `sent` and `received`, and `reset` is as its header has
    /// it. None where the header is missing or says what no window can: below zero, or more than a window's length.
    pub(crate) fn told(sent: Instant, received: Instant, reset: Option<i64>) -> Option<Self> {
        let reset = Duration::from_secs(u64::try_from(reset?).ok()?);
        (reset <= WINDOW).then(|| Self {
            after: sent + reset.saturating_sub(ROUNDING),
            by: received + (reset + ROUNDING).min(WINDOW),
        })
    }

    /// What is true of any request's window: it had not ended when the request left, and lasts no longer than a window.
    pub(crate) fn untold(sent: Instant, received: Instant) -> Self {
        Self {
            after: sent,
            by: received + WINDOW,
        }
    }

    pub(crate) fn order(self, other: Self) -> Order {
        if self.by <= other.after {
            Order::Earlier
        } else if self.after >= other.by {
            Order::Later
        } else {
            Order::Same
        }
    }

    /// Both are about the same end. For two that are not [`Order::Same`] this is no interval.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            after: self.after.max(other.after),
            by: self.by.min(other.by),
        }
    }

    /// The best guess; for plans, never for safety.
    pub(crate) fn likely(self) -> Instant {
        self.after + self.by.saturating_duration_since(self.after) / 2
    }
}

/// How a forecast is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Estimate {
    /// Not earlier than this: for sending somebody away, which must not be done for a guess.
    LowerBound,
    /// About then: for a plan.
    Expected,
}

/// What is known of the length of windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowLength {
    /// The longest time to an end that an answer told.
    at_least: Duration,
    /// The shortest time seen between the ends of two windows, and never more than is documented.
    likely: Duration,
}

impl Default for WindowLength {
    fn default() -> Self {
        Self {
            at_least: Duration::ZERO,
            likely: WINDOW,
        }
    }
}

impl WindowLength {
    /// An answer was so long before its window's end.
    pub(crate) fn holds(&mut self, left: Duration) {
        self.at_least = self.at_least.max(left);
    }

    /// A window ended, and a later one told of its end.
    pub(crate) fn follows(&mut self, last: ResetInterval, next: ResetInterval) {
        let apart = next.likely().saturating_duration_since(last.likely());
        self.likely = self.likely.min(apart.max(Duration::from_secs(1)));
    }

    pub(crate) fn at(self, outlook: Estimate) -> Duration {
        match outlook {
            Estimate::LowerBound => self.at_least,
            Estimate::Expected => self.likely.max(self.at_least),
        }
    }
}
