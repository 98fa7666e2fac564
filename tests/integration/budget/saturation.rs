//! Without other consumers, no request is refused, although more are made than the windows allow.

use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::sandbox::ResetRounding;
use rstest::rstest;

use super::harness::{BudgetHarness, limits};

#[rstest]
#[case(30, 12, ResetRounding::Floor)]
#[case(30, 12, ResetRounding::Ceil)]
#[case(12, 30, ResetRounding::Round)]
#[tokio::test]
async fn saturating_reads_draw_no_429(#[case] organization: u32, #[case] user: u32, #[case] rounding: ResetRounding) {
    let window = Duration::from_secs(5);
    let mut options = limits(organization, user, window, Duration::from_millis(2_300));
    options.behaviors.reset_rounding = rounding;
    let harness = BudgetHarness::start(options).await;
    // Three windows' worth, with no more at once than a window allows.
    for _ in 0..3 {
        for read in harness.read(12, &CallContext::new(Lane::Sync)).await {
            read.unwrap();
        }
    }
    assert_eq!((harness.refused(), harness.sandbox.request_log().total()), (0, 36));
}

#[tokio::test]
async fn time_slept_for_a_window_is_reported() {
    let harness = BudgetHarness::start(limits(100, 5, Duration::from_secs(4), Duration::ZERO)).await;
    let call = CallContext::new(Lane::Provisioning);
    for read in harness.read(6, &call).await {
        read.unwrap();
    }
    assert!(
        call.stats().waited > Duration::from_secs(1),
        "{:?}",
        call.stats().waited
    );
    assert_eq!(harness.refused(), 0);
}
