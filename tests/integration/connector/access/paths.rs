//! The paths of DELETE: always one row of a list, and never a list, a team, a cluster or a member of the organization.

use buildkite_connector::sandbox::{Edit, Endpoint, Fault, FaultKind, SuitePostPath};
use http::Method;
use uuid::Uuid;

use super::World;
use super::model::{Answer, Change, Kind};

#[tokio::test]
async fn a_delete_ends_in_the_id_of_one_row_of_a_list() {
    let world = World::new().await;
    for kind in Kind::ALL {
        let level = kind.levels().last().unwrap();
        world.hold(kind, Some(level));
        world.perform(kind, Change::Revoke(level)).await.unwrap();
    }
    let requests = world.sandbox.requests();
    let deletes: Vec<_> = requests
        .iter()
        .filter(|request| request.method == Method::DELETE)
        .collect();
    assert_eq!(deletes.len(), 4);
    for request in deletes {
        let segments: Vec<&str> = request.path.split('/').collect();
        let [.., owner_list, owner, list, row] = segments.as_slice() else {
            panic!("{}", request.path)
        };
        let pair = (*owner_list, *list);
        assert!(
            matches!(pair, ("teams", "pipelines" | "suites") | ("clusters", "maintainers")),
            "{}",
            request.path
        );
        assert!(
            owner.parse::<Uuid>().is_ok() && row.parse::<Uuid>().is_ok(),
            "{}",
            request.path
        );
    }
    for never in [
        Endpoint::DeleteCluster,
        Endpoint::DeleteList,
        Endpoint::RemoveOrganizationMember,
    ] {
        assert_eq!(world.count(never), 0, "{never}");
    }
    let is_there = |organization: &buildkite_connector::sandbox::Organization| {
        organization.cluster(world.cluster).is_some() && organization.person(world.user).is_some()
    };
    assert!(world.sandbox.with_organization(is_there));
}

#[tokio::test]
async fn the_singular_path_of_suites_is_sent_once_and_only_if_team_and_suite_exist() {
    let world = World::new().await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.suite_post_path = SuitePostPath::Singular);
    let posts = || {
        let requests = world.sandbox.requests();
        let posts = requests.iter().filter(|request| request.method == Method::POST);
        let paths: Vec<String> = posts
            .map(|request| request.path.rsplit('/').next().unwrap().to_owned())
            .collect();
        paths
    };
    world.perform(Kind::Suite, Change::Grant("edit")).await.unwrap();
    assert_eq!(posts(), ["suites", "suite"]);
    assert_eq!(world.held(Kind::Suite), Some("edit"));
    world.sandbox.edit(|organization| organization.remove_team(world.team));
    world.perform(Kind::Suite, Change::Grant("edit")).await.unwrap_err();
    assert_eq!(posts(), ["suites", "suite", "suites"]);
}

#[tokio::test]
async fn a_maintainer_is_removed_by_the_row_that_was_read_and_by_another_if_that_one_was_replaced() {
    let world = World::new().await;
    let revoke = Change::Revoke("maintainer");
    world.hold(Kind::ClusterByUser, Some("maintainer"));
    world.perform(Kind::ClusterByUser, revoke).await.unwrap();
    let counts = || [Endpoint::ClusterMaintainers, Endpoint::RemoveClusterMaintainer].map(|of| world.count(of));
    // One read before the removal and one after it.
    assert_eq!(counts(), [2, 1]);
    world.hold(Kind::ClusterByTeam, Some("maintainer"));
    let (remove, add) = (
        world.setting(Kind::ClusterByTeam, None),
        world.setting(Kind::ClusterByTeam, Some("maintainer")),
    );
    let replace = Edit::with(move |organization| {
        remove(organization);
        add(organization);
    });
    let fault = Fault::new(Endpoint::RemoveClusterMaintainer, FaultKind::MoveRows(replace));
    world.sandbox.faults().add(fault.once());
    assert_eq!(world.perform(Kind::ClusterByTeam, revoke).await.unwrap(), Answer::Done);
    assert_eq!(world.held(Kind::ClusterByTeam), None);
    assert_eq!(counts(), [5, 3]);
}
