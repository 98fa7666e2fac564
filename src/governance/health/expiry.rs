//! When the token ends, in each form that Buildkite may tell it (reference, sections 2.6 and 8.9).

use std::time::Duration;

use jiff::Timestamp;

use crate::providers::buildkite::{AccessToken, timestamp};

/// When a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It does not: null, or absent as for tokens older than the feature.
    Never,
    /// Expires at this time.
    At(Timestamp),
    /// A text was given that is no time.
    Unreadable,
}

impl Expiry {
    pub(crate) fn of(token: &AccessToken) -> Self {
        match token.expires_at.as_deref() {
            None => Self::Never,
            Some(text) => timestamp(text).map_or(Self::Unreadable, Self::At),
        }
    }

    /// Whether it comes within this time, or has come already.
    pub(crate) fn is_within(self, time: Duration, now: Timestamp) -> bool {
        let Self::At(at) = self else { return false };
        // A time before now is no duration, and is within any.
        !Duration::try_from(at.duration_since(now)).is_ok_and(|left| left >= time)
    }
}

/// A moment as people read it, to the minute.
#[must_use]
pub fn format_minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
