//! Interrupts and trouble at Buildkite at every stage: the old file untouched, nothing left behind.

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, Sandbox};
use http::StatusCode;
use rstest::rstest;

use super::job::{NAMES, Place, ended, sync_into, synced};
use crate::support::process::ConnectorProcess;
use crate::support::{sandbox, sized, until};

/// An organization whose lists are several pages long, and the files of its last sync.
async fn after_a_sync(name: &str) -> (Sandbox, Place) {
    let sandbox = sandbox(sized(120, 3, 250)).await;
    let place = Place::new();
    synced(&sandbox, &place.path(name)).await;
    (sandbox, place)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_leaves_the_old_file_and_nothing_else(
    #[values(
        Endpoint::AccessToken,
        Endpoint::OrganizationMembers,
        Endpoint::Teams,
        Endpoint::TeamMembers
    )]
    stage: Endpoint,
    #[values(0, 1, 2, 3)] format: usize,
    #[values(("INT", 130), ("TERM", 143))] signal: (&str, i32),
) {
    let (sandbox, place) = after_a_sync(NAMES[format]).await;
    let before = place.contents();
    let hangs = sandbox.faults().add(Fault::new(stage, FaultKind::Hang));
    let job = ConnectorProcess::start(sync_into(&sandbox, &place.path(NAMES[format])));
    until(|| hangs.fired() > 0).await;
    assert_ne!(place.contents(), before, "the part is there while the job runs");
    job.signal(signal.0);
    let ended = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(signal.1), "{:#?}", ended.printed);
    assert_eq!(ended.printed, ["error: interrupted: nothing was changed"]);
    assert_eq!(place.contents(), before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_at_buildkite_leaves_the_old_file_and_nothing_else(
    #[values(
        Endpoint::AccessToken,
        Endpoint::Organization,
        Endpoint::OrganizationMembers,
        Endpoint::Teams,
        Endpoint::TeamMembers
    )]
    stage: Endpoint,
    #[values(0, 1, 2, 3)] format: usize,
) {
    let (sandbox, place) = after_a_sync(NAMES[format]).await;
    let before = place.contents();
    let kind = FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html);
    let later = if stage == Endpoint::TeamMembers { 70 } else { 0 };
    let broken = sandbox.faults().add(Fault::new(stage, kind).after(later));
    let mut command = sync_into(&sandbox, &place.path(NAMES[format]));
    command.args(["--retry-for", "1ms"]);
    let ended = ended(command).await;
    assert!(broken.fired() > 0);
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert!(
        ended.printed.last().unwrap().starts_with("error: "),
        "{:#?}",
        ended.printed
    );
    assert_eq!(place.contents(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_killed_leaves_a_part_at_most() {
    let (sandbox, place) = after_a_sync("access.c1z").await;
    let before = place.contents();
    let hangs = sandbox.faults().add(Fault::new(Endpoint::TeamMembers, FaultKind::Hang));
    let job = ConnectorProcess::start(sync_into(&sandbox, &place.path("access.c1z")));
    until(|| hangs.fired() > 0).await;
    job.signal("KILL");
    tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    let mut left = place.contents();
    assert!(left.remove(&place.path(".access.c1z.part")).is_some());
    assert_eq!(left, before);
    sandbox.faults().clear();
    synced(&sandbox, &place.path("access.c1z")).await;
    assert_eq!(place.contents().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_job_waits_for_no_other_and_takes_nothing_from_it() {
    let (sandbox, place) = after_a_sync("access.csv").await;
    let hangs = sandbox.faults().add(Fault::new(Endpoint::TeamMembers, FaultKind::Hang));
    let first = ConnectorProcess::start(sync_into(&sandbox, &place.path("access.csv")));
    until(|| hangs.fired() > 0).await;
    let during = place.contents();
    let second = ended(sync_into(&sandbox, &place.path("access.csv"))).await;
    assert_eq!(second.status.code(), Some(1), "{:#?}", second.printed);
    assert!(
        second.printed[0].contains("another process is writing it"),
        "{:#?}",
        second.printed
    );
    assert_eq!(place.contents(), during);
    first.signal("TERM");
    tokio::task::spawn_blocking(|| first.ended()).await.unwrap();
}
