//! Timestamps of Buildkite: ISO 8601 with or without a fraction, or `2025-07-16 06:07:42 UTC` (reference, section
//! 2.1).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Parses either form; `None` for any other text, because an unreadable time that is only displayed must not cause an
/// error.
#[must_use]
pub fn timestamp(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse() {
        return Some(timestamp);
    }
    let utc: DateTime = text.strip_suffix(" UTC")?.parse().ok()?;
    utc.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2023-03-14T00:45:16.215Z", Some(1_678_754_716))]
    #[case("2025-12-02T05:30:00Z", Some(1_764_653_400))]
    #[case("2025-07-16 06:07:42 UTC", Some(1_752_646_062))]
    #[case("2025-07-16 06:07:42", None)]
    #[case("", None)]
    #[case("yesterday", None)]
    fn both_forms_are_parsed_and_no_other(#[case] text: &str, #[case] seconds: Option<i64>) {
        assert_eq!(timestamp(text).map(Timestamp::as_second), seconds);
    }
}
