//! The decision table, cell by cell, under every behavior that Buildkite may have, and what each costs.

use buildkite_connector::governance::AllowedChanges;
use buildkite_connector::sandbox::{
    Behavior, Behaviors, DeleteAbsent, Echo, Endpoint, LastMaintainer, MemberRows, PatchAbsent, PostExisting,
    PostOutsider, WriteLag,
};
use rstest::rstest;
use tonic::Code;

use super::model::{Answer, Change, HELD, Role};
use super::{Setup, World, lagging, reason, setup};
use crate::support::unknown_entitlement;

async fn every_cell(world: &World) {
    for change in Change::ALL {
        for held in HELD {
            let pair = world.pair();
            world.hold(pair, held);
            let (after, answer) = change.step(held);
            let applied = world.applied();
            assert_eq!(
                world.perform(pair, change).await.unwrap(),
                answer,
                "{change:?} {held:?}"
            );
            assert_eq!(world.held(pair), after, "{change:?} {held:?}");
            assert_eq!(
                world.applied() - applied,
                usize::from(after != held),
                "{change:?} {held:?}"
            );
            assert_eq!(
                world.perform(pair, change).await.unwrap(),
                change.again(),
                "{change:?} {held:?} again"
            );
            assert_eq!(world.held(pair), after, "{change:?} {held:?} again");
        }
    }
}

fn all<H: Behavior>() -> Vec<H> {
    H::NAMES.iter().filter_map(|name| name.parse().ok()).collect()
}

#[rstest]
#[case::post_existing(all::<PostExisting>().into_iter().map(|post_existing| Behaviors { post_existing, ..Behaviors::default() }).collect())]
#[case::delete_absent(all::<DeleteAbsent>().into_iter().map(|delete_absent| Behaviors { delete_absent, ..Behaviors::default() }).collect())]
#[case::patch_absent(all::<PatchAbsent>().into_iter().map(|patch_absent| Behaviors { patch_absent, ..Behaviors::default() }).collect())]
#[case::echo(all::<Echo>().into_iter().map(|echo| Behaviors { echo, ..Behaviors::default() }).collect())]
#[tokio::test]
async fn every_cell_is_as_the_table_has_it(#[case] behaviors: Vec<Behaviors>) {
    let world = World::new().await;
    for behaviors in behaviors {
        world.sandbox.change_behaviors(|now| *now = behaviors);
        every_cell(&world).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_write_that_shows_late_is_waited_for_and_made_once(
    #[values(Echo::Full, Echo::Empty, Echo::WithoutRole, Echo::Lagging)] echo: Echo,
) {
    let world = World::with(lagging()).await;
    world.sandbox.change_behaviors(|behaviors| {
        behaviors.write_lag = WriteLag::Reads(3);
        behaviors.echo = echo;
    });
    let pair = world.pair();
    // No concurrent edits here: the lag would hide the connector's writes and show the edits.
    let mut held = None;
    for change in [
        Change::Grant(Role::Member),
        Change::Grant(Role::Maintainer),
        Change::Revoke(Role::Member),
        Change::Revoke(Role::Maintainer),
        Change::Grant(Role::Maintainer),
        Change::Grant(Role::Member),
        Change::Revoke(Role::Maintainer),
        Change::Revoke(Role::Member),
    ] {
        let applied = world.applied();
        let (after, answer) = change.step(held);
        assert_eq!(
            world.perform(pair, change).await.unwrap(),
            answer,
            "{change:?} {held:?}"
        );
        assert_eq!(world.held(pair), after, "{change:?} {held:?}");
        assert_eq!(world.applied() - applied, usize::from(after != held));
        held = after;
    }
}

#[rstest]
#[case::grant(Change::Grant(Role::Member), None, 2)]
#[case::grant_again(Change::Grant(Role::Member), Some(Role::Member), 1)]
#[case::role_change(Change::Grant(Role::Maintainer), Some(Role::Member), 2)]
#[case::revoke(Change::Revoke(Role::Member), Some(Role::Member), 3)]
#[case::stale_revoke(Change::Revoke(Role::Member), Some(Role::Maintainer), 1)]
#[case::revoke_of_an_unknown_user(Change::Revoke(Role::Member), None, 2)]
#[tokio::test]
async fn each_call_sends_the_required_number_of_requests(
    #[case] change: Change,
    #[case] held: Option<Role>,
    #[case] requests: u64,
) {
    let world = World::new().await;
    world.hold(world.pair(), held);
    world.perform(world.pair(), change).await.unwrap();
    assert_eq!(world.total(), requests);
}

#[tokio::test]
async fn a_stale_member_revoke_never_ejects_a_maintainer() {
    let world = World::new().await;
    world.hold(world.pair(), Some(Role::Maintainer));
    let answer = world.perform(world.pair(), Change::Revoke(Role::Member)).await.unwrap();
    assert_eq!((answer, world.applied()), (Answer::AlreadyRevoked, 0));
}

#[rstest]
#[tokio::test]
async fn a_user_outside_the_organization_must_be_invited_first_and_holds_no_grant(
    #[values(PostOutsider::NotFound, PostOutsider::Unprocessable, PostOutsider::Forbidden)] behavior: PostOutsider,
) {
    let world = World::new().await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.post_outsider = behavior);
    let pair = world.pair();
    world
        .sandbox
        .edit(|organization| organization.remove_person(pair.user, MemberRows::Dropped));
    for role in Role::ALL {
        let refused = world.perform(pair, Change::Grant(role)).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::FailedPrecondition, "USER_NOT_IN_ORGANIZATION".to_owned())
        );
        assert!(refused.message().contains("invite"), "{refused}");
        assert_eq!(
            world.perform(pair, Change::Revoke(role)).await.unwrap(),
            Answer::AlreadyRevoked
        );
    }
    let request_log = world.sandbox.request_log();
    assert_eq!((request_log.count(Endpoint::AddTeamMember), world.applied()), (2, 0));
}

#[rstest]
#[case(Change::Grant(Role::Member), Some(Role::Maintainer))]
#[case(Change::Revoke(Role::Maintainer), Some(Role::Maintainer))]
#[tokio::test]
async fn a_refusal_that_reading_does_not_explain_stands_in_buildkites_words(
    #[case] change: Change,
    #[case] held: Option<Role>,
) {
    let world = World::new().await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.last_maintainer = LastMaintainer::Refused);
    world.hold(world.pair(), held);
    let refused = world.perform(world.pair(), change).await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "REJECTED_BY_BUILDKITE".to_owned())
    );
    assert!(refused.message().contains("at least one maintainer"), "{refused}");
    let writes = world.sandbox.request_log().count(Endpoint::ChangeTeamMember)
        + world.sandbox.request_log().count(Endpoint::RemoveTeamMember);
    assert_eq!((writes, world.held(world.pair())), (1, held));
}

#[tokio::test]
async fn a_deleted_team_is_not_found_for_a_grant_and_already_revoked_for_a_revoke() {
    let world = World::new().await;
    let pair = world.pair();
    world.sandbox.edit(|organization| organization.remove_team(pair.team));
    let refused = world.perform(pair, Change::Grant(Role::Member)).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::NotFound, "TEAM_NOT_FOUND".to_owned()));
    let answer = world.perform(pair, Change::Revoke(Role::Member)).await.unwrap();
    assert_eq!(answer, Answer::AlreadyRevoked);
}

#[tokio::test]
async fn while_provisioning_is_off_no_request_is_sent_and_the_remedy_is_given() {
    let mut off: Setup = setup();
    off.access.allowed = AllowedChanges::none();
    let world = World::with(off).await;
    for change in Change::ALL {
        let refused = world.perform(world.pair(), change).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::FailedPrecondition, "PROVISIONING_DISABLED".to_owned())
        );
        assert!(refused.message().contains("--provisioning"));
    }
    assert_eq!(world.total(), 0);
}

#[rstest]
#[case("team", None)]
#[case("user", Some("pipeline:x:member"))]
#[tokio::test]
async fn other_types_are_invalid(#[case] kind: &str, #[case] entitlement: Option<&str>) {
    let world = World::new().await;
    let pair = world.pair();
    let id = entitlement.map_or_else(|| format!("team:{}:member", pair.team), str::to_owned);
    let refused = world
        .platform
        .grant_exactly(unknown_entitlement(&id), kind, &pair.user.to_string())
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "INVALID_REQUEST".to_owned()));
    assert_eq!(world.total(), 0);
}
