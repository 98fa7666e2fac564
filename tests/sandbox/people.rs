//! Changes of organization members and of teams.

use buildkite_connector::sandbox::{Maintainer, OrganizationRole, Privacy, TeamEcho, TeamRole, WriteLag};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::probe::Probe;

fn member(probe: &Probe, name: &str) -> String {
    probe.path(&format!("members/{}", probe.person(name)))
}

#[tokio::test]
async fn an_admin_changes_a_members_role_and_sign_in() {
    let probe = Probe::full().await;
    let path = member(&probe, "amara");
    let body = json!({ "role": "admin", "sso_mode": "optional" });
    let changed = probe.write(Method::PATCH, &path, body.clone()).await;
    assert_eq!(
        (changed.status, &changed.json()["role"]),
        (StatusCode::OK, &json!("admin"))
    );
    assert_eq!(probe.get(&path).await.json(), changed.json());
    assert!(probe.sandbox.organization().is_admin(probe.person("amara")));
    assert_eq!(probe.write(Method::PATCH, &path, body).await.status, StatusCode::OK);
    assert_eq!(
        probe
            .sandbox
            .requests()
            .iter()
            .filter(|request| request.applied)
            .count(),
        1
    );
}

#[rstest]
#[case(json!({}), 422)]
#[case(json!({ "role": "owner" }), 422)]
#[case(json!({ "sso_mode": true }), 422)]
#[tokio::test]
async fn a_change_of_nothing_or_to_an_unknown_value_is_422(#[case] body: Value, #[case] status: u16) {
    let probe = Probe::full().await;
    let reply = probe.write(Method::PATCH, &member(&probe, "amara"), body).await;
    assert_eq!(reply.status, status);
}

#[rstest]
#[case(false, 403)]
#[case(true, 422)]
#[tokio::test]
async fn ones_own_membership_is_403_and_the_last_administrators_422(#[case] last: bool, #[case] status: u16) {
    let probe = Probe::full().await;
    if last {
        let tomas = probe.person("tomas");
        probe
            .sandbox
            .edit(|organization| organization.set_role(tomas, OrganizationRole::Member));
    }
    let path = member(&probe, "ingrid");
    let demoted = probe.write(Method::PATCH, &path, json!({ "role": "member" })).await;
    assert_eq!(
        (demoted.status.as_u16(), probe.delete(&path).await.status.as_u16()),
        (status, status)
    );
    assert!(probe.sandbox.organization().is_admin(probe.sandbox.owner()));
}

#[tokio::test]
async fn only_admins_change_members_and_teams() {
    let probe = Probe::full().await.acting_as("amara");
    let path = member(&probe, "sam");
    let team = probe.path(&format!("teams/{}", probe.team("platform").id));
    for reply in [
        probe.write(Method::PATCH, &path, json!({ "role": "admin" })).await,
        probe.delete(&path).await,
        probe
            .write(Method::POST, &probe.path("teams"), json!({ "name": "Mine" }))
            .await,
        probe.write(Method::PATCH, &team, json!({ "name": "Mine" })).await,
        probe.delete(&team).await,
    ] {
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_removed_member_loses_teams_and_clusters() {
    let probe = Probe::full().await;
    let amara = probe.person("amara");
    let path = member(&probe, "amara");
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(probe.delete(&path).await.status, StatusCode::NOT_FOUND);
    let organization = probe.sandbox.organization();
    assert!(organization.teams().iter().all(|team| team.member(amara).is_none()));
    let staging = organization.cluster_by_name("Staging").unwrap();
    assert!(staging.maintainer(Maintainer::User(amara)).is_none());
}

#[tokio::test]
async fn a_removal_may_show_late() {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(2));
    let path = member(&probe, "amara");
    let listed = async || probe.get(&probe.path("members")).await.rows().len();
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(probe.get(&path).await.status, StatusCode::OK);
    assert_eq!(listed().await, 14);
    assert_eq!(listed().await, 13);
}

#[tokio::test]
async fn a_team_is_created_changed_and_deleted_for_good() {
    let probe = Probe::full().await;
    let body = json!({ "name": "Night Shift", "privacy": "secret", "default_member_role": "maintainer",
        "members_can_destroy_packages": true });
    let created = probe.write(Method::POST, &probe.path("teams"), body).await;
    assert_eq!(
        (created.status, &created.json()["slug"]),
        (StatusCode::CREATED, &json!("night-shift"))
    );
    let team = probe.team("night-shift");
    assert_eq!(
        (team.privacy, team.default_member_role),
        (Privacy::Secret, TeamRole::Maintainer)
    );
    assert!(team.permissions.destroy_packages && team.permissions.create_pipelines && team.members().is_empty());

    let path = probe.path(&format!("teams/{}", team.id));
    let changed = probe
        .write(
            Method::PATCH,
            &path,
            json!({ "description": "Nights", "is_default_team": true }),
        )
        .await;
    assert_eq!(
        (changed.status, &changed.json()["default"]),
        (StatusCode::OK, &json!(true))
    );
    assert_eq!(probe.get(&path).await.json(), changed.json());
    let team = probe.team("night-shift");
    assert_eq!(
        (team.privacy, team.description.as_deref()),
        (Privacy::Secret, Some("Nights"))
    );

    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND);
    let again = probe
        .write(Method::POST, &probe.path("teams"), json!({ "name": "Night Shift" }))
        .await;
    assert_ne!(again.json()["id"], json!(team.id));
}

#[tokio::test]
async fn a_deleted_team_takes_its_access_with_it() {
    let probe = Probe::full().await;
    let platform = probe.team("platform").id;
    let path = probe.path(&format!("teams/{platform}"));
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    let organization = probe.sandbox.organization();
    assert!(
        organization
            .registries()
            .iter()
            .all(|registry| !registry.teams.contains(&platform))
    );
    let production = organization.cluster_by_name("Production").unwrap();
    assert!(production.maintainer(Maintainer::Team(platform)).is_none());
}

#[rstest]
#[case(json!({}), "Name can't be blank")]
#[case(json!({ "name": "  " }), "Name can't be blank")]
#[case(json!({ "name": "Platform" }), "Name has already been taken")]
#[case(json!({ "name": "New", "privacy": "open" }), "Privacy is invalid")]
#[case(json!({ "name": "New", "is_default_team": "yes" }), "is_default_team is invalid")]
#[case(json!({ "name": "New", "default_member_role": "owner" }), "Role must be one of: member, maintainer")]
#[tokio::test]
async fn a_team_that_cannot_be_created_is_422(#[case] body: Value, #[case] reason: &str) {
    let probe = Probe::full().await;
    let reply = probe.write(Method::POST, &probe.path("teams"), body).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.message(), format!("Validation failed: {reason}"));
    assert_eq!(probe.sandbox.organization().teams().len(), 7);
}

#[tokio::test]
async fn a_new_team_may_be_echoed_without_its_id_and_show_late() {
    let probe = Probe::full().await;
    probe.sandbox.change_behaviors(|behaviors| {
        behaviors.team_echo = TeamEcho::Request;
        behaviors.write_lag = WriteLag::Reads(1);
    });
    let body = json!({ "name": "Night Shift", "is_default_team": false });
    let created = probe.write(Method::POST, &probe.path("teams"), body.clone()).await;
    assert_eq!((created.status, created.json()), (StatusCode::CREATED, body));
    let slugs = async || probe.get(&probe.path("teams")).await.column("slug");
    assert!(!slugs().await.contains(&"night-shift".to_owned()));
    assert!(slugs().await.contains(&"night-shift".to_owned()));
    let unknown = probe.path(&format!("teams/{}", Uuid::new_v4()));
    assert_eq!(probe.delete(&unknown).await.status, StatusCode::NOT_FOUND);
}
