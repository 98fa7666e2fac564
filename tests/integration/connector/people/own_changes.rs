//! Lists that were read before a change of this process are not served after it, neither within their sync nor outside of one.

use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::Registry;
use rstest::rstest;
use uuid::Uuid;

use super::World;
use crate::support::platform::SYNC;
use crate::support::{Platform, resource};

/// The principals of an entitlement, by the grants of its resource.
async fn holders(platform: &Platform, sync: &str, resource_type: &str, id: Uuid, level: &str) -> Vec<String> {
    let resource = resource(resource_type, &id.to_string());
    let grants = platform.grants_in(sync, &resource).await.unwrap().into_iter();
    let entitlement = format!("{resource_type}:{id}:{level}");
    let of_level = grants.filter(|grant| grant.entitlement.as_ref().unwrap().id == entitlement);
    let ids = of_level.map(|grant| grant.principal.unwrap().id.unwrap().resource);
    ids.collect()
}

#[rstest]
#[tokio::test]
async fn a_role_that_was_changed_here_is_listed_as_it_is_now(#[values(SYNC, "")] sync: &str) {
    let world = World::new().await;
    let platform = world.connector.platform().await;
    let organization = world.sandbox.with_organization(|organization| organization.id);
    let person = world.people[0].id.to_string();
    platform.resources_in(sync, "user").await.unwrap();
    platform.resources_in(sync, "organization").await.unwrap();
    let admins = async || holders(&platform, sync, "organization", organization, "admin").await;
    assert!(!admins().await.contains(&person));
    let admin = crate::support::unknown_entitlement(&format!("organization:{organization}:admin"));
    platform.grant_exactly(admin.clone(), "user", &person).await.unwrap();
    assert!(admins().await.contains(&person));
    platform.revoke_exactly(admin, "user", &person).await.unwrap();
    assert!(!admins().await.contains(&person));
    let members = holders(&platform, sync, "organization", organization, "member").await;
    assert!(members.contains(&person));
}

#[rstest]
#[tokio::test]
async fn a_person_who_was_removed_here_is_no_member_any_more(#[values(SYNC, "")] sync: &str) {
    let world = World::new().await;
    let platform = world.connector.platform().await;
    let organization = world.sandbox.with_organization(|organization| organization.id);
    let person = world.people[0].id;
    platform.resources_in(sync, "user").await.unwrap();
    platform.resources_in(sync, "organization").await.unwrap();
    let members = async || holders(&platform, sync, "organization", organization, "member").await;
    assert!(members().await.contains(&person.to_string()));
    world.delete("user", person).await.unwrap();
    assert!(!members().await.contains(&person.to_string()));
}

#[rstest]
#[tokio::test]
async fn a_team_that_was_deleted_here_has_no_access_to_a_registry(#[values(SYNC, "")] sync: &str) {
    let world = World::with(|setup| setup.include.push(IncludedType::Registry)).await;
    let platform = world.connector.platform().await;
    let (team, first, second) = world.edit(|organization| {
        let team = organization.teams()[0].id;
        let registry = |slug| Registry {
            teams: vec![team],
            ..Registry::new(slug, slug, "docker")
        };
        (
            team,
            organization.add_registry(registry("images")),
            organization.add_registry(registry("charts")),
        )
    });
    for resource_type in ["user", "team", "registry"] {
        platform.resources_in(sync, resource_type).await.unwrap();
    }
    for registry in [first, second] {
        let holders = holders(&platform, sync, "registry", registry, "access").await;
        assert_eq!(holders, [team.to_string()]);
    }
    world.delete("team", team).await.unwrap();
    for registry in [first, second] {
        let holders = holders(&platform, sync, "registry", registry, "access").await;
        assert!(holders.is_empty(), "{holders:?}");
    }
}

/// The grants of the registries to come are read ahead from the list that is no longer true.
#[tokio::test]
async fn what_is_read_ahead_before_a_removal_is_not_served_after_it() {
    let world = World::with(|setup| setup.include.push(IncludedType::Registry)).await;
    let platform = world.connector.platform().await;
    let team = world.edit(|organization| {
        let team = organization.teams()[0].id;
        for number in 0..6 {
            let slug = format!("registry-{number}");
            organization.add_registry(Registry {
                teams: vec![team],
                ..Registry::new(&slug, &slug, "docker")
            });
        }
        team
    });
    for resource_type in ["user", "team"] {
        platform.resources(resource_type).await.unwrap();
    }
    let registries = platform.resources("registry").await.unwrap();
    let (first, rest) = registries.split_first().unwrap();
    assert_eq!(platform.grants(first).await.unwrap().len(), 1);
    world.delete("team", team).await.unwrap();
    for registry in rest {
        assert!(platform.grants(registry).await.unwrap().is_empty());
    }
}
