//! Every holder of a grant is listed: the rule of the governance model for users that only member rows name.

use buildkite_connector::sandbox::{MemberRows, TeamRole};

use crate::support::platform::{Platform, SYNC};
use crate::support::{TestServer, first_team, sandbox, sized};

/// Users of a sync, and the names of the grants' principals by user.
async fn sync(platform: &Platform) -> (Vec<String>, Vec<(String, String)>) {
    let synced = platform.sync().await.unwrap();
    let principal = |grant: &buildkite_connector::proto::c1::connector::v2::Grant| {
        let principal = grant.principal.as_ref().unwrap();
        (
            principal.id.as_ref().unwrap().resource.clone(),
            principal.display_name.clone(),
        )
    };
    (
        synced.users.keys().cloned().collect(),
        synced.grants.values().map(principal).collect(),
    )
}

#[tokio::test]
async fn a_user_who_left_but_kept_a_row_keeps_the_grant_and_is_listed_until_no_row_names_them() {
    let sandbox = sandbox(sized(3, 2, 6)).await;
    let team = first_team(&sandbox);
    let left = sandbox.edit(|organization| {
        let person = organization.people().last().unwrap().clone();
        organization.set_membership(team, person.id, TeamRole::Member);
        organization.remove_person(person.id, MemberRows::Kept);
        person
    });
    let id = left.id.to_string();
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;

    let (users, principals) = sync(&platform).await;
    assert!(
        !users.contains(&id),
        "nothing named them before the member rows were read"
    );
    assert!(principals.contains(&(id.clone(), left.name.clone())), "{principals:?}");

    for _ in 0..2 {
        let (users, principals) = sync(&platform).await;
        assert!(users.contains(&id) && principals.iter().any(|(user, _)| *user == id));
    }
    // Their row goes: the sync that sees it still lists them, the next does not.
    sandbox.edit(|organization| {
        for team in organization.teams().iter().map(|team| team.id).collect::<Vec<_>>() {
            organization.remove_membership(team, left.id);
        }
    });
    assert!(sync(&platform).await.0.contains(&id));
    assert!(!sync(&platform).await.0.contains(&id));
}

#[tokio::test]
async fn a_user_who_joins_during_a_sync_has_their_grant_in_it_and_their_own_row_in_the_next() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let team = first_team(&sandbox);
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    assert_eq!(platform.resources("user").await.unwrap().len(), 2);
    let teams = platform.resources("team").await.unwrap();
    let joined = sandbox.edit(|organization| {
        let person = buildkite_connector::sandbox::Person::new("Nadia", "nadia@example.com");
        let id = organization.add_person(person);
        organization.set_membership(team, id, TeamRole::Maintainer);
        id.to_string()
    });
    let grants = platform.grants(teams.first().unwrap()).await.unwrap();
    let principal = |id: &str| {
        let mut grants = grants.iter().filter_map(|grant| grant.principal.clone());
        grants.find(|principal| principal.id.as_ref().unwrap().resource == id)
    };
    assert_eq!(principal(&joined).unwrap().display_name, "Nadia");
    platform.cleanup(SYNC).await.unwrap();
    // Once, and with everything that the organization knows of them.
    let users = platform.resources("user").await.unwrap();
    let rows: Vec<_> = users
        .iter()
        .filter(|user| user.id.as_ref().unwrap().resource == joined)
        .collect();
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0]
            .profile
            .as_ref()
            .unwrap()
            .fields
            .contains_key("organization_role")
    );
}

#[tokio::test]
async fn the_user_listing_holds_only_members_and_users_that_rows_name() {
    let sandbox = sandbox(sized(2, 3, 5)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    sync(&platform).await;
    // A grant by the connector fills the directory of provisioning, and not the listing.
    let (team, gone) =
        sandbox.with_organization(|organization| (organization.teams()[0].id, organization.people()[4].id));
    drop(platform.grant(&team.to_string(), "member", &gone.to_string()).await);
    sandbox.edit(|organization| organization.remove_person(gone, MemberRows::Dropped));
    assert!(!sync(&platform).await.0.contains(&gone.to_string()));
}
