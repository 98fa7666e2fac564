//! A call that cannot be served before its deadline fails at once.

use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane, rate_limit};
use buildkite_connector::providers::buildkite::ApiErrorKind;
use buildkite_connector::sandbox::Bucket;
use tokio::time::Instant;

use super::harness::{BudgetHarness, limits};

#[tokio::test]
async fn a_call_that_cannot_wait_for_the_window_ends_at_once() {
    // Ten seconds into a window of a minute, which another consumer has used up.
    let harness = BudgetHarness::start(limits(200, 50, Duration::from_secs(60), Duration::from_secs(10))).await;
    harness.sandbox.consume(Bucket::User, 50);
    for attempts in [1, 0] {
        let began = Instant::now();
        let call = CallContext::new(Lane::Interactive).with_deadline(Some(began + Duration::from_secs(30)));
        let error = harness.client.organization(&call).await.unwrap_err();
        let ApiErrorKind::RateLimited(limit) = error.kind else {
            panic!("{error:?}");
        };
        assert_eq!((limit.bucket, limit.limit), (Some(rate_limit::Bucket::User), Some(50)));
        assert!(limit.retry_at.unwrap() > began + Duration::from_secs(30));
        // The limiter knows the limit when the second call is made, so that call sends no request.
        assert_eq!(call.stats().attempts.len(), attempts);
    }
    assert_eq!(harness.refused(), 1);
}
