//! Grants go before syncs.

use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::ApiErrorKind;

use super::harness::{BudgetHarness, limits};

#[tokio::test]
async fn a_grant_passes_a_sync_that_has_used_up_its_window() {
    let harness = BudgetHarness::start(limits(200, 30, Duration::from_secs(60), Duration::from_secs(2))).await;
    let reads = harness.read(60, &CallContext::new(Lane::Sync)).await;
    let accepted = reads.iter().filter(|read| read.is_ok()).count();
    let rejected = reads
        .iter()
        .filter(|read| matches!(read, Err(error) if matches!(error.kind, ApiErrorKind::RateLimited(_))))
        .count();
    // Nine requests are reserved for grants. A read that would exceed the longest wait is rejected.
    assert_eq!((accepted, rejected), (21, 39));
    let grant = CallContext::new(Lane::Provisioning);
    for read in harness.read(9, &grant).await {
        read.unwrap();
    }
    assert_eq!(grant.stats().waited, Duration::ZERO);
    assert_eq!((harness.refused(), harness.sandbox.request_log().total()), (0, 30));
}
