//! Exit codes: the gRPC code of what went wrong, and those of signals.

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, LimitOptions, Options, Sandbox};
use std::time::Duration;

use http::StatusCode;
use rstest::rstest;

use super::linked::{Linked, printed};
use crate::export::job::ended;
use crate::support::process::ConnectorProcess;
use crate::support::{sandbox, sized, until};

#[rstest]
#[case::rejected(StatusCode::UNAUTHORIZED, 16)]
#[case::unavailable(StatusCode::BAD_GATEWAY, 14)]
#[tokio::test]
async fn trouble_at_buildkite_is_told_by_its_code(#[case] status: StatusCode, #[case] code: i32) {
    let sandbox = sandbox(sized(2, 2, 4)).await;
    let linked = Linked::new();
    sandbox
        .faults()
        .add(Fault::new(Endpoint::Teams, FaultKind::Status(status, BodyStyle::Html)));
    let printed = printed(ended(linked.on(&sandbox, &["--retry-for", "1ms"])).await, code);
    assert!(printed.contains("error: "), "{printed}");
    assert!(!linked.path("sync.c1z").exists());
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_told_as_unknown() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let linked = Linked::new();
    let printed = printed(ended(linked.on(&sandbox, &["-f", "nowhere/x.c1z"])).await, 2);
    assert!(printed.contains("nowhere"), "{printed}");
}

#[rstest]
#[case("INT", 130)]
#[case("TERM", 143)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_a_sync_and_leaves_the_old_file(#[case] signal: &str, #[case] code: i32) {
    let sandbox = sandbox(sized(2, 2, 4)).await;
    let linked = Linked::new();
    printed(ended(linked.on(&sandbox, &[])).await, 0);
    let before = std::fs::read(linked.path("sync.c1z")).unwrap();
    let hangs = sandbox.faults().add(Fault::new(Endpoint::TeamMembers, FaultKind::Hang));
    let job = ConnectorProcess::start(linked.on(&sandbox, &[]));
    until(|| hangs.fired() > 0).await;
    job.signal(signal);
    let ended = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    let printed = printed(ended, code);
    assert!(
        printed.ends_with("error: interrupted: nothing was changed"),
        "{printed}"
    );
    assert_eq!(std::fs::read(linked.path("sync.c1z")).unwrap(), before);
    let left = std::fs::read_dir(linked.path("")).unwrap().count();
    assert_eq!(left, 2, "the link and the file");
}

#[tokio::test]
async fn a_longest_wait_for_the_rate_limit_that_is_exceeded_ends_with_3() {
    let limits = LimitOptions {
        user: Some(20),
        window: Duration::from_secs(60),
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let options = Options {
        seed: sized(60, 3, 20),
        limits,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let linked = Linked::new();
    printed(ended(linked.on(&sandbox, &["--max-wait", "1s"])).await, 3);
    assert!(!linked.path("sync.c1z").exists());
}
