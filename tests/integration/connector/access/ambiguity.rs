//! Lost replies, concurrent changes and stale reads: every change ends as the table has it, is made once, and is never claimed
//! unseen.

use std::time::Duration;

use buildkite_connector::sandbox::{BodyStyle, Edit, Fault, FaultKind, WriteLag};
use futures::future::join_all;
use http::StatusCode;
use rstest::rstest;
use tonic::Code;

use super::model::{Answer, Change, Kind, writing_cells};
use super::{World, reason, setup};

fn short_timeouts() -> crate::support::Setup {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_secs(2);
    setup
}

#[rstest]
#[case::reset_before(FaultKind::ResetBefore)]
#[case::reset_after(FaultKind::ResetAfter)]
#[case::applied_then_500(FaultKind::AppliedThenStatus(StatusCode::INTERNAL_SERVER_ERROR))]
#[case::bad_gateway(FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html))]
#[case::truncated(FaultKind::Truncated)]
#[case::empty(FaultKind::EmptyBody)]
#[case::accepted(FaultKind::AnsweredAs(StatusCode::ACCEPTED))]
#[tokio::test]
async fn a_lost_reply_ends_as_if_it_had_come(#[case] fault: FaultKind) {
    let world = World::with(short_timeouts()).await;
    for kind in Kind::ALL {
        for (change, held) in writing_cells(kind) {
            let cell = format!("{kind:?} {change:?} {held:?}");
            let (after, answer) = change.step(kind, held).unwrap();
            world.hold(kind, held);
            world.sandbox.faults().clear();
            for write in kind.writes() {
                world.sandbox.faults().add(Fault::new(*write, fault.clone()).once());
            }
            let applied = world.applied();
            assert_eq!(world.perform(kind, change).await.expect(&cell), answer, "{cell}");
            assert_eq!(world.held(kind), after, "{cell}");
            assert_eq!(world.applied() - applied, 1, "{cell}");
        }
    }
}

/// A rejection of a write that was applied: the state is as requested, whoever made it so.
#[rstest]
#[tokio::test]
async fn a_rejection_after_the_change_was_made_is_no_failure(#[values(404, 409, 422)] status: u16) {
    let world = World::new().await;
    let fault = FaultKind::AppliedThenStatus(StatusCode::from_u16(status).unwrap());
    for kind in Kind::ALL {
        for (change, held) in writing_cells(kind) {
            let cell = format!("{kind:?} {change:?} {held:?}");
            let (after, answer) = change.step(kind, held).unwrap();
            world.hold(kind, held);
            world.sandbox.faults().clear();
            for write in kind.writes() {
                world.sandbox.faults().add(Fault::new(*write, fault.clone()).once());
            }
            let applied = world.applied();
            let said = world.perform(kind, change).await.expect(&cell);
            let again = match change {
                Change::Grant(_) => Answer::AlreadyExists,
                Change::Revoke(_) => Answer::AlreadyRevoked,
            };
            assert!(said == answer || said == again, "{cell}: {said:?}");
            assert_eq!(world.held(kind), after, "{cell}");
            assert_eq!(world.applied() - applied, 1, "{cell}");
        }
    }
}

#[tokio::test]
async fn an_accepted_write_that_no_read_shows_is_not_claimed() {
    let world = World::with(short_timeouts()).await;
    for kind in Kind::ALL {
        for (change, held) in writing_cells(kind) {
            world.hold(kind, held);
            world.sandbox.faults().clear();
            for write in kind.writes() {
                let accepted = FaultKind::Status(StatusCode::ACCEPTED, BodyStyle::Message);
                world.sandbox.faults().add(Fault::new(*write, accepted));
            }
            let refused = world.perform(kind, change).await.unwrap_err();
            assert_eq!(
                reason(&refused),
                (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned()),
                "{kind:?} {change:?} {held:?}"
            );
            assert_eq!(world.held(kind), held);
        }
    }
}

/// Another client is quicker: what is held changes between the read and the write.
#[rstest]
#[tokio::test]
async fn a_concurrent_change_is_seen(#[values("422", "409")] post_existing: &str) {
    let world = World::new().await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.post_existing = post_existing.parse().unwrap());
    for kind in Kind::ALL {
        for (change, held) in writing_cells(kind) {
            for meanwhile in kind.states().into_iter().filter(|meanwhile| *meanwhile != held) {
                let cell = format!("{kind:?} {change:?} {held:?} {meanwhile:?}");
                world.hold(kind, held);
                world.sandbox.faults().clear();
                for write in kind.writes() {
                    let edit = Edit::with(world.setting(kind, meanwhile));
                    let fault = Fault::new(*write, FaultKind::MoveRows(edit)).once();
                    world.sandbox.faults().add(fault);
                }
                let said = world.perform(kind, change).await;
                match change {
                    Change::Grant(level) => {
                        said.expect(&cell);
                        assert_eq!(world.held(kind), Some(level), "{cell}");
                    }
                    // A DELETE and a PATCH have no precondition: they take away what was given meanwhile.
                    Change::Revoke(level) => {
                        said.expect(&cell);
                        assert_ne!(world.held(kind), Some(level), "{cell}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn equal_grants_at_once_make_one_write() {
    let world = World::new().await;
    for (kind, level) in [
        (Kind::Pipeline, "read_only"),
        (Kind::Suite, "read"),
        (Kind::ClusterByTeam, "maintainer"),
        (Kind::ClusterByUser, "maintainer"),
    ] {
        let applied = world.applied();
        let answers = join_all((0..12).map(|_| world.perform(kind, Change::Grant(level)))).await;
        let done = answers.into_iter().filter(|answer| matches!(answer, Ok(Answer::Done)));
        assert_eq!((done.count(), world.applied() - applied), (1, 1), "{kind:?}");
    }
}

#[tokio::test]
async fn a_grant_and_a_revoke_at_once_leave_what_the_last_answer_says() {
    let world = World::new().await;
    for round in 0..8 {
        for (kind, level) in [(Kind::Pipeline, "read_only"), (Kind::ClusterByUser, "maintainer")] {
            let start = (round % 2 == 0).then_some(level);
            world.hold(kind, start);
            let (granted, revoked) = tokio::join!(
                world.perform(kind, Change::Grant(level)),
                world.perform(kind, Change::Revoke(level))
            );
            let histories = [
                (Answer::Done, Answer::Done),
                (Answer::AlreadyExists, Answer::Done),
                (Answer::Done, Answer::AlreadyRevoked),
            ];
            let history = (granted.unwrap(), revoked.unwrap());
            assert!(histories.contains(&history), "{history:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_is_never_shown_is_never_claimed() {
    let world = World::new().await;
    world.sandbox.change_behaviors(|behaviors| {
        behaviors.write_lag = WriteLag::For(Duration::from_secs(60));
        behaviors.echo = "empty".parse().unwrap();
    });
    // The other responses show what was written, whatever the reads show.
    let cells = [
        (Kind::Pipeline, None, Change::Grant("read_only")),
        (Kind::Suite, Some("read"), Change::Grant("edit")),
        (Kind::ClusterByTeam, Some("maintainer"), Change::Revoke("maintainer")),
        (Kind::ClusterByUser, Some("maintainer"), Change::Revoke("maintainer")),
    ];
    for (kind, held, change) in cells {
        world.hold(kind, held);
        let applied = world.applied();
        let refused = world.perform(kind, change).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned()),
            "{kind:?}"
        );
        assert_eq!(world.applied() - applied, 1, "{kind:?}");
    }
}
