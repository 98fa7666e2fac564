//! When a window ends, as far as an answer can tell.
//!
//! Buildkite names the time left in whole seconds, and whether they were rounded down, up or to the nearest is not
//! documented; nor is it known at which moment between sending and receiving they were counted. So one answer leaves
//! the end open by two seconds and the round trip, and the answers of a window together leave it open by about one.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::WINDOW;

/// A second either way: what rounding to whole seconds hides.
const ROUNDING: Duration = Duration::from_secs(1);

/// The end of one window: later than `after`, and no later than `by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
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

impl Ends {
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
