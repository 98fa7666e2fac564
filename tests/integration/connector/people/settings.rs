//! What the settings do not allow, and what is advertised.

use std::collections::BTreeSet;

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    Capability, CapabilityDetailCredentialOption, ConnectorMetadata, ConnectorServiceGetMetadataRequest,
};
use buildkite_connector::providers::buildkite::IncludedType;
use rstest::rstest;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

use super::{ADA, World, list, request, text};
use crate::support::{reason, resource, until_async};

async fn allowing(changes: &[Change]) -> World {
    World::with(|setup| setup.access.allowed = changes.iter().copied().collect()).await
}

fn assert_disabled(status: &Status, setting: &str) {
    assert_eq!(
        reason(status),
        (Code::FailedPrecondition, "PROVISIONING_DISABLED".to_owned())
    );
    assert!(status.message().contains(setting), "{}", status.message());
}

#[tokio::test]
async fn what_a_setting_would_permit_names_the_setting() {
    let world = allowing(&[Change::Membership]).await;
    assert_disabled(
        &world.invite(ADA).await.unwrap_err(),
        "invitations is not allowed: add it to --allow",
    );
    assert_disabled(&world.invite("not an address").await.unwrap_err(), "invitations");
    let person = world.people[0].id;
    assert_disabled(&world.delete("user", person).await.unwrap_err(), "off-boarding");
    assert_disabled(&world.delete("invitation", person).await.unwrap_err(), "invitations");
    assert_disabled(&world.delete_v2("team", person).await.unwrap_err(), "teams");
    assert_disabled(&world.create_resource(resource("team", "")).await.unwrap_err(), "teams");
    let written = world
        .sandbox
        .requests()
        .into_iter()
        .filter(|request| request.method != "GET")
        .count();
    assert_eq!((written, world.outcomes().len()), (0, 6));
}

#[tokio::test]
async fn an_admin_and_a_team_need_settings_of_their_own() {
    let world = allowing(&[Change::Invitations]).await;
    let admin = world
        .create(request(ADA, &[("role", text("admin"))]))
        .await
        .unwrap_err();
    assert_disabled(&admin, "organization-roles");
    let teams = world
        .create(request(ADA, &[("teams", list(&["any"]))]))
        .await
        .unwrap_err();
    assert_disabled(&teams, "--allow membership");
    world.invite(ADA).await.unwrap();
}

#[tokio::test]
async fn what_no_setting_permits_is_unimplemented() {
    let world = World::with(|setup| setup.include.push(IncludedType::Pipeline)).await;
    let statuses = [
        world.create_resource(resource("pipeline", "")).await.unwrap_err(),
        world.create_resource(resource("user", "")).await.unwrap_err(),
        world.delete("organization", Uuid::new_v4()).await.unwrap_err(),
        world.delete_v2("pipeline", Uuid::new_v4()).await.unwrap_err(),
    ];
    for status in statuses {
        assert_eq!(reason(&status), (Code::Unimplemented, "NOT_OFFERED".to_owned()));
    }
}

#[tokio::test]
async fn what_is_not_included_is_unknown() {
    let world = World::with(|setup| {
        setup.include.clear();
        setup.access.allowed = AllowedChanges::from_iter([Change::OffBoarding]);
    })
    .await;
    let status = world.delete("invitation", Uuid::new_v4()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    // Off-boarding revokes invitations all the same.
    world.delete("user", world.people[0].id).await.unwrap();
}

async fn metadata(world: &World) -> ConnectorMetadata {
    let mut client = ConnectorServiceClient::new(world.channel.clone());
    let response = client
        .get_metadata(ConnectorServiceGetMetadataRequest {})
        .await
        .unwrap();
    response.into_inner().metadata.unwrap()
}

#[rstest]
#[case(&[], &[])]
#[case(&[Change::Invitations], &[("invitation", Capability::ResourceDelete), ("user", Capability::AccountProvisioning)])]
#[case(&[Change::OffBoarding], &[("user", Capability::ResourceDelete)])]
#[case(
    &[Change::Teams],
    &[
        ("team", Capability::Actions),
        ("team", Capability::ResourceCreate),
        ("team", Capability::ResourceDelete),
        ("user", Capability::Actions),
    ]
)]
#[tokio::test]
async fn the_capabilities_are_those_of_the_settings(
    #[case] changes: &[Change],
    #[case] expected: &[(&str, Capability)],
) {
    let world = allowing(changes).await;
    let capabilities = metadata(&world).await.capabilities.unwrap();
    let of_reading = [
        Capability::Sync,
        Capability::TargetedSync,
        Capability::ServiceModeTargetedSync,
    ]
    .map(i32::from);
    let mut offered = BTreeSet::new();
    for row in &capabilities.resource_type_capabilities {
        let id = row.resource_type.as_ref().unwrap().id.clone();
        assert_eq!(row.skip_sync_anomaly_detection, id == "invitation");
        assert!(row.capabilities.is_sorted());
        let changing = row
            .capabilities
            .iter()
            .filter(|capability| !of_reading.contains(capability));
        offered.extend(changing.map(|capability| (id.clone(), *capability)));
    }
    let expected: BTreeSet<(String, i32)> = expected
        .iter()
        .map(|(id, capability)| ((*id).to_owned(), (*capability).into()))
        .collect();
    assert_eq!(offered, expected);
    let union: BTreeSet<i32> = capabilities
        .connector_capabilities
        .into_iter()
        .filter(|capability| !of_reading.contains(capability))
        .collect();
    assert_eq!(union, expected.into_iter().map(|(_, capability)| capability).collect());
}

#[tokio::test]
async fn the_form_and_the_credentials_are_there_with_invitations_alone() {
    let with = metadata(&allowing(&[Change::Invitations]).await).await;
    let form = with.account_creation_schema.unwrap().field_map;
    let required: Vec<&String> = form
        .iter()
        .filter(|(_, field)| field.required)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(required, ["email"]);
    let mut fields: Vec<&str> = form.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["email", "role", "sso_mode", "teams"]);
    let details = with
        .capabilities
        .unwrap()
        .credential_details
        .unwrap()
        .capability_account_provisioning
        .unwrap();
    let no_password = i32::from(CapabilityDetailCredentialOption::NoPassword);
    assert_eq!(details.supported_credential_options, [no_password]);
    assert_eq!(details.preferred_credential_option, no_password);
    let without = metadata(&allowing(&[Change::OffBoarding]).await).await;
    assert!(without.account_creation_schema.is_none() && without.capabilities.unwrap().credential_details.is_none());
}

#[rstest]
#[case(&[Change::Membership], [false, false, false, false])]
#[case(&[Change::Invitations], [true, true, true, false])]
#[case(&[Change::Teams], [false, true, true, true])]
#[tokio::test]
async fn a_service_that_the_settings_do_not_allow_is_not_serving(
    #[case] changes: &[Change],
    #[case] expected: [bool; 4],
) {
    let world = allowing(changes).await;
    // Health never sends a request by itself.
    world.connector.platform().await.validate().await.unwrap();
    let services = [
        "AccountManagerService",
        "ResourceManagerService",
        "ResourceDeleterService",
        "ActionService",
    ];
    for (service, serves) in services.into_iter().zip(expected) {
        let expected = if serves {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        let channel = world.channel.clone();
        until_async(service, async || {
            let request = HealthCheckRequest {
                service: format!("c1.connector.v2.{service}"),
            };
            let response = HealthClient::new(channel.clone()).check(request).await.unwrap();
            response.into_inner().status() == expected
        })
        .await;
    }
}
