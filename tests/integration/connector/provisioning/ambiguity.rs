//! Replies that were lost, writes that were applied and denied, reads that lie: every cell ends as the model has it, with the
//! change made once and never claimed unseen.

use std::time::Duration;

use buildkite_connector::sandbox::{
    BodyStyle, Bucket, Edit, Endpoint, Fault, FaultKind, RateLimitStyle, TokenSpec, WriteLag,
};
use http::StatusCode;
use rstest::rstest;
use serde_json::json;
use tonic::Code;

use super::model::{Answer, Change, HELD, Role};
use super::{WRITES, World, lagging, limited, reason, set, setup};
use crate::support::sized;

fn short_timeouts() -> crate::support::Setup {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_secs(2);
    setup
}

/// Faults after which a write may or may not have been applied.
#[rstest]
#[case::reset_before(FaultKind::ResetBefore)]
#[case::reset_after(FaultKind::ResetAfter)]
#[case::applied_then_500(FaultKind::AppliedThenStatus(StatusCode::INTERNAL_SERVER_ERROR))]
#[case::applied_then_422(FaultKind::AppliedThenStatus(StatusCode::UNPROCESSABLE_ENTITY))]
#[case::applied_then_404(FaultKind::AppliedThenStatus(StatusCode::NOT_FOUND))]
#[case::bad_gateway(FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html))]
#[case::truncated(FaultKind::Truncated)]
#[case::empty(FaultKind::EmptyBody)]
#[case::null(FaultKind::NullBody)]
#[case::other_shape(FaultKind::WrongShape(json!([])))]
#[case::accepted(FaultKind::AnsweredAs(StatusCode::ACCEPTED))]
#[case::partial(FaultKind::AnsweredAs(StatusCode::PARTIAL_CONTENT))]
#[case::declared_as_html(FaultKind::ContentType(Some("text/html".to_owned())))]
#[case::cut_in_another_shape(FaultKind::Text("{\"role\": \"mai".to_owned()))]
#[case::hang(FaultKind::Hang)]
#[tokio::test]
async fn a_lost_reply_ends_as_if_it_had_come(#[case] kind: FaultKind) {
    let world = World::with(short_timeouts()).await;
    for change in Change::ALL {
        for held in HELD {
            let (after, answer) = change.step(held);
            if after == held {
                continue;
            }
            let pair = world.pair();
            world.hold(pair, held);
            world.sandbox.faults().clear();
            for write in WRITES {
                world.sandbox.faults().add(Fault::new(write, kind.clone()).once());
            }
            let applied = world.applied();
            let said = world.perform(pair, change).await;
            // A rejected write after which the role is as wanted: another client may have made the change.
            let refused = matches!(&kind, FaultKind::AppliedThenStatus(status) if status.is_client_error());
            if !(refused && said.as_ref().is_ok_and(|said| *said == change.again())) {
                assert_eq!(said.unwrap(), answer, "{change:?} {held:?}");
            }
            assert_eq!(world.held(pair), after, "{change:?} {held:?}");
            assert_eq!(world.applied() - applied, 1, "{change:?} {held:?}");
        }
    }
}

/// Accepted and never done: nothing is claimed that no read shows.
#[rstest]
#[case::accepted(FaultKind::Status(StatusCode::ACCEPTED, BodyStyle::Message))]
#[case::html(FaultKind::Html200)]
#[tokio::test]
async fn an_accepted_write_that_no_read_shows_is_not_claimed(#[case] kind: FaultKind) {
    let world = World::with(short_timeouts()).await;
    for change in Change::ALL {
        for held in HELD.into_iter().filter(|held| change.step(*held).0 != *held) {
            let pair = world.pair();
            world.hold(pair, held);
            world.sandbox.faults().clear();
            for write in WRITES {
                world.sandbox.faults().add(Fault::new(write, kind.clone()));
            }
            let (code, reason) = reason(&world.perform(pair, change).await.unwrap_err());
            assert_eq!(
                (code, reason.as_str()),
                (Code::Unavailable, "BUILDKITE_UNAVAILABLE"),
                "{change:?} {held:?}"
            );
            assert_eq!(world.held(pair), held, "{change:?} {held:?}");
        }
    }
}

#[rstest]
#[case(
    Endpoint::TeamMember,
    FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Empty)
)]
#[case(Endpoint::TeamMember, FaultKind::ResetBefore)]
#[case(Endpoint::TeamMember, FaultKind::Truncated)]
#[case(Endpoint::TeamMember, FaultKind::Text("[1,".to_owned()))]
#[case(
    Endpoint::TeamMember,
    FaultKind::ContentType(Some("text/plain".to_owned()))
)]
#[case(Endpoint::TeamMember, FaultKind::Html200)]
#[case(Endpoint::TeamMember, FaultKind::Hang)]
#[case(Endpoint::Team, FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Empty))]
#[tokio::test]
async fn trouble_of_a_read_that_passes_is_ridden_out(#[case] endpoint: Endpoint, #[case] kind: FaultKind) {
    let world = World::with(short_timeouts()).await;
    let pair = world.pair();
    for change in [
        Change::Grant(Role::Member),
        Change::Revoke(Role::Maintainer),
        Change::Revoke(Role::Member),
    ] {
        let held = world.held(pair);
        world.sandbox.faults().add(Fault::new(endpoint, kind.clone()).once());
        assert_eq!(world.perform(pair, change).await.unwrap(), change.step(held).1);
    }
    assert_eq!(world.applied(), 2);
}

#[tokio::test]
async fn a_429_is_waited_out_and_the_write_made_once() {
    let sandbox = limited().await;
    let token = sandbox.token().clone();
    let world = World::on(sandbox, &token, setup()).await;
    let kind = FaultKind::RateLimited(Bucket::Organization, RateLimitStyle::Documented);
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, kind).once());
    let answer = world.perform(world.pair(), Change::Grant(Role::Member)).await.unwrap();
    assert_eq!((answer, world.applied()), (Answer::Done, 1));
}

/// Another client is quicker: the pair changes between the connector's read and its write.
#[rstest]
#[tokio::test]
async fn a_concurrent_change_is_seen(
    #[values("422", "409", "200-unchanged", "201-upsert")] post_existing: &str,
    #[values("404", "204", "422")] delete_absent: &str,
) {
    let world = World::new().await;
    world.sandbox.change_behaviors(|behaviors| {
        behaviors.post_existing = post_existing.parse().unwrap();
        behaviors.delete_absent = delete_absent.parse().unwrap();
    });
    let pair = world.pair();
    for change in Change::ALL {
        for (before, meanwhile) in HELD
            .into_iter()
            .flat_map(|before| HELD.map(|meanwhile| (before, meanwhile)))
        {
            if change.step(before).0 == before || before == meanwhile {
                continue;
            }
            world.hold(pair, before);
            world.sandbox.faults().clear();
            for write in WRITES {
                let edit = Edit::with(move |organization| set(organization, pair, meanwhile));
                world
                    .sandbox
                    .faults()
                    .add(Fault::new(write, FaultKind::MoveRows(edit)).once());
            }
            let case = format!("{change:?} {before:?} {meanwhile:?}");
            let answer = world.perform(pair, change).await.expect(&case);
            let (after, said) = change.step(meanwhile);
            // Where the write cannot show the difference, the response states the intended change: an upsert, and a DELETE,
            // which has no precondition and removes a role that another client has just given.
            match (change, before, meanwhile) {
                (Change::Revoke(_), ..) => assert_eq!(world.held(pair), None, "{case}"),
                (Change::Grant(_), None, Some(_)) if post_existing == "201-upsert" => {
                    assert_eq!(world.held(pair), after, "{case}");
                }
                (Change::Grant(role), None, Some(held)) if held == role && post_existing == "200-unchanged" => {
                    assert_eq!(world.held(pair), after, "{case}");
                }
                (Change::Grant(role), Some(_), Some(held)) if held == role => {
                    assert_eq!(world.held(pair), after, "{case}");
                }
                _ => assert_eq!((answer, world.held(pair)), (said, after), "{case}"),
            }
        }
    }
}

#[tokio::test]
async fn a_403_is_never_sent_again_and_names_the_scope() {
    let sandbox = crate::support::sandbox(sized(4, 0, 12)).await;
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_scopes(&[
        "read_user",
        "read_organizations",
        "read_teams",
    ]));
    let world = World::on(sandbox, &token, setup()).await;
    for (change, held) in [
        (Change::Grant(Role::Member), None),
        (Change::Grant(Role::Maintainer), Some(Role::Member)),
        (Change::Revoke(Role::Member), Some(Role::Member)),
    ] {
        world.hold(world.pair(), held);
        let refused = world.perform(world.pair(), change).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::PermissionDenied, "MISSING_SCOPE".to_owned()));
    }
    for write in WRITES {
        assert_eq!(world.sandbox.request_log().count(write), 1);
    }
}

#[tokio::test]
async fn a_404_that_may_mean_hidden_does_not_prove_absence() {
    let world = World::new().await;
    let pair = world.pair();
    let not_found = FaultKind::Status(StatusCode::NOT_FOUND, BodyStyle::Message);
    for endpoint in [Endpoint::TeamMember, Endpoint::Team] {
        world.sandbox.faults().add(Fault::new(endpoint, not_found.clone()));
    }
    world.hold(pair, Some(Role::Member));
    let refused = world.perform(pair, Change::Revoke(Role::Member)).await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "TEAM_UNREACHABLE".to_owned())
    );
    assert_eq!(world.held(pair), Some(Role::Member));
}

#[tokio::test]
async fn a_write_that_is_never_shown_is_never_claimed() {
    let world = World::new().await;
    world.sandbox.change_behaviors(|behaviors| {
        behaviors.write_lag = WriteLag::For(Duration::from_secs(60));
        behaviors.echo = "empty".parse().unwrap();
    });
    let refused = world
        .perform(world.pair(), Change::Grant(Role::Member))
        .await
        .unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
    assert_eq!(world.applied(), 1);
}

#[tokio::test]
async fn a_lost_write_that_becomes_visible_late_is_attributed_to_the_connector_and_made_once() {
    for fault in [
        FaultKind::ResetAfter,
        FaultKind::AppliedThenStatus(StatusCode::BAD_GATEWAY),
    ] {
        for lag in [1, 3, 6, 8] {
            let world = World::with(lagging()).await;
            world
                .sandbox
                .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(lag));
            for write in WRITES {
                world.sandbox.faults().add(Fault::new(write, fault.clone()).once());
            }
            let pair = world.pair();
            assert_eq!(
                world.perform(pair, Change::Grant(Role::Member)).await.unwrap(),
                Answer::Done,
                "{lag}"
            );
            assert_eq!(
                world.perform(pair, Change::Grant(Role::Maintainer)).await.unwrap(),
                Answer::Replaced,
                "{lag}"
            );
            assert_eq!(
                world.perform(pair, Change::Revoke(Role::Maintainer)).await.unwrap(),
                Answer::Done,
                "{lag}"
            );
            assert_eq!((world.applied(), world.held(pair)), (3, None), "{lag}");
        }
    }
}

#[tokio::test]
async fn a_reader_never_sees_a_person_absent_during_a_role_change() {
    let world = World::new().await;
    let pair = world.pair();
    world.hold(pair, Some(Role::Member));
    let changing = async {
        for role in [Role::Maintainer, Role::Member].into_iter().cycle().take(20) {
            assert_eq!(
                world.perform(pair, Change::Grant(role)).await.unwrap(),
                Answer::Replaced
            );
        }
    };
    let polling = async {
        loop {
            assert!(world.held(pair).is_some());
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { () = changing => {}, () = polling => {} }
    let request_log = world.sandbox.request_log();
    assert_eq!(
        request_log.count(Endpoint::RemoveTeamMember) + request_log.count(Endpoint::AddTeamMember),
        0
    );
}
