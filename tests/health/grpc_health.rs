//! `grpc.health.v1`: the process alone as `""`, the services of the contract, the scopes; never a request to Buildkite.

use std::time::Duration;

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind};
use http::StatusCode;
use rstest::rstest;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving, Unknown};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::bench::{Bench, admin, setup};

const SCOPES: [&str; 4] = [
    "scope.read_user",
    "scope.read_organizations",
    "scope.read_teams",
    "scope.write_teams",
];

pub async fn status(bench: &Bench, name: &str) -> Result<ServingStatus, Status> {
    let mut client = HealthClient::new(bench.channel.clone());
    let service = name.to_owned();
    Ok(client
        .check(HealthCheckRequest { service })
        .await?
        .into_inner()
        .status())
}

async fn watch(bench: &Bench, name: &str) -> Streaming<HealthCheckResponse> {
    let mut client = HealthClient::new(bench.channel.clone());
    let service = name.to_owned();
    client.watch(HealthCheckRequest { service }).await.unwrap().into_inner()
}

/// Waits until a status is told.
async fn until(stream: &mut Streaming<HealthCheckResponse>, status: ServingStatus) {
    let told = async { while stream.message().await.unwrap().unwrap().status() != status {} };
    timeout(Duration::from_secs(120), told).await.unwrap();
}

pub fn service(name: &str) -> String {
    format!("c1.connector.v2.{name}")
}

#[tokio::test]
async fn an_outage_is_no_reason_to_restart_the_process() {
    let bench = Bench::at("http://127.0.0.1:9", setup()).await;
    bench.fresh().await;
    assert_eq!(status(&bench, "").await.unwrap(), Serving);
    assert_eq!(status(&bench, &service("ResourcesService")).await.unwrap(), Unknown);
    assert_eq!(status(&bench, &service("EntitlementsService")).await.unwrap(), Serving);
}

#[tokio::test]
async fn a_probe_never_asks_buildkite() {
    let bench = Bench::start().await;
    for name in SCOPES {
        assert_eq!(status(&bench, name).await.unwrap(), Unknown);
    }
    for name in [
        "ConnectorService",
        "ResourcesService",
        "GrantsService",
        "GrantManagerService",
    ] {
        assert_eq!(status(&bench, &service(name)).await.unwrap(), Unknown);
    }
    assert_eq!(status(&bench, "nobody").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(bench.requests(), 0);
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
    let scopes: Vec<&str> = buildkite_connector::sandbox::ALL_SCOPES
        .into_iter()
        .filter(|scope| !missing.contains(scope))
        .collect();
    let bench = Bench::with_token(|sandbox| admin(sandbox).with_scopes(&scopes)).await;
    let mut watching = watch(&bench, &service("ResourceTypesService")).await;
    until(&mut watching, Serving).await;
    let mut last = watch(&bench, "scope.write_teams").await;
    bench.fresh().await;
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
        until(&mut watch(&bench, &service(name)).await, expected).await;
    }
    for name in SCOPES {
        let expected = if lost.contains(&name) { NotServing } else { Serving };
        until(&mut watch(&bench, name).await, expected).await;
    }
}

#[tokio::test]
async fn a_rejected_token_stops_what_asks_and_its_return_starts_it() {
    let bench = Bench::start().await;
    let mut grants = watch(&bench, &service("GrantsService")).await;
    until(&mut grants, Unknown).await;
    bench.fresh().await;
    until(&mut grants, Serving).await;
    let rejected = Fault::new(
        Endpoint::Any,
        FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message),
    );
    let rejected = bench.sandbox.faults().add(rejected);
    bench.platform().resources("team").await.unwrap_err();
    until(&mut grants, NotServing).await;
    assert_eq!(status(&bench, "").await.unwrap(), Serving);
    rejected.remove();
    bench.platform().resources("team").await.unwrap();
    until(&mut grants, Serving).await;
}
