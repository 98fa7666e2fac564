//! Requests that are refused, and what is absent: each error says what to do, and nothing is written.

use buildkite_connector::governance::{AllowedChanges, Change as Allowed};
use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{
    BodyStyle, Endpoint, Fault, FaultKind, MemberRows, Registry, TEAM_SCOPES, TokenSpec,
};
use http::StatusCode;
use rstest::rstest;
use tonic::Code;

use super::model::{Answer, Change, Kind, writing_cells};
use super::{World, reason, setup};
use crate::support::{sandbox, sized, unknown_entitlement};

#[rstest]
#[case::access(Allowed::Access, &[Kind::Organization], "organization-roles is not allowed: add it to --allow")]
#[case::roles(Allowed::OrganizationRoles, &[Kind::Pipeline, Kind::Suite, Kind::ClusterByTeam, Kind::ClusterByUser], "access is not allowed: add it to --allow")]
#[tokio::test]
async fn a_change_that_is_not_allowed_names_its_setting_and_sends_nothing(
    #[case] allowed: Allowed,
    #[case] refused: &[Kind],
    #[case] setting: &str,
) {
    let mut setup = setup();
    setup.access.allowed = AllowedChanges::from_iter([allowed]);
    let world = World::with(setup).await;
    for kind in refused {
        for change in kind.changes() {
            let refused = world.perform(*kind, change).await.unwrap_err();
            assert_eq!(
                reason(&refused),
                (Code::FailedPrecondition, "PROVISIONING_DISABLED".to_owned())
            );
            assert!(refused.message().contains(setting), "{refused}");
        }
    }
    assert_eq!(world.sandbox.request_log().total(), 0);
}

#[rstest]
#[case(Kind::Pipeline, "user", "access to a pipeline is carried by teams")]
#[case(Kind::Suite, "user", "access to a suite is carried by teams")]
#[case(Kind::Organization, "team", "only a `user` can hold a role in the organization")]
#[case(Kind::ClusterByTeam, "pipeline", "only a `team` or a `user` can maintain a cluster")]
#[tokio::test]
async fn a_principal_that_cannot_hold_the_level_is_refused_with_the_rule(
    #[case] kind: Kind,
    #[case] principal_type: &str,
    #[case] rule: &str,
) {
    let world = World::new().await;
    let entitlement = world.entitlement(kind, kind.levels()[0]);
    let refused = world
        .platform
        .grant_exactly(entitlement, principal_type, &world.user.to_string())
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "INVALID_REQUEST".to_owned()));
    assert!(refused.message().contains(rule), "{refused}");
    assert_eq!(world.sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn access_to_a_registry_is_changed_by_no_setting() {
    let mut setup = setup();
    setup.include.push(IncludedType::Registry);
    let world = World::with(setup).await;
    let team = world.team;
    let registry = world.sandbox.edit(|organization| {
        organization.add_registry(Registry {
            teams: vec![team],
            ..Registry::new("images", "Images", "docker")
        })
    });
    let entitlement = || unknown_entitlement(&format!("registry:{registry}:access"));
    let team = team.to_string();
    let granted = world.platform.grant_exactly(entitlement(), "team", &team).await.err();
    let revoked = world.platform.revoke_exactly(entitlement(), "team", &team).await.err();
    for refused in [granted.unwrap(), revoked.unwrap()] {
        assert_eq!(reason(&refused), (Code::Unimplemented, "NOT_OFFERED".to_owned()));
        assert!(
            refused.message().contains("no registry is granted or revoked"),
            "{refused}"
        );
    }
    assert_eq!(world.sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn an_outsider_gets_no_role_before_they_are_invited() {
    let world = World::new().await;
    world
        .sandbox
        .edit(|organization| organization.remove_person(world.user, MemberRows::Dropped));
    for level in Kind::Organization.levels() {
        let refused = world
            .perform(Kind::Organization, Change::Grant(level))
            .await
            .unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::FailedPrecondition, "USER_NOT_IN_ORGANIZATION".to_owned())
        );
        assert!(refused.message().contains("invite"), "{refused}");
        let answer = world.perform(Kind::Organization, Change::Revoke(level)).await.unwrap();
        assert_eq!(answer, Answer::AlreadyRevoked);
    }
    assert_eq!(world.count(Endpoint::ChangeOrganizationMember), 0);
    let refused = world
        .perform(Kind::ClusterByUser, Change::Grant("maintainer"))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused).1, "USER_NOT_IN_ORGANIZATION");
}

#[tokio::test]
async fn another_organization_is_not_this_one() {
    let world = World::new().await;
    let other = uuid::Uuid::new_v4();
    let entitlement = unknown_entitlement(&format!("organization:{other}:admin"));
    let refused = world
        .platform
        .grant_exactly(entitlement, "user", &world.user.to_string())
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    assert_eq!((world.held(Kind::Organization), world.applied()), (Some("member"), 0));
}

/// A team that is gone holds nothing, and gets nothing; the error is about the team.
#[tokio::test]
async fn a_deleted_team_is_not_found_for_a_grant_and_already_revoked_for_a_revoke() {
    let world = World::new().await;
    world.sandbox.edit(|organization| organization.remove_team(world.team));
    for kind in [Kind::Pipeline, Kind::Suite, Kind::ClusterByTeam] {
        let level = kind.levels()[0];
        let refused = world.perform(kind, Change::Grant(level)).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::NotFound, "TEAM_NOT_FOUND".to_owned()),
            "{kind:?}"
        );
        assert!(refused.message().contains(&world.team.to_string()), "{refused}");
        let answer = world.perform(kind, Change::Revoke(level)).await.unwrap();
        assert_eq!(answer, Answer::AlreadyRevoked, "{kind:?}");
    }
    assert_eq!(world.applied(), 0);
}

#[tokio::test]
async fn a_deleted_object_is_not_found_for_a_grant_and_already_revoked_for_a_revoke() {
    let world = World::new().await;
    // Lists that still show the objects prove nothing.
    for resource_type in ["pipeline", "suite", "cluster"] {
        world.platform.resources(resource_type).await.unwrap();
    }
    world.sandbox.edit(|organization| {
        organization.remove_pipeline(world.pipeline);
        organization.remove_suite(world.suite);
        organization.remove_cluster(world.cluster);
    });
    for kind in [Kind::Pipeline, Kind::Suite, Kind::ClusterByTeam, Kind::ClusterByUser] {
        let level = kind.levels()[0];
        let refused = world.perform(kind, Change::Grant(level)).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()),
            "{kind:?}"
        );
        let answer = world.perform(kind, Change::Revoke(level)).await.unwrap();
        assert_eq!(answer, Answer::AlreadyRevoked, "{kind:?}");
    }
    assert_eq!(world.applied(), 0);
}

/// A path that answers 404 although the object is there may be hidden: nothing is claimed.
#[tokio::test]
async fn a_404_that_proves_nothing_is_no_success() {
    let world = World::new().await;
    let not_found = FaultKind::Status(StatusCode::NOT_FOUND, BodyStyle::Message);
    world.hold(Kind::Pipeline, Some("read_only"));
    for endpoint in [Endpoint::TeamPipeline, Endpoint::Team] {
        world.sandbox.faults().add(Fault::new(endpoint, not_found.clone()));
    }
    let refused = world
        .perform(Kind::Pipeline, Change::Revoke("read_only"))
        .await
        .unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "TEAM_UNREACHABLE".to_owned())
    );
    world.hold(Kind::ClusterByUser, Some("maintainer"));
    world.sandbox.faults().clear();
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::ClusterMaintainers, not_found));
    let refused = world
        .perform(Kind::ClusterByUser, Change::Revoke("maintainer"))
        .await
        .unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "RESOURCE_UNREACHABLE".to_owned())
    );
    assert_eq!(world.held(Kind::ClusterByUser), Some("maintainer"));
}

#[tokio::test]
async fn a_rejection_that_no_read_explains_stands_in_the_words_of_buildkite() {
    let world = World::new().await;
    for kind in Kind::ALL {
        for (change, held) in writing_cells(kind) {
            world.hold(kind, held);
            world.sandbox.faults().clear();
            for write in kind.writes() {
                let rejected = FaultKind::Status(StatusCode::UNPROCESSABLE_ENTITY, BodyStyle::Message);
                world.sandbox.faults().add(Fault::new(*write, rejected));
            }
            let refused = world.perform(kind, change).await.unwrap_err();
            assert_eq!(
                reason(&refused),
                (Code::FailedPrecondition, "REJECTED_BY_BUILDKITE".to_owned()),
                "{kind:?} {change:?}"
            );
            assert_eq!(world.held(kind), held, "{kind:?} {change:?}");
        }
    }
}

#[tokio::test]
async fn a_403_is_never_sent_again_and_names_the_scope() {
    let sandbox = sandbox(sized(4, 0, 8)).await;
    let read = ["read_pipelines", "read_suites", "read_clusters"];
    let scopes: Vec<&str> = TEAM_SCOPES
        .iter()
        .copied()
        .filter(|scope| !scope.starts_with("write_"))
        .chain(read)
        .collect();
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_scopes(&scopes));
    let world = World::on(sandbox, &token, setup()).await;
    for (kind, scope) in [
        (Kind::Pipeline, "write_teams"),
        (Kind::Suite, "write_teams"),
        (Kind::ClusterByTeam, "write_clusters"),
        (Kind::ClusterByUser, "write_clusters"),
        (Kind::Organization, "write_organizations"),
    ] {
        let before: u64 = kind.writes().iter().map(|write| world.count(*write)).sum();
        let refused = world
            .perform(kind, Change::Grant(kind.levels().last().unwrap()))
            .await
            .unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::PermissionDenied, "MISSING_SCOPE".to_owned()),
            "{kind:?}"
        );
        assert!(refused.message().contains(scope), "{refused}");
        let after: u64 = kind.writes().iter().map(|write| world.count(*write)).sum();
        assert_eq!(after - before, 1, "{kind:?}");
    }
}
