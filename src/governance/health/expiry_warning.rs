//! When a credential expires, and when its expiry is a warning.

use std::time::Duration;

use jiff::Timestamp;

/// How long before its expiry a credential is a warning, by default (`--token-expiry-warning`): 7 days.
pub(super) const DEFAULT_EXPIRY_WARNING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// When a credential expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It does not expire.
    Never,
    /// Expires at this time.
    At(Timestamp),
    /// It expires, and is renewed before.
    Renewed,
    /// The provider gave a text that is not a time.
    Unreadable,
}

impl Expiry {
    /// Whether the expiry is a warning, so that the credential is degraded: less than `warning_period` is left, or it has expired
    /// already. A credential that never expires or is renewed, or whose expiry is unreadable, is no warning.
    pub(crate) fn is_warning(self, warning_period: Duration, now: Timestamp) -> bool {
        let Self::At(at) = self else { return false };
        // A time in the past does not convert to a duration, and is within any period.
        !Duration::try_from(at.duration_since(now)).is_ok_and(|left| left >= warning_period)
    }
}

/// Formats a time for people, to the minute.
#[must_use]
pub fn format_minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
