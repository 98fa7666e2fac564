//! Calls are counted once each, with their outcome.

use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::ResourcesServiceListResourcesRequest;
use buildkite_connector::proto::c1::connector::v2::resources_service_client::ResourcesServiceClient;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate, TeamRole};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::scrape::call;
use crate::support::process::ConnectorProcess;
use crate::support::{first_team, sandbox, sized, until_async};

const GRANT: &str = "c1.connector.v2.GrantManagerService/Grant";
const REVOKE: &str = "c1.connector.v2.GrantManagerService/Revoke";
const LIST: &str = "c1.connector.v2.ResourcesService/ListResources";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_and_refused_calls_are_counted_once_and_timed() {
    let sandbox = sandbox(sized(2, 2, 5)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &["--provisioning"]);
    let team = first_team(&sandbox);
    sandbox.edit(|organization| organization.team_mut(team).unwrap().remove_member(sandbox.owner()));
    let (team, user, platform) = (
        team.to_string(),
        sandbox.owner().to_string(),
        monitored.platform().await,
    );
    platform.grant(&team, "member", &user).await.unwrap();
    let stranger = "00000000-0000-4000-8000-000000000000";
    let outside = platform.grant(&team, "member", stranger).await.unwrap_err();
    assert_eq!(outside.code(), Code::FailedPrecondition);
    platform.revoke(&team, "member", &user).await.unwrap();
    platform.revoke(&team, "member", &user).await.unwrap();

    let scrape = monitored.scrape().await;
    assert_eq!(scrape.calls(GRANT, "OK"), Some(1.0));
    assert_eq!(scrape.calls(GRANT, "FAILED_PRECONDITION"), Some(1.0));
    assert_eq!(scrape.calls(REVOKE, "OK"), Some(2.0));
    let timed = "service=\"c1.connector.v2.GrantManagerService\",method=\"Grant\"";
    let timed = format!("grpc_request_duration_seconds_count{{{timed}}}");
    assert_eq!(scrape.value(&timed), Some(2.0));
    for (operation, outcome) in [
        ("grant", "granted"),
        ("grant", "USER_NOT_IN_ORGANIZATION"),
        ("revoke", "revoked"),
        ("revoke", "already_revoked"),
    ] {
        let series =
            format!("provisioning_total{{operation=\"{operation}\",resource_type=\"team\",outcome=\"{outcome}\"}}");
        assert_eq!(scrape.value(&series), Some(1.0), "{series}");
    }
    assert_eq!(
        scrape
            .requests("add team member", "201")
            .or(scrape.requests("add team member", "200")),
        Some(1.0)
    );
    assert_eq!(scrape.requests("remove team member", "204"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_is_not_served_is_counted_as_other() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &[]);
    let channel = monitored.channel().await;
    for path in [
        "/c1.connector.v2.ResourcesService/AddedLater",
        "/c1.connector.v2.SchemaService/ListSchemas",
        "/bkua_0123456789abcdef/ada@acme.example",
        "/",
    ] {
        call(&channel, path).await.unwrap_err();
    }
    let scrape = monitored.scrape().await;
    assert_eq!(scrape.calls("other/other", "UNIMPLEMENTED"), Some(4.0));
    assert!(!scrape.text.contains("acme") && !scrape.text.contains("AddedLater"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_is_counted_as_cancelled_and_its_request_as_unanswered() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &[]);
    sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, FaultKind::Hang));
    let platform = monitored.platform().await;
    let call = tokio::spawn(async move { platform.resources("user").await });
    until_async("the request", async || sandbox.request_log().in_flight() > 0).await;
    let under_way = monitored.scrape().await;
    assert_eq!(under_way.calls(LIST, "CANCELLED"), None);
    call.abort();
    let scrape = monitored
        .scrape_until("the end of the call", |scrape| {
            scrape.calls(LIST, "CANCELLED").is_some()
        })
        .await;
    assert_eq!(scrape.calls(LIST, "CANCELLED"), Some(1.0));
    assert_eq!(scrape.calls(LIST, "OK"), None);
    assert_eq!(scrape.requests("organization members", "none"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_passes_and_a_message_that_is_too_large_are_counted_as_such() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let mut monitored = ConnectorProcess::monitored(&sandbox, &[]);
    sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, FaultKind::Hang));
    // A channel of tonic would end the call itself, as CANCELLED, so none is used.
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", monitored.address()).parse().unwrap();
    let mut client = ResourcesServiceClient::with_origin(http, origin);
    let mut request = Request::new(ResourcesServiceListResourcesRequest {
        resource_type_id: "user".to_owned(),
        ..Default::default()
    });
    request.set_timeout(Duration::from_millis(200));
    let late = client.list_resources(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let large = ResourcesServiceListResourcesRequest {
        page_token: "x".repeat(3 << 20),
        ..Default::default()
    };
    let large = client.list_resources(large).await.unwrap_err();
    assert_eq!(large.code(), Code::OutOfRange);

    let scrape = monitored.scrape().await;
    assert_eq!(scrape.calls(LIST, "DEADLINE_EXCEEDED"), Some(1.0));
    assert_eq!(scrape.calls(LIST, "OUT_OF_RANGE"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_are_turned_away_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let callers = directory.path().join("callers.toml");
    // It has no entry.
    std::fs::write(&callers, "").unwrap();
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &["--callers", callers.to_str().unwrap()]);
    let platform = monitored.platform().await;
    platform.resources("user").await.unwrap_err();
    let scrape = monitored.scrape().await;
    assert_eq!(scrape.calls(LIST, "UNAUTHENTICATED"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_counted_when_it_ends() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &[]);
    let mut watch = HealthClient::new(monitored.channel().await)
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap().unwrap();
    let watching = monitored.scrape().await;
    assert!(!watching.text.contains("Watch"), "{}", watching.text);
    drop(watch);
    let watched = "grpc.health.v1.Health/Watch";
    let scrape = monitored
        .scrape_until("the end of the watch", |scrape| {
            scrape.calls(watched, "CANCELLED").is_some()
        })
        .await;
    assert_eq!(scrape.calls(watched, "CANCELLED"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_whose_caller_disconnects_is_counted_as_a_cancelled_call_and_a_granted_change() {
    let sandbox = sandbox(sized(1, 1, 5)).await;
    let team = first_team(&sandbox);
    sandbox.edit(|organization| organization.team_mut(team).unwrap().remove_member(sandbox.owner()));
    let monitored = ConnectorProcess::monitored(&sandbox, &["--provisioning"]);
    let gate = Gate::default();
    let held = FaultKind::Held(gate.clone());
    sandbox.faults().add(Fault::new(Endpoint::AddTeamMember, held));
    let (platform, user) = (monitored.platform().await, sandbox.owner());
    let call = tokio::spawn(async move { platform.grant(&team.to_string(), "member", &user.to_string()).await });
    until_async("the write", async || {
        sandbox.request_log().count(Endpoint::TeamMember) > 0 && sandbox.request_log().in_flight() > 0
    })
    .await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    monitored
        .scrape_until("the end of the call", |scrape| {
            scrape.calls(GRANT, "CANCELLED").is_some()
        })
        .await;
    gate.open();
    let granted = "provisioning_total{operation=\"grant\",resource_type=\"team\",outcome=\"granted\"}";
    let scrape = monitored
        .scrape_until("the end of the grant", |scrape| scrape.value(granted).is_some())
        .await;
    assert_eq!(scrape.calls(GRANT, "CANCELLED"), Some(1.0));
    assert_eq!(scrape.calls(GRANT, "OK"), None);
    let role = sandbox.with_organization(|organization| organization.team(team).unwrap().role_of(user));
    assert_eq!(role, Some(TeamRole::Member));
}
