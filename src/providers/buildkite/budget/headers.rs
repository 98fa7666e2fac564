//! Parses the rate limits that a response reports (reference, section 4).
//!
//! A response reports two windows, the organization's and the token's user's, each with any subset of its headers.
//! Numbers are parsed as they are; whether a window can have such values is checked where they are used.

use std::time::Duration;

use http::HeaderMap;
use serde::Deserialize;

use crate::governance::rate_limit::{Bucket, WINDOW};

/// The names of the headers that report the bucket: limit, remaining, reset.
fn header_names(bucket: Bucket) -> [&'static str; 3] {
    match bucket {
        Bucket::Organization => ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
        Bucket::User => [
            "ratelimit-user-limit",
            "ratelimit-user-remaining",
            "ratelimit-user-reset",
        ],
    }
}

/// The limit headers of one response for one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitHeaders {
    /// Requests a window.
    pub limit: Option<i64>,
    /// Requests left; negative if refused requests were counted too.
    pub remaining: Option<i64>,
    /// Whole seconds until the window resets.
    pub reset: Option<i64>,
}

impl LimitHeaders {
    /// Parses the headers of `bucket`. Returns `None` if there are none.
    #[must_use]
    pub fn of(bucket: Bucket, headers: &HeaderMap) -> Option<Self> {
        let [limit, remaining, reset] = header_names(bucket).map(|name| number(headers, name));
        (limit.is_some() || remaining.is_some() || reset.is_some()).then_some(Self {
            limit,
            remaining,
            reset,
        })
    }

    /// The limit, if it is possible.
    pub(crate) fn valid_limit(self) -> Option<u32> {
        let limit = self.limit.filter(|limit| (1..=MAX_LIMIT).contains(limit))?;
        u32::try_from(limit).ok()
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The body of a 429; any field may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
struct TooManyRequestsBody {
    scope: Option<String>,
    reset: Option<i64>,
}

/// A 429: the bucket that it names, and the wait that it requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRequests {
    /// The bucket that the body names; `None` if it names none or an unknown one.
    pub bucket: Option<Bucket>,
    /// Whole seconds until the window resets, if the headers or the body report them.
    pub reset: Option<i64>,
}

impl TooManyRequests {
    /// Parses a 429. The reset is the named bucket's header, else the larger of both headers, else the body's own
    /// number. `Retry-After`, which Buildkite does not document, can only lengthen the wait.
    #[must_use]
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let body: TooManyRequestsBody = serde_json::from_slice(body).unwrap_or_default();
        let bucket = Bucket::ALL
            .into_iter()
            .find(|bucket| body.scope.as_deref() == Some(bucket.as_str()));
        let header = |bucket| LimitHeaders::of(bucket, headers).and_then(|headers| headers.reset);
        let from_headers = match bucket {
            Some(bucket) => header(bucket),
            None => Bucket::ALL.into_iter().filter_map(header).max(),
        };
        let reset = from_headers.or(body.reset).max(number(headers, "retry-after"));
        Self { bucket, reset }
    }

    /// How long to wait: at least a second, at most a window and a second; a whole window if no reset was reported.
    #[must_use]
    pub fn wait(self) -> Duration {
        // The reset may have been rounded down to whole seconds, so the window has certainly ended one second later.
        let seconds = self
            .reset
            .and_then(|reset| u64::try_from(reset).ok())
            .map_or(WINDOW.as_secs(), |reset| reset + 1);
        Duration::from_secs(seconds.clamp(1, WINDOW.as_secs() + 1))
    }
}

/// Larger than the limit of any organization; a larger value is ignored as an error.
pub(crate) const MAX_LIMIT: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    const BOTH: [(&str, &str); 2] = [("RateLimit-Reset", "7"), ("RateLimit-User-Reset", "40")];

    #[test]
    fn each_bucket_is_read_from_its_own_headers_in_any_case() {
        let headers = headers(&[
            ("Ratelimit-Limit", "200"),
            ("RATELIMIT-REMAINING", "-14"),
            ("RateLimit-User-Reset", "7"),
        ]);
        let organization = LimitHeaders {
            limit: Some(200),
            remaining: Some(-14),
            reset: None,
        };
        assert_eq!(LimitHeaders::of(Bucket::Organization, &headers), Some(organization));
        assert_eq!(
            LimitHeaders::of(Bucket::User, &headers),
            Some(LimitHeaders {
                reset: Some(7),
                ..LimitHeaders::default()
            })
        );
        assert_eq!(LimitHeaders::of(Bucket::User, &HeaderMap::new()), None);
    }

    #[rstest]
    #[case(r#"{"scope":"rest","reset":9}"#, Some(Bucket::Organization), Some(7))]
    #[case(r#"{"scope":"rest_user","reset":9}"#, Some(Bucket::User), Some(40))]
    #[case(r#"{"scope":"mcp","reset":9}"#, None, Some(40))]
    #[case(r#"{"message":"slow down"}"#, None, Some(40))]
    #[case("", None, Some(40))]
    #[case("<html>", None, Some(40))]
    fn a_429_waits_for_the_bucket_that_it_names(
        #[case] body: &str,
        #[case] bucket: Option<Bucket>,
        #[case] reset: Option<i64>,
    ) {
        assert_eq!(
            TooManyRequests::read(&headers(&BOTH), body.as_bytes()),
            TooManyRequests { bucket, reset }
        );
    }

    #[rstest]
    #[case(None, 60)]
    #[case(Some(0), 1)]
    #[case(Some(-3), 60)]
    #[case(Some(5), 6)]
    #[case(Some(1_790_000_000), 61)]
    fn a_wait_is_never_shorter_than_requested_and_never_longer_than_a_window(
        #[case] reset: Option<i64>,
        #[case] seconds: u64,
    ) {
        assert_eq!(
            TooManyRequests { bucket: None, reset }.wait(),
            Duration::from_secs(seconds)
        );
    }

    proptest! {
        #[test]
        fn no_header_and_no_body_can_make_a_wait_unbounded(
            reset in "\\PC{0,20}", body in proptest::collection::vec(any::<u8>(), 0..80), after in any::<i64>(),
        ) {
            let mut map = HeaderMap::new();
            if let Ok(value) = reset.parse() {
                map.insert("ratelimit-reset", value);
            }
            map.insert("retry-after", after.into());
            let wait = TooManyRequests::read(&map, &body).wait();
            prop_assert!(wait >= Duration::from_secs(1) && wait <= WINDOW + Duration::from_secs(1));
        }
    }
}
