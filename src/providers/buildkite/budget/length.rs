//! How long a window is. Only forecasts ask: what is sent, and when, rests on ends alone.

use std::time::Duration;

use super::ends::Ends;
use super::headers::WINDOW;

/// How a forecast is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Not earlier than this: for sending somebody away, which must not be done for a guess.
    AtBest,
    /// About then: for a plan.
    Likely,
}

/// What is known of the length of windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// The longest time to an end that an answer told.
    at_least: Duration,
    /// The shortest time seen between the ends of two windows, and never more than is documented.
    likely: Duration,
}

impl Default for Length {
    fn default() -> Self {
        Self {
            at_least: Duration::ZERO,
            likely: WINDOW,
        }
    }
}

impl Length {
    /// An answer was so long before its window's end.
    pub(crate) fn holds(&mut self, left: Duration) {
        self.at_least = self.at_least.max(left);
    }

    /// A window ended, and a later one told of its end.
    pub(crate) fn follows(&mut self, last: Ends, next: Ends) {
        let apart = next.likely().saturating_duration_since(last.likely());
        self.likely = self.likely.min(apart.max(Duration::from_secs(1)));
    }

    pub(crate) fn at(self, outlook: Outlook) -> Duration {
        match outlook {
            Outlook::AtBest => self.at_least,
            Outlook::Likely => self.likely.max(self.at_least),
        }
    }
}
