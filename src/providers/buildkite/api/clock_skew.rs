//! How far this machine's clock is from Buildkite's, told by the `Date` header that every answer has: it costs no request.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, header};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// Both clocks, compared whenever Buildkite answers.
#[derive(Debug, Default)]
pub(crate) struct Clock(Mutex<Option<SignedDuration>>);

impl Clock {
    /// Compares the clocks by an answer that came `now`. It is right to a second or to the answer's time under way.
    pub(crate) fn compare(&self, headers: &HeaderMap, now: Timestamp) {
        // What a cache kept tells the time at which it was kept.
        if headers.contains_key(header::AGE) {
            return;
        }
        let text = headers.get(header::DATE).and_then(|value| value.to_str().ok());
        if let Some(theirs) = text.and_then(|text| DateTimeParser::new().parse_timestamp(text).ok()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(theirs.duration_since(now));
        }
    }

    /// How far theirs is ahead of ours; none before an answer with a date.
    pub(crate) fn ahead(&self) -> Option<SignedDuration> {
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
    fn only_a_date_of_now_tells_the_difference(#[case] headers: &[(&str, &str)], #[case] seconds: Option<i64>) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let clock = Clock::default();
        clock.compare(&headers, NOW.parse().unwrap());
        assert_eq!(clock.ahead().map(|ahead| ahead.as_secs()), seconds);
    }
}
