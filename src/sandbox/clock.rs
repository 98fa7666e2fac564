//! The clock of the sandbox, which may be ahead of the clock of this machine, or behind it.

use std::sync::atomic::{AtomicI64, Ordering};

use http::HeaderValue;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

/// The clock.
#[derive(Debug)]
pub(super) struct Clock {
    seconds_ahead: AtomicI64,
}

impl Clock {
    pub(super) fn new(seconds_ahead: i64) -> Self {
        Self {
            seconds_ahead: AtomicI64::new(seconds_ahead),
        }
    }

    pub(super) fn set(&self, seconds_ahead: i64) {
        self.seconds_ahead.store(seconds_ahead, Ordering::Relaxed);
    }

    /// The time by this clock.
    pub(super) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        let ahead = SignedDuration::from_secs(self.seconds_ahead.load(Ordering::Relaxed));
        now.checked_add(ahead).unwrap_or(now)
    }

    /// The time by this clock as the value of a `Date` header.
    pub(super) fn date(&self) -> Option<HeaderValue> {
        let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&self.now()).ok()?;
        HeaderValue::try_from(text).ok()
    }
}
