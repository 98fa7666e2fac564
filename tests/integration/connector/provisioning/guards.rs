//! What no approval changes.

use buildkite_connector::governance::provisioning::{MaintainerRevoke, Protected, ProtectedResource};
use buildkite_connector::providers::buildkite::resources::TEAM;
use buildkite_connector::sandbox::{Endpoint, MemberRoleField, OrganizationRole, TeamRole, TokenSpec};
use rstest::rstest;
use tonic::{Code, Status};

use super::model::{Answer, Change, HELD, Pair, Role};
use super::{World, error_infos, reason, setup};
use crate::support::{Setup, sandbox, sized};

fn protecting(teams: &[&str], users: &[&str]) -> Setup {
    let team = |slug: &&str| ProtectedResource {
        resource_type: &TEAM,
        slug: (*slug).to_owned(),
    };
    let mut setup = setup();
    setup.access.protected = Protected {
        resources: teams.iter().map(team).collect(),
        users: users.iter().map(|&name| name.to_owned()).collect(),
    };
    setup
}

fn is_intended_decline(refused: &Status, named: &str) {
    assert_eq!(reason(refused), (Code::FailedPrecondition, "PROTECTED".to_owned()));
    let infos = error_infos(refused);
    let decline = infos.get(1).expect("the second detail");
    assert_eq!(
        (decline.reason.as_str(), decline.domain.as_str()),
        ("grant_cancelled", "github.com/conductorone/baton-sdk")
    );
    assert!(
        refused.message().contains(named) && decline.metadata["reason"].contains(named),
        "{refused}"
    );
}

#[rstest]
#[case::team(protecting(&["team-0"], &[]), "team-0")]
#[case::user(protecting(&[], &["Person-1@sized.example"]), "Person-1@sized.example")]
#[tokio::test]
async fn no_write_touches_a_protected_membership_and_the_current_state_is_still_reported(
    #[case] setup: Setup,
    #[case] named: &str,
) {
    let world = World::with(setup).await;
    for change in Change::ALL {
        for held in HELD {
            world.hold(world.pair(), held);
            let (after, answer) = change.step(held);
            match world.perform(world.pair(), change).await {
                Ok(said) => assert_eq!((said, after), (answer, held)),
                Err(refused) => {
                    assert_ne!(after, held);
                    is_intended_decline(&refused, named);
                }
            }
            assert_eq!(world.held(world.pair()), held);
        }
    }
    let request_log = world.sandbox.request_log();
    assert_eq!(
        request_log.count(Endpoint::Teams) + request_log.count(Endpoint::OrganizationMembers),
        1
    );
    let other = Pair {
        team: world.teams[1],
        user: world.people[1],
    };
    assert_eq!(
        world.perform(other, Change::Grant(Role::Member)).await.unwrap(),
        Answer::Done
    );
}

#[rstest]
#[case(protecting(&["team-0", "typo"], &[]), "typo")]
#[case(protecting(&[], &["typo@example.com"]), "typo@example.com")]
#[tokio::test]
async fn a_name_that_leads_to_nothing_stops_every_write_rather_than_none(#[case] setup: Setup, #[case] named: &str) {
    let world = World::with(setup).await;
    let pair = Pair {
        team: world.teams[2],
        user: world.people[2],
    };
    let refused = world.perform(pair, Change::Grant(Role::Member)).await.unwrap_err();
    is_intended_decline(&refused, named);
    world.perform(pair, Change::Grant(Role::Member)).await.unwrap_err();
    assert_eq!(
        world.sandbox.request_log().count(Endpoint::Teams)
            + world.sandbox.request_log().count(Endpoint::OrganizationMembers),
        1
    );
}

#[tokio::test]
async fn a_protected_team_stays_protected_when_it_is_renamed() {
    let world = World::with(protecting(&["team-0"], &[])).await;
    world
        .perform(world.pair(), Change::Grant(Role::Member))
        .await
        .unwrap_err();
    world
        .sandbox
        .edit(|organization| "renamed".clone_into(&mut organization.team_mut(world.teams[0]).unwrap().slug));
    let refused = world
        .perform(world.pair(), Change::Grant(Role::Member))
        .await
        .unwrap_err();
    is_intended_decline(&refused, "team-0");
}

#[tokio::test]
async fn a_revoked_maintainer_is_demoted_where_the_operator_chose_that() {
    let mut demoting = setup();
    demoting.access.maintainer_revoke = MaintainerRevoke::Demote;
    let world = World::with(demoting).await;
    world.hold(world.pair(), Some(Role::Maintainer));
    let revoke = Change::Revoke(Role::Maintainer);
    assert_eq!(world.perform(world.pair(), revoke).await.unwrap(), Answer::Done);
    assert_eq!(world.held(world.pair()), Some(Role::Member));
    assert_eq!(
        world.perform(world.pair(), revoke).await.unwrap(),
        Answer::AlreadyRevoked
    );
    assert_eq!(world.sandbox.request_log().count(Endpoint::RemoveTeamMember), 0);
}

/// A token whose owner governs one team as its maintainer.
async fn owned_by_a_maintainer(role: OrganizationRole) -> (World, Pair) {
    let sandbox = sandbox(sized(4, 0, 12)).await;
    let owner = sandbox.with_organization(|organization| organization.people()[1].id);
    let team = sandbox.with_organization(|organization| organization.teams()[0].id);
    sandbox.edit(|organization| {
        organization.set_role(owner, role);
        organization.set_membership(team, owner, TeamRole::Maintainer);
    });
    let token = sandbox.mint(TokenSpec::owned_by(owner));
    (World::on(sandbox, &token, setup()).await, Pair { team, user: owner })
}

#[rstest]
#[case::member(MemberRoleField::Present)]
#[case::unknown(MemberRoleField::Absent)]
#[tokio::test]
async fn the_tokens_owner_keeps_the_memberships_that_the_connector_depends_on(#[case] role: MemberRoleField) {
    let (world, owner) = owned_by_a_maintainer(OrganizationRole::Member).await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.member_role_field = role);
    for change in [Change::Revoke(Role::Maintainer), Change::Grant(Role::Member)] {
        let refused = world.perform(owner, change).await.unwrap_err();
        is_intended_decline(&refused, "person-1@sized.example");
    }
    assert_eq!(world.held(owner), Some(Role::Maintainer));
    let other = Pair {
        user: world.people[3],
        ..owner
    };
    world.hold(other, Some(Role::Maintainer));
    assert_eq!(
        world.perform(other, Change::Revoke(Role::Maintainer)).await.unwrap(),
        Answer::Done
    );
}

#[tokio::test]
async fn an_admin_who_owns_the_token_may_leave_any_team() {
    let (world, owner) = owned_by_a_maintainer(OrganizationRole::Admin).await;
    assert_eq!(
        world.perform(owner, Change::Revoke(Role::Maintainer)).await.unwrap(),
        Answer::Done
    );
}
