//! The skew between the local clock and that of Buildkite, from the `Date` header of every response: it costs no
//! extra request.

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
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server_time.duration_since(now));
        }
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
    }
}
