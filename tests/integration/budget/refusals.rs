//! A request that gets a 429 waits for the reset and is sent again.

use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::sandbox::{Bucket, Endpoint, Fault, FaultKind, RateLimitStyle};
use rstest::rstest;

use super::harness::{BudgetHarness, limits};

const WINDOW: Duration = Duration::from_secs(4);

#[rstest]
#[case(Bucket::Organization)]
#[case(Bucket::User)]
#[tokio::test]
async fn a_window_that_another_consumer_used_up_costs_one_429(#[case] bucket: Bucket) {
    let harness = BudgetHarness::start(limits(20, 20, WINDOW, Duration::ZERO)).await;
    harness.sandbox.consume(bucket, 20);
    let call = CallContext::new(Lane::Sync);
    harness.client.organization(&call).await.unwrap();
    let statuses: Vec<_> = call
        .stats()
        .attempts
        .iter()
        .map(|attempt| attempt.status.unwrap())
        .collect();
    assert_eq!(statuses, [429, 200]);
    assert_eq!((harness.sandbox.refused(bucket), harness.refused()), (1, 1));
    assert!(
        call.stats().waited > Duration::from_secs(1),
        "{:?}",
        call.stats().waited
    );
}

#[rstest]
#[case(Bucket::Organization, RateLimitStyle::Documented)]
#[case(Bucket::User, RateLimitStyle::Documented)]
#[case(Bucket::User, RateLimitStyle::Empty)]
#[case(Bucket::Organization, RateLimitStyle::NotJson)]
#[case(Bucket::User, RateLimitStyle::NoHeaders)]
#[tokio::test]
async fn a_429_of_any_style_is_retried_after_the_reset(#[case] bucket: Bucket, #[case] style: RateLimitStyle) {
    let mut options = limits(20, 20, WINDOW, Duration::ZERO);
    options.faults = vec![Fault::new(Endpoint::Organization, FaultKind::RateLimited(bucket, style)).once()];
    let harness = BudgetHarness::start(options).await;
    let call = CallContext::new(Lane::Sync);
    harness.client.organization(&call).await.unwrap();
    assert_eq!(
        (
            call.stats().attempts.len(),
            harness.sandbox.request_log().count_status(429)
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn after_the_first_429_no_request_is_sent_into_the_window() {
    let harness = BudgetHarness::start(limits(40, 20, WINDOW, Duration::ZERO)).await;
    harness.sandbox.consume(Bucket::User, 20);
    for read in harness.read(12, &CallContext::new(Lane::Interactive)).await {
        read.unwrap();
    }
    // The requests in flight before the first response, and no more.
    assert!((1..=4).contains(&harness.refused()), "{} refused", harness.refused());
}
