//! A 429 that comes all the same is waited out, and its request is sent again.

use std::time::Duration;

use buildkite_connector::providers::buildkite::{CallContext, Lane};
use buildkite_connector::sandbox::{Bucket, Endpoint, Fault, FaultKind, RefusalStyle};
use rstest::rstest;

use crate::bench::{Bench, limits};

const WINDOW: Duration = Duration::from_secs(4);

#[rstest]
#[case(Bucket::Organization)]
#[case(Bucket::User)]
#[tokio::test]
async fn a_window_that_others_used_up_refuses_once(#[case] bucket: Bucket) {
    let bench = Bench::start(limits(20, 20, WINDOW, Duration::ZERO)).await;
    bench.sandbox.spend(bucket, 20);
    let call = CallContext::new(Lane::Sync);
    bench.client.organization(&call).await.unwrap();
    let statuses: Vec<_> = call
        .stats()
        .attempts
        .iter()
        .map(|attempt| attempt.status.unwrap().as_u16())
        .collect();
    assert_eq!(statuses, [429, 200]);
    assert_eq!((bench.sandbox.refused(bucket), bench.refused()), (1, 1));
    assert!(
        call.stats().waited > Duration::from_secs(1),
        "{:?}",
        call.stats().waited
    );
}

#[rstest]
#[case(Bucket::Organization, RefusalStyle::Documented)]
#[case(Bucket::User, RefusalStyle::Documented)]
#[case(Bucket::User, RefusalStyle::Empty)]
#[case(Bucket::Organization, RefusalStyle::NotJson)]
#[case(Bucket::User, RefusalStyle::NoHeaders)]
#[tokio::test]
async fn a_refusal_of_any_style_is_waited_out(#[case] bucket: Bucket, #[case] style: RefusalStyle) {
    let mut options = limits(20, 20, WINDOW, Duration::ZERO);
    options.faults = vec![Fault::new(Endpoint::Organization, FaultKind::RateLimited(bucket, style)).once()];
    let bench = Bench::start(options).await;
    let call = CallContext::new(Lane::Sync);
    bench.client.organization(&call).await.unwrap();
    assert_eq!(
        (call.stats().attempts.len(), bench.sandbox.journal().count_status(429)),
        (2, 1)
    );
}

#[tokio::test]
async fn of_many_at_once_none_is_sent_into_the_closed_window() {
    let bench = Bench::start(limits(40, 20, WINDOW, Duration::ZERO)).await;
    bench.sandbox.spend(Bucket::User, 20);
    for read in bench.read(12, &CallContext::new(Lane::Interactive)).await {
        read.unwrap();
    }
    // What was in flight before the first answer, and no more.
    assert!((1..=4).contains(&bench.refused()), "{} refused", bench.refused());
}
