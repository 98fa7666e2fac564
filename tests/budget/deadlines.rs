//! Nobody is kept waiting for what comes too late.

use std::time::Duration;

use buildkite_connector::providers::buildkite::{ApiErrorKind, CallContext, Lane, budget};
use buildkite_connector::sandbox::Bucket;
use tokio::time::Instant;

use crate::bench::{Bench, limits};

#[tokio::test]
async fn a_call_that_cannot_wait_for_the_window_ends_at_once() {
    // Ten seconds into a window of a minute, used up by others.
    let bench = Bench::start(limits(200, 50, Duration::from_secs(60), Duration::from_secs(10))).await;
    bench.sandbox.spend(Bucket::User, 50);
    for attempts in [1, 0] {
        let began = Instant::now();
        let call = CallContext::new(Lane::Interactive).with_deadline(Some(began + Duration::from_secs(30)));
        let error = bench.client.organization(&call).await.unwrap_err();
        let ApiErrorKind::RateLimited(closed) = error.kind else {
            panic!("{error:?}");
        };
        assert_eq!((closed.bucket, closed.limit), (Some(budget::Bucket::User), Some(50)));
        assert!(closed.retry_at.unwrap() > began + Duration::from_secs(30));
        // The second call knows already, and sends nothing.
        assert_eq!(call.stats().attempts.len(), attempts);
    }
    assert_eq!(bench.refused(), 1);
}
