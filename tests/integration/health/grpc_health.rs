//! `grpc.health.v1`: the process alone as `""`, the services of the contract, the scopes; never a request to Buildkite.

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind};
use http::StatusCode;
use rstest::rstest;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving, Unknown};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::harness::{HealthHarness, admin, setup};
use crate::support::within;

const SCOPES: [&str; 4] = [
    "scope.read_user",
    "scope.read_organizations",
    "scope.read_teams",
    "scope.write_teams",
];

pub async fn status(harness: &HealthHarness, name: &str) -> Result<ServingStatus, Status> {
    let mut client = HealthClient::new(harness.channel.clone());
    let service = name.to_owned();
    Ok(client
        .check(HealthCheckRequest { service })
        .await?
        .into_inner()
        .status())
}

async fn watch(harness: &HealthHarness, name: &str) -> Streaming<HealthCheckResponse> {
    let mut client = HealthClient::new(harness.channel.clone());
    let service = name.to_owned();
    client.watch(HealthCheckRequest { service }).await.unwrap().into_inner()
}

/// Reads until a status arrives.
async fn until(stream: &mut Streaming<HealthCheckResponse>, status: ServingStatus) {
    let report = async { while stream.message().await.unwrap().unwrap().status() != status {} };
    within("the status", report).await;
}

pub fn service(name: &str) -> String {
    format!("c1.connector.v2.{name}")
}

#[tokio::test]
async fn an_outage_does_not_fail_liveness() {
    let harness = HealthHarness::at("http://127.0.0.1:9", setup()).await;
    harness.fresh().await;
    assert_eq!(status(&harness, "").await.unwrap(), Serving);
    assert_eq!(status(&harness, &service("ResourcesService")).await.unwrap(), Unknown);
    assert_eq!(
        status(&harness, &service("EntitlementsService")).await.unwrap(),
        Serving
    );
}

#[tokio::test]
async fn a_probe_sends_no_request_to_buildkite() {
    let harness = HealthHarness::start().await;
    for name in SCOPES {
        assert_eq!(status(&harness, name).await.unwrap(), Unknown);
    }
    for name in [
        "ConnectorService",
        "ResourcesService",
        "GrantsService",
        "GrantManagerService",
    ] {
        assert_eq!(status(&harness, &service(name)).await.unwrap(), Unknown);
    }
    assert_eq!(status(&harness, "nobody").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(harness.requests(), 0);
}

#[rstest]
#[case(&[], &[], &[])]
#[case(&["read_user"], &["ConnectorService"], &["scope.read_user"])]
#[case(&["read_teams"], &["ConnectorService", "ResourcesService", "ResourceGetterService", "GrantsService", "GrantManagerService"], &["scope.read_teams"])]
#[case(&["write_teams"], &["ConnectorService", "GrantManagerService"], &["scope.write_teams"])]
#[tokio::test]
async fn a_service_serves_when_the_scopes_that_it_needs_do(
    #[case] missing: &[&str],
    #[case] stopped: &[&str],
    #[case] lost: &[&str],
) {
    let scopes: Vec<&str> = buildkite_connector::sandbox::TEAM_SCOPES
        .into_iter()
        .filter(|scope| !missing.contains(scope))
        .collect();
    let harness = HealthHarness::with_token(|sandbox| admin(sandbox).with_scopes(&scopes)).await;
    let mut watching = watch(&harness, &service("ResourceTypesService")).await;
    until(&mut watching, Serving).await;
    let mut last = watch(&harness, "scope.write_teams").await;
    harness.fresh().await;
    until(
        &mut last,
        if lost.contains(&"scope.write_teams") {
            NotServing
        } else {
            Serving
        },
    )
    .await;
    for name in [
        "ConnectorService",
        "ResourceTypesService",
        "ResourcesService",
        "ResourceGetterService",
        "EntitlementsService",
        "GrantsService",
        "GrantManagerService",
    ] {
        let expected = if stopped.contains(&name) { NotServing } else { Serving };
        until(&mut watch(&harness, &service(name)).await, expected).await;
    }
    for name in SCOPES {
        let expected = if lost.contains(&name) { NotServing } else { Serving };
        until(&mut watch(&harness, name).await, expected).await;
    }
}

#[tokio::test]
async fn services_that_need_the_token_serve_only_while_it_is_accepted() {
    let harness = HealthHarness::start().await;
    let mut grants = watch(&harness, &service("GrantsService")).await;
    until(&mut grants, Unknown).await;
    harness.fresh().await;
    until(&mut grants, Serving).await;
    let rejected = Fault::new(
        Endpoint::Any,
        FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message),
    );
    let rejected = harness.sandbox.faults().add(rejected);
    harness.platform().resources("team").await.unwrap_err();
    until(&mut grants, NotServing).await;
    assert_eq!(status(&harness, "").await.unwrap(), Serving);
    rejected.remove();
    harness.platform().resources("team").await.unwrap();
    until(&mut grants, Serving).await;
}
