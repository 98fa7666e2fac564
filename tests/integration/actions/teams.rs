//! Creating, changing and deleting teams, listing their members, and finding users.

use buildkite_connector::governance::provisioning::ProtectedResource;
use buildkite_connector::providers::buildkite::resources::TEAM;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Privacy, Team, TeamRole};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::World;
use crate::support::details;

fn team(world: &World, id: Uuid) -> Option<Team> {
    world
        .sandbox
        .with_organization(|organization| organization.team(id).cloned())
}

fn id_in(resource: &Value) -> Uuid {
    assert_eq!(resource["resourceId"]["resourceTypeId"], "team");
    resource["resourceId"]["resourceId"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_team_is_created_with_the_defaults_and_changed_only_where_the_arguments_say() {
    let world = World::new().await;
    let created = world
        .invoke("create_team", json!({"name": "Docs"}))
        .await
        .unwrap()
        .complete();
    assert_eq!(created["resource"]["displayName"], "Docs");
    let id = id_in(&created["resource"]);
    let plain = team(&world, id).unwrap();
    assert_eq!(
        (plain.privacy, plain.default_member_role),
        (Privacy::Visible, TeamRole::Member)
    );
    assert!(!plain.default && plain.permissions.create_pipelines && !plain.permissions.destroy_packages);

    let argument = json!({"resource_type_id": "team", "resource_id": id.to_string()});
    let change = json!({"team": argument, "privacy": "secret", "default_member_role": "maintainer"});
    let changed = world.invoke("update_team", change.clone()).await.unwrap().complete();
    assert_eq!(id_in(&changed["resource"]), id);
    let after = team(&world, id).unwrap();
    assert_eq!(
        (after.privacy, after.default_member_role),
        (Privacy::Secret, TeamRole::Maintainer)
    );
    assert_eq!(
        (after.name.as_str(), after.description, after.default),
        ("Docs", plain.description, plain.default)
    );
    // Repeated, it finds the team as requested.
    world.invoke("update_team", change).await.unwrap().complete();
    assert_eq!(world.count(Endpoint::UpdateTeam), 1);
    let outcomes = world.outcomes();
    let recorded: Vec<_> = outcomes
        .iter()
        .map(|line| (line["operation"].as_str(), line["outcome"].as_str()))
        .collect();
    assert_eq!(
        recorded,
        [
            (Some("create_team"), Some("created")),
            (Some("update_team"), Some("changed")),
            (Some("update_team"), Some("unchanged")),
        ]
    );
    assert_eq!(outcomes[1]["team_id"], id.to_string());
}

#[tokio::test]
async fn a_change_of_a_team_needs_something_to_change() {
    let world = World::new().await;
    let status = world
        .invoke("update_team", json!({"team": world.team(0)}))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), details(&status).fields),
        (Code::InvalidArgument, vec!["args".to_owned()])
    );
    assert!(status.message().contains("nothing to do"), "{}", status.message());
    assert_eq!(world.count(Endpoint::UpdateTeam), 0);
}

#[tokio::test]
async fn a_change_whose_reply_is_lost_is_found_and_not_sent_again() {
    let world = World::new().await;
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::UpdateTeam, FaultKind::ResetAfter).once());
    let change = json!({"team": world.team(0), "description": "Keeps it up"});
    world.invoke("update_team", change).await.unwrap().complete();
    assert_eq!(world.count(Endpoint::UpdateTeam), 1);
    assert_eq!(
        team(&world, world.teams[0]).unwrap().description.as_deref(),
        Some("Keeps it up")
    );
}

#[tokio::test]
async fn what_buildkite_rejects_fails_with_its_message_and_a_reason() {
    let world = World::new().await;
    let name = team(&world, world.teams[0]).unwrap().name;
    let failed = world
        .invoke("create_team", json!({"name": name}))
        .await
        .unwrap()
        .failed();
    assert_eq!(failed.0, "REJECTED_BY_BUILDKITE");
    assert!(failed.1.contains("already been taken"), "{}", failed.1);
}

#[tokio::test]
async fn a_team_is_deleted_once_its_slug_is_repeated_and_a_repetition_is_a_success() {
    let world = World::new().await;
    let slug = team(&world, world.teams[0]).unwrap().slug;
    let wrong = json!({"team": world.team(0), "confirmation": "other"});
    let status = world.invoke("delete_team", wrong).await.unwrap_err();
    assert_eq!(details(&status).fields, ["confirmation"]);
    let right = json!({"team": world.team(0), "confirmation": slug});
    let response = world.invoke("delete_team", right.clone()).await.unwrap().complete();
    assert_eq!(response, json!({"success": true}));
    assert!(team(&world, world.teams[0]).is_none());
    world.invoke("delete_team", right).await.unwrap().complete();
    assert_eq!(world.count(Endpoint::DeleteTeam), 1);
    let outcomes: Vec<_> = world.outcomes().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "deleted", "already_absent"]);
}

#[tokio::test]
async fn a_protected_team_is_neither_changed_nor_deleted() {
    let world = World::with(|setup| {
        setup.access.protected.resources.push(ProtectedResource {
            resource_type: &TEAM,
            slug: "team-00001".to_owned(),
        });
    })
    .await;
    world.sandbox.edit(|organization| {
        let mut team = organization.teams()[0].clone();
        "team-00001".clone_into(&mut team.slug);
        organization.add_team(team);
    });
    for (action, arguments) in [
        ("update_team", json!({"team": world.team(0), "name": "x"})),
        (
            "delete_team",
            json!({"team": world.team(0), "confirmation": "team-00001"}),
        ),
    ] {
        let status = world.invoke(action, arguments).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{action}");
        assert!(status.message().contains("is protected"), "{}", status.message());
        let line = world.outcomes().pop().unwrap();
        assert_eq!(
            (&line["operation"], &line["reason"]),
            (&action.into(), &"PROTECTED".into())
        );
    }
    assert_eq!(world.count(Endpoint::UpdateTeam) + world.count(Endpoint::DeleteTeam), 0);
}

#[tokio::test]
async fn the_members_of_a_team_are_the_grants_that_a_sync_lists() {
    let world = World::new().await;
    let response = world
        .invoke("list_team_members", json!({"team": world.team(1)}))
        .await
        .unwrap()
        .complete();
    let members = response["members"].as_array().unwrap();
    let expected = team(&world, world.teams[1]).unwrap().members().len();
    assert_eq!((members.len(), expected), (3, 3));
    let platform = world.connector.platform().await;
    let listed = platform
        .grants(&crate::support::resource("team", &world.teams[1].to_string()))
        .await
        .unwrap();
    for (member, grant) in members.iter().zip(listed) {
        assert_eq!(member["id"], grant.id);
        assert_eq!(member["entitlement"]["id"], grant.entitlement.unwrap().id);
        assert_eq!(
            member["principal"]["displayName"],
            grant.principal.unwrap().display_name
        );
        assert_eq!(member["principal"]["resourceId"]["resourceTypeId"], "user");
    }
}

#[tokio::test]
async fn a_user_is_found_by_an_address_in_any_case() {
    let world = World::new().await;
    let person = world
        .sandbox
        .with_organization(|organization| organization.people()[3].clone());
    let arguments = json!({"email": person.email.to_uppercase()});
    let response = world.invoke("find_user", arguments).await.unwrap().complete();
    assert_eq!(response["user"]["resourceId"]["resourceId"], person.id.to_string());
    let nobody = world
        .invoke("find_user", json!({"email": "nobody@sized.example"}))
        .await
        .unwrap();
    assert_eq!(nobody.failed().0, "USER_NOT_IN_ORGANIZATION");
}
