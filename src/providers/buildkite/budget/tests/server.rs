//! The model behind the door: asked and answered in paused time, without a socket.

use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::{Instant, sleep};

use super::model::{Counter, Model, Rounding};
use crate::providers::buildkite::budget::{Bucket, Door, LimitExceeded, Reading};
use crate::providers::buildkite::call::CallContext;

pub(crate) struct Server {
    model: Mutex<Model>,
    began: Instant,
    latency: Duration,
    told: bool,
}

impl Server {
    /// Buildkite's own limits; both windows began so long ago.
    pub(crate) fn new(offset: Duration, rounding: Rounding) -> Self {
        let model = Model {
            organization: Counter::new(200, offset, rounding),
            user: Counter::new(50, offset, rounding),
        };
        Self {
            model: Mutex::new(model),
            began: Instant::now(),
            latency: Duration::from_millis(50),
            told: true,
        }
    }

    /// One that limits nobody, and has no headers for it.
    pub(crate) fn without_limits() -> Self {
        let mut server = Self::new(Duration::ZERO, Rounding::Floor);
        server.told = false;
        server
    }

    /// Others spend.
    pub(crate) fn spend(&self, bucket: Bucket, requests: u32) {
        self.model.lock().unwrap().spend(bucket, self.began.elapsed(), requests);
    }

    /// One request through the door; says with which status it was answered.
    pub(crate) async fn ask(&self, door: &Door, call: &CallContext) -> Result<StatusCode, LimitExceeded> {
        let admission = door.enter(call).await?;
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
        let closed = admission.answered(status, &headers, body.as_bytes());
        assert_eq!(closed.is_some(), refused.is_some());
        Ok(status)
    }

    fn count(&self) -> (HeaderMap, Option<Bucket>) {
        let mut headers = HeaderMap::new();
        if !self.told {
            return (headers, None);
        }
        let counted = Bucket::ALL.map(|bucket| {
            let counted = self.model.lock().unwrap().spend(bucket, self.began.elapsed(), 1);
            headers.extend(written(bucket, counted.reading));
            (bucket, counted)
        });
        let refused = counted.into_iter().find(|(_, counted)| counted.refused);
        (headers, refused.map(|(bucket, _)| bucket))
    }
}

/// The headers of a reading.
pub(crate) fn written(bucket: Bucket, reading: Reading) -> HeaderMap {
    let prefix = match bucket {
        Bucket::Organization => "ratelimit",
        Bucket::User => "ratelimit-user",
    };
    [
        ("limit", reading.limit),
        ("remaining", reading.remaining),
        ("reset", reading.reset),
    ]
    .into_iter()
    .filter_map(|(suffix, value)| {
        let name = HeaderName::try_from(format!("{prefix}-{suffix}")).unwrap();
        Some((name, value?.into()))
    })
    .collect()
}
