//! When a credential expires.

use std::time::Duration;

use jiff::Timestamp;

/// When a credential expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It does not expire.
    Never,
    /// Expires at this time.
    At(Timestamp),
    /// The provider gave a text that is not a time.
    Unreadable,
}

impl Expiry {
    /// Whether the credential expires within `time`, or has expired already.
    pub(crate) fn is_within(self, time: Duration, now: Timestamp) -> bool {
        let Self::At(at) = self else { return false };
        // A time in the past does not convert to a duration, and is within any.
        !Duration::try_from(at.duration_since(now)).is_ok_and(|left| left >= time)
    }
}

/// Formats a time for people, to the minute.
#[must_use]
pub fn format_minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
