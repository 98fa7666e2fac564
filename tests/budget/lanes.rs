//! A grant passes ahead of a sync.

use std::time::Duration;

use buildkite_connector::providers::buildkite::{ApiErrorKind, CallContext, Lane};

use crate::bench::{Bench, limits};

#[tokio::test]
async fn a_grant_passes_a_sync_that_has_used_up_its_window() {
    let bench = Bench::start(limits(200, 30, Duration::from_secs(60), Duration::from_secs(2))).await;
    let reads = bench.read(60, &CallContext::new(Lane::Sync)).await;
    let passed = reads.iter().filter(|read| read.is_ok()).count();
    let closed = reads
        .iter()
        .filter(|read| matches!(read, Err(error) if matches!(error.kind, ApiErrorKind::RateLimited(_))))
        .count();
    // Nine are kept for grants; who would wait for more than the longest wait is told so.
    assert_eq!((passed, closed), (21, 39));
    let grant = CallContext::new(Lane::Provisioning);
    for read in bench.read(9, &grant).await {
        read.unwrap();
    }
    assert_eq!(grant.stats().waited, Duration::ZERO);
    assert_eq!((bench.refused(), bench.sandbox.journal().total()), (0, 30));
}
