//! The skew between the local clock and that of Buildkite, from the `Date` header of every response: it costs no
//! extra request. Only a credential that signs before the first response reads the time of the server for it.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, header};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// The clock skew as of the most recent response.
#[derive(Debug, Default)]
pub(crate) struct ClockSkew(Mutex<Option<SignedDuration>>);

impl ClockSkew {
    /// Updates the skew from a response received at `now`. Accurate to a second or to the transit time of the
    /// response.
    pub(crate) fn observe(&self, headers: &HeaderMap, now: Timestamp) {
        // A cached response has the date at which it was cached.
        if headers.contains_key(header::AGE) {
            return;
        }
        let date = headers.get(header::DATE).and_then(|value| value.to_str().ok());
        if let Some(server_time) = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok()) {
            self.observe_time(server_time, now);
        }
    }

    /// Updates the skew from the time of the server, received at `now`.
    pub(crate) fn observe_time(&self, server_time: Timestamp, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server_time.duration_since(now));
    }

    /// The time of the server at the local time `now`; the local time if the skew is not known.
    pub(crate) fn server_time(&self, now: Timestamp) -> Timestamp {
        let ahead = self.server_ahead().unwrap_or_default();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// How far the server clock is ahead; `None` before a response with a date.
    pub(crate) fn server_ahead(&self) -> Option<SignedDuration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NOW: &str = "2026-03-06T10:00:00Z";

    #[rstest]
    #[case(&[("date", "Fri, 06 Mar 2026 10:05:00 GMT")], Some(300))]
    #[case(&[("date", "Fri, 06 Mar 2026 09:59:00 GMT")], Some(-60))]
    #[case(&[("date", "Fri, 06 Mar 2026 09:00:00 GMT"), ("age", "3600")], None)]
    #[case(&[("date", "yesterday")], None)]
    #[case(&[], None)]
    fn only_a_current_date_gives_the_skew(#[case] headers: &[(&str, &str)], #[case] seconds: Option<i64>) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let clock = ClockSkew::default();
        clock.observe(&headers, NOW.parse().unwrap());
        assert_eq!(clock.server_ahead().map(|ahead| ahead.as_secs()), seconds);
        let server_time = clock.server_time(NOW.parse().unwrap());
        let ahead = server_time.duration_since(NOW.parse().unwrap());
        assert_eq!(ahead.as_secs(), seconds.unwrap_or_default());
    }
}
