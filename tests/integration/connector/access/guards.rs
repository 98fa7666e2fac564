//! What no approval changes: protected names, the token's own user, the last admin, and the access that the connector depends on.

use std::time::Duration;

use buildkite_connector::governance::model::ResourceTypeInfo;
use buildkite_connector::governance::provisioning::{MaintainerRevoke, Protected, ProtectedResource};
use buildkite_connector::providers::buildkite::resources::{PIPELINE, TEAM};
use buildkite_connector::sandbox::{
    ALL_SCOPES, Endpoint, Fault, FaultKind, Maintainer, Organization, OrganizationRole, PipelineLevel, SuiteLevel,
    TeamRole, TokenSpec,
};
use jiff::Timestamp;
use rstest::rstest;
use tonic::{Code, Status};
use uuid::Uuid;

use super::model::{Answer, Change, Kind, writing_cells};
use super::{World, reason, setup};
use crate::support::{Setup, sandbox, sized};

fn is_protected(refused: &Status, named: &str) {
    assert_eq!(reason(refused), (Code::FailedPrecondition, "PROTECTED".to_owned()));
    assert!(refused.message().contains(named), "{refused}");
}

fn protecting(resource_type: &'static ResourceTypeInfo, slug: &str) -> Setup {
    let mut setup = setup();
    setup.access.protected.resources = vec![ProtectedResource {
        resource_type,
        slug: slug.to_owned(),
    }];
    setup
}

fn protecting_user(email: &str) -> Setup {
    let mut setup = setup();
    setup.access.protected = Protected {
        users: vec![email.to_owned()],
        ..Protected::default()
    };
    setup
}

#[rstest]
#[case::a_pipeline(protecting(&PIPELINE, "deploy"), "--protect-pipeline", &[Kind::Pipeline])]
#[case::a_team(protecting(&TEAM, "team-0"), "--protect-team", &[Kind::Pipeline, Kind::Suite, Kind::ClusterByTeam])]
#[case::a_user(protecting_user("person-1@sized.example"), "--protect-user", &[Kind::ClusterByUser, Kind::Organization])]
#[tokio::test]
async fn no_write_touches_what_is_protected(#[case] setup: Setup, #[case] setting: &str, #[case] protected: &[Kind]) {
    let world = World::with(setup).await;
    for kind in Kind::ALL {
        for (change, held) in writing_cells(kind) {
            world.hold(kind, held);
            let said = world.perform(kind, change).await;
            if protected.contains(&kind) {
                is_protected(&said.unwrap_err(), setting);
                assert_eq!(world.held(kind), held, "{kind:?} {change:?}");
            } else {
                assert_eq!(said.unwrap(), change.step(kind, held).unwrap().1, "{kind:?} {change:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_protected_pipeline_that_does_not_exist_stops_every_change() {
    let world = World::with(protecting(&PIPELINE, "typo")).await;
    for kind in Kind::ALL {
        let (change, held) = writing_cells(kind)[0];
        world.hold(kind, held);
        let refused = world.perform(kind, change).await.unwrap_err();
        is_protected(&refused, "--protect-pipeline names `typo`, which matches no pipeline");
    }
}

#[tokio::test]
async fn the_choice_for_maintainers_of_teams_is_about_teams_alone() {
    let mut demoting = setup();
    demoting.access.maintainer_revoke = MaintainerRevoke::Demote;
    let world = World::with(demoting).await;
    for (kind, level) in [
        (Kind::Pipeline, "manage_build_and_read"),
        (Kind::Suite, "edit"),
        (Kind::ClusterByUser, "maintainer"),
    ] {
        world.hold(kind, Some(level));
        assert_eq!(world.perform(kind, Change::Revoke(level)).await.unwrap(), Answer::Done);
        assert_eq!(world.held(kind), None, "{kind:?}");
    }
}

/// A token that `user` owns.
async fn owned_by(user: usize, role: OrganizationRole) -> (World, Uuid) {
    owned_with(user, role, setup()).await
}

async fn owned_with(user: usize, role: OrganizationRole, setup: Setup) -> (World, Uuid) {
    let sandbox = sandbox(sized(4, 0, 8)).await;
    let owner = sandbox.with_organization(|organization| organization.people()[user].id);
    sandbox.edit(|organization| organization.set_role(owner, role));
    let token = sandbox.mint(TokenSpec::owned_by(owner).with_scopes(&ALL_SCOPES));
    (World::on(sandbox, &token, setup).await, owner)
}

#[tokio::test]
async fn the_role_of_the_tokens_own_user_is_never_changed() {
    let (world, _) = owned_by(1, OrganizationRole::Admin).await;
    for change in [Change::Revoke("admin"), Change::Grant("member")] {
        is_protected(
            &world.perform(Kind::Organization, change).await.unwrap_err(),
            "owns the connector's token",
        );
    }
    assert_eq!(world.held(Kind::Organization), Some("admin"));
    assert_eq!(world.count(Endpoint::ChangeOrganizationMember), 0);
}

#[tokio::test]
async fn the_last_admin_stays_one_by_a_list_that_is_read_before_the_change() {
    let (world, _) = owned_by(2, OrganizationRole::Member).await;
    let first = world
        .sandbox
        .with_organization(|organization| organization.people()[0].id);
    world.hold(Kind::Organization, Some("admin"));
    // The list is read once, for the sync. Afterwards the other admin steps down.
    world.platform.resources("user").await.unwrap();
    world
        .sandbox
        .edit(|organization| organization.set_role(first, OrganizationRole::Member));
    for change in [Change::Revoke("admin"), Change::Grant("member")] {
        is_protected(
            &world.perform(Kind::Organization, change).await.unwrap_err(),
            "is the last admin",
        );
    }
    assert_eq!(world.held(Kind::Organization), Some("admin"));
    assert_eq!(world.count(Endpoint::ChangeOrganizationMember), 0);
}

#[tokio::test]
async fn an_owner_without_the_admin_role_keeps_a_pipeline_and_a_suite_that_only_the_changed_team_manages() {
    let (world, owner) = owned_by(2, OrganizationRole::Member).await;
    let now = Timestamp::now();
    world.sandbox.edit(|organization| {
        organization.set_membership(world.team, owner, TeamRole::Member);
        organization.set_membership(world.other_team, owner, TeamRole::Member);
    });
    for (kind, manage, lower) in [
        (Kind::Pipeline, "manage_build_and_read", "read_only"),
        (Kind::Suite, "edit", "read"),
    ] {
        world.hold(kind, Some(manage));
        for change in [Change::Revoke(manage), Change::Grant(lower)] {
            is_protected(
                &world.perform(kind, change).await.unwrap_err(),
                "would lock the connector out of",
            );
            assert_eq!(world.held(kind), Some(manage));
        }
        // With another team of the owner that manages it, the change is made.
        world.sandbox.edit(|organization| {
            let other = organization.team_mut(world.other_team).unwrap();
            other.set_pipeline(world.pipeline, PipelineLevel::ManageBuildAndRead, now);
            other.set_suite(world.suite, SuiteLevel::Edit, now);
        });
        assert_eq!(world.perform(kind, Change::Revoke(manage)).await.unwrap(), Answer::Done);
        world.sandbox.edit(|organization| {
            let other = organization.team_mut(world.other_team).unwrap();
            other.remove_suite(world.suite);
        });
    }
}

#[tokio::test]
async fn an_owner_without_the_admin_role_keeps_a_cluster_that_they_maintain_by_this_row_alone() {
    let (world, owner) = owned_by(2, OrganizationRole::Member).await;
    let maintain = |maintainer| {
        world.sandbox.edit(|organization| {
            let cluster = organization.cluster_mut(world.cluster).unwrap();
            cluster.add_maintainer(Uuid::new_v4(), maintainer, Timestamp::now());
        });
    };
    world
        .sandbox
        .edit(|organization| organization.set_membership(world.team, owner, TeamRole::Member));
    maintain(Maintainer::Team(world.team));
    let revoke = Change::Revoke("maintainer");
    is_protected(
        &world.perform(Kind::ClusterByTeam, revoke).await.unwrap_err(),
        "would lock the connector out of",
    );
    assert_eq!(world.held(Kind::ClusterByTeam), Some("maintainer"));
    maintain(Maintainer::User(owner));
    assert_eq!(world.perform(Kind::ClusterByTeam, revoke).await.unwrap(), Answer::Done);
}

#[tokio::test]
async fn an_owner_with_the_admin_role_may_take_any_access() {
    let world = World::new().await;
    let owner = world.sandbox.owner();
    world
        .sandbox
        .edit(|organization| organization.set_membership(world.team, owner, TeamRole::Member));
    for (kind, level) in [
        (Kind::Pipeline, "manage_build_and_read"),
        (Kind::Suite, "edit"),
        (Kind::ClusterByTeam, "maintainer"),
    ] {
        world.hold(kind, Some(level));
        assert_eq!(world.perform(kind, Change::Revoke(level)).await.unwrap(), Answer::Done);
    }
}

#[rstest]
#[case::a_pipeline(Kind::Pipeline, "manage_build_and_read", Endpoint::RemoveTeamPipeline)]
#[case::a_suite(Kind::Suite, "edit", Endpoint::RemoveTeamSuite)]
#[case::a_cluster(Kind::ClusterByTeam, "maintainer", Endpoint::RemoveClusterMaintainer)]
#[tokio::test]
async fn of_two_revokes_at_once_the_second_is_decided_by_what_the_first_left(
    #[case] kind: Kind,
    #[case] level: &'static str,
    #[case] removal: Endpoint,
) {
    let (mut world, owner) = owned_by(2, OrganizationRole::Member).await;
    let teams = [world.team, world.other_team];
    for team in teams {
        world.team = team;
        world.hold(kind, Some(level));
        let join = move |organization: &mut Organization| organization.set_membership(team, owner, TeamRole::Member);
        assert!(world.sandbox.edit(join));
    }
    // A removal takes longer than what the other request reads.
    let slow = FaultKind::Delay(Duration::from_millis(300));
    world.sandbox.faults().add(Fault::new(removal, slow));
    let [first, second] = teams.map(|team| team.to_string());
    let refused = match tokio::join!(world.revoke(kind, level, &first), world.revoke(kind, level, &second)) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        other => panic!("{other:?}"),
    };
    is_protected(&refused, "would lock the connector out of");
    assert_eq!(world.applied(), 1);
}

#[rstest]
#[case::a_pipeline(Kind::Pipeline, None, &[Change::Grant("read_only"), Change::Grant("manage_build_and_read")])]
#[case::a_level_of_a_pipeline(Kind::Pipeline, Some("read_only"), &[
    Change::Grant("build_and_read"),
    Change::Revoke("read_only"),
])]
#[case::a_suite(Kind::Suite, None, &[Change::Grant("read"), Change::Grant("edit")])]
#[case::a_cluster(Kind::ClusterByTeam, None, &[Change::Grant("maintainer")])]
#[case::a_cluster_by_user(Kind::ClusterByUser, None, &[Change::Grant("maintainer")])]
#[tokio::test]
async fn an_owner_without_the_admin_role_changes_no_access_that_they_could_not_change_back(
    #[case] kind: Kind,
    #[case] held: Option<&'static str>,
    #[case] changes: &[Change],
) {
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("audit.jsonl");
    let mut setup = setup();
    setup.access.audit_file = Some(record.clone());
    let (world, owner) = owned_with(2, OrganizationRole::Member, setup).await;
    if held.is_some() {
        // The owner sees what a team of theirs holds.
        let join = |organization: &mut Organization| organization.set_membership(world.team, owner, TeamRole::Member);
        assert!(world.sandbox.edit(join));
    }
    world.hold(kind, held);
    for change in changes {
        is_protected(
            &world.perform(kind, *change).await.unwrap_err(),
            "would lock the connector out of",
        );
        assert_eq!(world.held(kind), held);
    }
    assert_eq!(world.applied(), 0);
    let record = std::fs::read_to_string(record).unwrap();
    assert_eq!(record.lines().count(), changes.len());
    assert!(!record.contains("\"record\":\"intent\""), "{record}");
}

#[rstest]
#[case::a_pipeline(Kind::Pipeline, "read_only", "manage_build_and_read")]
#[case::a_suite(Kind::Suite, "read", "edit")]
#[case::a_cluster(Kind::ClusterByUser, "maintainer", "maintainer")]
#[tokio::test]
async fn an_owner_whose_other_team_manages_the_resource_may_grant_any_level_of_it(
    #[case] kind: Kind,
    #[case] level: &'static str,
    #[case] managing: &'static str,
) {
    let (mut world, owner) = owned_by(2, OrganizationRole::Member).await;
    let own = world.team;
    world
        .sandbox
        .edit(|organization| organization.set_membership(own, owner, TeamRole::Member));
    let own_kind = if kind == Kind::ClusterByUser {
        Kind::ClusterByTeam
    } else {
        kind
    };
    world.hold(own_kind, Some(managing));
    world.team = world.other_team;
    assert_eq!(world.perform(kind, Change::Grant(level)).await.unwrap(), Answer::Done);
}
