//! The owners: all who list have to be shown the same teams, and all are protected.

use buildkite_connector::governance::{AllowedChanges, Change, PartialVisibility};
use buildkite_connector::proto::c1::connector::v2::Entitlement;
use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::providers::buildkite::budget::CredentialUse;
use buildkite_connector::sandbox::{Endpoint, OrganizationRole, TokenSpec};
use rstest::rstest;

use super::harness::{ServiceUsers, impatient, spec};
use crate::support::{reason, resource};

#[rstest]
#[case(CredentialUse::Any, PartialVisibility::Refuse, false)]
#[case(CredentialUse::Sync, PartialVisibility::Refuse, false)]
#[case(CredentialUse::Sync, PartialVisibility::Allow, true)]
#[case(CredentialUse::Provisioning, PartialVisibility::Refuse, true)]
#[tokio::test]
async fn every_owner_who_lists_is_an_admin_unless_partial_visibility_is_allowed(
    #[case] usage: CredentialUse,
    #[case] partial_visibility: PartialVisibility,
    #[case] is_listed: bool,
) {
    let place = ServiceUsers::new(2).await;
    place
        .sandbox
        .edit(|organization| organization.set_role(place.users[1], OrganizationRole::Member));
    let specs = vec![
        place.credential("admin", CredentialUse::Any, 0),
        place.credential("member", usage, 1),
    ];
    let mut setup = impatient();
    setup.access.partial_visibility = partial_visibility;
    let connector = place.connector_with(specs, setup).await;
    let listed = connector.platform().await.resources("team").await;
    match listed {
        Ok(teams) => assert_eq!((is_listed, teams.len()), (true, 10)),
        Err(status) => {
            assert_eq!((is_listed, reason(&status).1.as_str()), (false, "PARTIAL_VISIBILITY"));
            assert!(
                status.message().contains("service-1@example.com"),
                "{}",
                status.message()
            );
        }
    }
}

#[tokio::test]
async fn an_owner_who_is_demoted_while_teams_are_listed_is_recognised() {
    let place = ServiceUsers::new(2).await;
    let connector = place.connector(place.one_each()).await;
    let platform = connector.platform().await;
    assert_eq!(platform.resources("team").await.unwrap().len(), 10);
    place
        .sandbox
        .edit(|organization| organization.set_role(place.users[1], OrganizationRole::Member));
    // What is known of the roles is recent, so the list begins.
    let status = platform.resources("team").await.unwrap_err();
    assert_eq!(reason(&status).1, "PARTIAL_VISIBILITY");
}

#[tokio::test]
async fn every_owner_is_the_tokens_own_user() {
    let place = ServiceUsers::new(3).await;
    let uses = [CredentialUse::Any, CredentialUse::Sync, CredentialUse::Provisioning];
    let specs = uses
        .into_iter()
        .zip(&place.users)
        .enumerate()
        .map(|(number, (usage, user))| {
            let token = place.sandbox.mint(TokenSpec::owned_by(*user).with_all_scopes());
            spec(&number.to_string(), usage, &token)
        });
    let mut setup = impatient();
    setup.include = vec![IncludedType::Organization];
    setup.access.allowed = AllowedChanges::from_iter([Change::Membership, Change::OrganizationRoles]);
    let connector = place.connector_with(specs.collect(), setup).await;
    let platform = connector.platform().await;
    let organization = place
        .sandbox
        .with_organization(|organization| organization.id.to_string());
    let admin = || Entitlement {
        resource: Some(resource("organization", &organization)),
        id: format!("organization:{organization}:admin"),
        slug: "admin".to_owned(),
        ..Entitlement::default()
    };
    for user in &place.users {
        let status = platform
            .revoke_exactly(admin(), "user", &user.to_string())
            .await
            .unwrap_err();
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        assert!(
            status.message().contains("owns the connector's token"),
            "{}",
            status.message()
        );
    }
    assert_eq!(place.sandbox.request_log().count(Endpoint::ChangeOrganizationMember), 0);
}
