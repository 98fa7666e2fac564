//! How many requests the included types cost.

use std::time::Duration;

use buildkite_connector::sandbox::{Endpoint, Registry};

use crate::support::platform::id_of;
use crate::support::{ObjectList, ROWS, covering_all, including_all, resource, sandbox, sized};
use crate::support::{TestServer, all_scopes};

#[tokio::test]
async fn a_sync_reads_the_list_of_people_once_for_users_and_their_roles() {
    let sandbox = sandbox(sized(1, 1, ROWS)).await;
    let mut setup = including_all();
    // The reading serves its own sync however old it is.
    setup.access.directory_max_age = Duration::ZERO;
    let server = TestServer::with(&sandbox, &all_scopes(&sandbox), setup).await;
    let platform = server.platform().await;
    assert_eq!(platform.resources("user").await.unwrap().len(), ROWS);
    let listed = sandbox.request_log().count(Endpoint::OrganizationMembers);
    let roles = ObjectList::Roles.read(&platform, &sandbox).await.unwrap();
    assert_eq!(roles, ObjectList::Roles.truth(&sandbox));
    assert_eq!(sandbox.request_log().count(Endpoint::OrganizationMembers), listed);
    let organization = sandbox.with_organization(|organization| organization.id.to_string());
    let organization = resource("organization", &organization);
    let elsewhere = platform.grants_in("2another", &organization).await.unwrap();
    assert_eq!(elsewhere.len(), ROWS);
    assert!(sandbox.request_log().count(Endpoint::OrganizationMembers) > listed);
}

#[tokio::test]
async fn the_teams_of_all_registries_cost_one_list() {
    let sandbox = sandbox(sized(3, 1, 2)).await;
    sandbox.edit(|organization| {
        let teams: Vec<_> = organization.teams().iter().map(|team| team.id).collect();
        for number in 0..5 {
            let mut registry = Registry::new(&format!("registry-{number}"), "Registry", "docker");
            registry.teams.clone_from(&teams);
            organization.add_registry(registry);
        }
    });
    let (_server, platform) = covering_all(&sandbox).await;
    let registries = platform.resources("registry").await.unwrap();
    for registry in &registries {
        assert_eq!(platform.grants(registry).await.unwrap().len(), 3);
    }
    assert_eq!(
        (registries.len(), sandbox.request_log().count(Endpoint::Registries)),
        (5, 1)
    );
}

#[tokio::test]
async fn a_single_object_is_found_in_the_list_which_is_read_anew_on_a_miss() {
    for list in [ObjectList::Pipelines, ObjectList::Suites, ObjectList::Registries] {
        let sandbox = sandbox(sized(1, 1, 2)).await;
        let id = sandbox.edit(|organization| list.add(organization, "one"));
        let (_server, platform) = covering_all(&sandbox).await;
        let get = async |id: &str| id_of(&platform.resource(list.kind(), id).await.unwrap());
        for _ in 0..3 {
            assert_eq!(get(&id.to_string()).await, id.to_string());
        }
        assert_eq!(sandbox.request_log().count(list.endpoint()), 1, "{list:?}");
        let added = sandbox.edit(|organization| list.add(organization, "two")).to_string();
        assert_eq!(get(&added).await, added);
        assert_eq!(sandbox.request_log().count(list.endpoint()), 2, "{list:?}");
    }
}
