//! What an answer tells of the rate limits (reference, section 4).
//!
//! Two windows are told of, the organization's and the token's user's, each with any subset of its headers. Numbers are
//! read as they come; nothing here believes them.

use std::time::Duration;

use http::HeaderMap;
use serde::Deserialize;

/// One of the windows that Buildkite counts a request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// The whole organization's requests (`rest`).
    Organization,
    /// The requests of the token's user, whichever token they use (`rest_user`).
    User,
}

impl Bucket {
    /// Both buckets.
    pub const ALL: [Self; 2] = [Self::Organization, Self::User];

    /// The bucket's name in Buildkite's `scope` field and in our logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "rest",
            Self::User => "rest_user",
        }
    }

    fn headers(self) -> [&'static str; 3] {
        match self {
            Self::Organization => ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
            Self::User => [
                "ratelimit-user-limit",
                "ratelimit-user-remaining",
                "ratelimit-user-reset",
            ],
        }
    }
}

/// What one answer says of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Requests a window.
    pub limit: Option<i64>,
    /// Requests left; negative where refused ones were counted too.
    pub remaining: Option<i64>,
    /// Whole seconds until the window ends, from now.
    pub reset: Option<i64>,
}

impl Reading {
    /// What the headers say of `bucket`; none where they lack it.
    #[must_use]
    pub fn of(bucket: Bucket, headers: &HeaderMap) -> Option<Self> {
        let [limit, remaining, reset] = bucket.headers().map(|name| number(headers, name));
        (limit.is_some() || remaining.is_some() || reset.is_some()).then_some(Self {
            limit,
            remaining,
            reset,
        })
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The body of a 429, of which any part may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
struct RefusalBody {
    scope: Option<String>,
    reset: Option<i64>,
}

/// Which bucket a 429 closes, and how long it asks to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The bucket that the body names; none where it names none that we know.
    pub bucket: Option<Bucket>,
    /// Whole seconds until the window ends, where anything says so.
    pub reset: Option<i64>,
}

impl Refusal {
    /// Reads a 429: the named bucket's header, else the larger of both, else the body's own number; `Retry-After`, which
    /// Buildkite does not document, only ever lengthens the wait.
    #[must_use]
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let body: RefusalBody = serde_json::from_slice(body).unwrap_or_default();
        let bucket = Bucket::ALL
            .into_iter()
            .find(|bucket| body.scope.as_deref() == Some(bucket.as_str()));
        let header = |bucket| Reading::of(bucket, headers).and_then(|reading| reading.reset);
        let told = match bucket {
            Some(bucket) => header(bucket),
            None => Bucket::ALL.into_iter().filter_map(header).max(),
        };
        let reset = told.or(body.reset).max(number(headers, "retry-after"));
        Self { bucket, reset }
    }

    /// How long to stay away: at least a second, at most a window; a whole one where nothing was said.
    #[must_use]
    pub fn wait(self) -> Duration {
        // A header counts in whole seconds and may have been rounded down: one more is the earliest certain moment.
        let seconds = self
            .reset
            .and_then(|reset| u64::try_from(reset).ok())
            .map_or(WINDOW.as_secs(), |reset| reset + 1);
        Duration::from_secs(seconds.clamp(1, WINDOW.as_secs() + 1))
    }
}

/// The length of a window, as documented.
pub const WINDOW: Duration = Duration::from_secs(60);

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
        let organization = Reading {
            limit: Some(200),
            remaining: Some(-14),
            reset: None,
        };
        assert_eq!(Reading::of(Bucket::Organization, &headers), Some(organization));
        assert_eq!(
            Reading::of(Bucket::User, &headers),
            Some(Reading {
                reset: Some(7),
                ..Reading::default()
            })
        );
        assert_eq!(Reading::of(Bucket::User, &HeaderMap::new()), None);
    }

    #[rstest]
    #[case(r#"{"scope":"rest","reset":9}"#, Some(Bucket::Organization), Some(7))]
    #[case(r#"{"scope":"rest_user","reset":9}"#, Some(Bucket::User), Some(40))]
    #[case(r#"{"scope":"mcp","reset":9}"#, None, Some(40))]
    #[case(r#"{"message":"slow down"}"#, None, Some(40))]
    #[case("", None, Some(40))]
    #[case("<html>", None, Some(40))]
    fn a_refusal_waits_for_the_bucket_that_it_names(
        #[case] body: &str,
        #[case] bucket: Option<Bucket>,
        #[case] reset: Option<i64>,
    ) {
        assert_eq!(
            Refusal::read(&headers(&BOTH), body.as_bytes()),
            Refusal { bucket, reset }
        );
    }

    #[rstest]
    #[case(None, 60)]
    #[case(Some(0), 1)]
    #[case(Some(-3), 60)]
    #[case(Some(5), 6)]
    #[case(Some(1_790_000_000), 61)]
    fn a_wait_is_never_shorter_than_asked_nor_longer_than_a_window(#[case] reset: Option<i64>, #[case] seconds: u64) {
        assert_eq!(Refusal { bucket: None, reset }.wait(), Duration::from_secs(seconds));
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
            let wait = Refusal::read(&map, &body).wait();
            prop_assert!(wait >= Duration::from_secs(1) && wait <= WINDOW + Duration::from_secs(1));
        }
    }
}
