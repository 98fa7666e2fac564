//! Jobs and rate limits: waited for, foretold, and never overdrawn.

use std::time::Duration;

use buildkite_connector::sandbox::{Bucket, LimitOptions, Options, Sandbox};
use serde_json::Value;

use super::job::{Place, ended, on, sync_into, truth};
use super::read_back;
use crate::support::sized;

/// An organization behind a limit for its users, in windows of which none is over when it starts.
async fn limited(user: u32, window: Duration, teams: usize) -> Sandbox {
    let limits = LimitOptions {
        user: Some(user),
        window,
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    Sandbox::start(Options {
        seed: sized(teams, 3, 20),
        limits,
        ..Options::default()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_its_windows_receives_no_429_and_estimates_its_end() {
    let sandbox = limited(50, Duration::from_secs(6), 150).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    let ended = ended(sync_into(&sandbox, &path)).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert_eq!(sandbox.refused(Bucket::User) + sandbox.refused(Bucket::Organization), 0);
    assert!(
        sandbox.request_log().total() > 100,
        "the windows were too wide for this test"
    );
    assert_eq!(read_back::truth(&path), truth(&sandbox));
    let lines = ended
        .printed
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let progress: Vec<Value> = lines
        .filter(|line| line["stage"] == "reading the members of teams")
        .collect();
    let line = progress.first().expect("no line after ten seconds");
    assert_eq!(line["teams"], 150);
    assert!(line["teams_read"].as_u64().unwrap() > 0, "{line}");
    assert!(line["requests"].as_u64().unwrap() > 40, "{line}");
    assert!(line["seconds_left"].as_u64().is_some(), "{line}");
    assert!(line["message"].as_str().unwrap().contains(", done at "), "{line}");
}

#[tokio::test]
async fn a_longest_wait_that_is_given_and_would_be_exceeded_ends_with_3() {
    let sandbox = limited(20, Duration::from_secs(60), 60).await;
    let place = Place::new();
    let mut command = sync_into(&sandbox, &place.path("access.csv"));
    command.args(["--max-wait", "1s"]);
    let ended = ended(command).await;
    assert_eq!(ended.status.code(), Some(3), "{:#?}", ended.printed);
    assert!(
        ended.printed.last().unwrap().contains("rate limit"),
        "{:#?}",
        ended.printed
    );
    assert!(place.contents().is_empty());
    assert_eq!(sandbox.refused(Bucket::User), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_was_used_up_before_is_waited_for() {
    let sandbox = limited(20, Duration::from_secs(3), 2).await;
    sandbox.consume(Bucket::User, 20);
    let ended = ended(on(&sandbox, &["list", "teams", "--format", "csv"])).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert_eq!(ended.printed.len(), 3, "{:#?}", ended.printed);
}
