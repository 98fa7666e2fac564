//! The model behind the limiter, in paused time and without a socket.

use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::{Instant, sleep};

use super::model::{Counter, Model, Rounding};
use crate::governance::CallContext;
use crate::governance::rate_limit::{Bucket, LimitExceeded};
use crate::providers::buildkite::budget::{LimitHeaders, RateLimiter};

pub(crate) struct Server {
    model: Mutex<Model>,
    began: Instant,
    latency: Duration,
    has_limits: bool,
}

impl Server {
    /// A server with Buildkite's default limits; both windows began `offset` ago.
    pub(crate) fn new(offset: Duration, rounding: Rounding) -> Self {
        let model = Model {
            organization: Counter::new(200, offset, rounding),
            user: Counter::new(50, offset, rounding),
        };
        Self {
            model: Mutex::new(model),
            began: Instant::now(),
            latency: Duration::from_millis(50),
            has_limits: true,
        }
    }

    /// A server without limits and without limit headers.
    pub(crate) fn without_limits() -> Self {
        let mut server = Self::new(Duration::ZERO, Rounding::Floor);
        server.has_limits = false;
        server
    }

    /// Counts requests of another consumer.
    pub(crate) fn spend(&self, bucket: Bucket, requests: u32) {
        self.model.lock().unwrap().spend(bucket, self.began.elapsed(), requests);
    }

    /// Sends one request through the limiter, and returns the status of its response.
    pub(crate) async fn send(&self, limiter: &RateLimiter, call: &CallContext) -> Result<StatusCode, LimitExceeded> {
        let permit = limiter.acquire(call).await?;
        sleep(self.latency / 2).await;
        let (headers, refused) = self.count();
        sleep(self.latency / 2).await;
        let (status, body) = match refused {
            Some(bucket) => (
                StatusCode::TOO_MANY_REQUESTS,
                format!(r#"{{"scope":"{}"}}"#, bucket.as_str()),
            ),
            None => (StatusCode::OK, String::new()),
        };
        let limit = permit.complete(status, &headers, body.as_bytes());
        assert_eq!(limit.is_some(), refused.is_some());
        Ok(status)
    }

    fn count(&self) -> (HeaderMap, Option<Bucket>) {
        let mut headers = HeaderMap::new();
        if !self.has_limits {
            return (headers, None);
        }
        let counted = Bucket::ALL.map(|bucket| {
            let counted = self.model.lock().unwrap().spend(bucket, self.began.elapsed(), 1);
            headers.extend(header_map(bucket, counted.headers));
            (bucket, counted)
        });
        let refused = counted.into_iter().find(|(_, counted)| counted.refused);
        (headers, refused.map(|(bucket, _)| bucket))
    }
}

/// The header lines of `limits`.
pub(crate) fn header_map(bucket: Bucket, limits: LimitHeaders) -> HeaderMap {
    let prefix = match bucket {
        Bucket::Organization => "ratelimit",
        Bucket::User => "ratelimit-user",
    };
    [
        ("limit", limits.limit),
        ("remaining", limits.remaining),
        ("reset", limits.reset),
    ]
    .into_iter()
    .filter_map(|(suffix, value)| {
        let name = HeaderName::try_from(format!("{prefix}-{suffix}")).unwrap();
        Some((name, value?.into()))
    })
    .collect()
}
