//! `Validate`: the first required check that fails, as its status; patient with what may pass.

use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::ConnectorServiceValidateRequest;
use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::sandbox::{BodyStyle, Bucket, Endpoint, Fault, FaultKind, OrganizationRole, RateLimitStyle};
use http::StatusCode;
use rstest::rstest;
use serde_json::json;
use tonic::{Code, Request};

use super::harness::{HealthHarness, setup};
use crate::support::details;
use crate::support::reason;

fn status(code: u16) -> FaultKind {
    FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message)
}

#[rstest]
#[case(Endpoint::AccessToken, status(401), Code::Unauthenticated, "TOKEN_REJECTED")]
#[case(Endpoint::Teams, status(403), Code::PermissionDenied, "FORBIDDEN")]
#[case(
    Endpoint::Organization,
    status(404),
    Code::FailedPrecondition,
    "ORGANIZATION_UNREACHABLE"
)]
#[case(Endpoint::Teams, status(404), Code::FailedPrecondition, "TEAMS_UNAVAILABLE")]
#[case(
    Endpoint::OrganizationMembers,
    status(404),
    Code::FailedPrecondition,
    "TEAMS_UNAVAILABLE"
)]
#[case(Endpoint::User, status(422), Code::FailedPrecondition, "REJECTED_BY_BUILDKITE")]
#[case(Endpoint::Teams, status(503), Code::Unavailable, "BUILDKITE_UNAVAILABLE")]
#[case(
    Endpoint::AccessToken,
    FaultKind::Html200,
    Code::Unavailable,
    "BUILDKITE_UNAVAILABLE"
)]
#[case(Endpoint::AccessToken, FaultKind::Hang, Code::Unavailable, "BUILDKITE_UNAVAILABLE")]
#[case(Endpoint::Teams, FaultKind::WrongShape(json!({})), Code::FailedPrecondition, "UNEXPECTED_RESPONSE")]
#[tokio::test]
async fn each_failure_has_its_own_status(
    #[case] endpoint: Endpoint,
    #[case] kind: FaultKind,
    #[case] code: Code,
    #[case] because: &str,
) {
    let harness = HealthHarness::start().await;
    harness.sandbox.faults().add(Fault::new(endpoint, kind));
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(reason(&refused), (code, because.to_owned()));
}

#[tokio::test]
async fn of_several_failures_the_first_is_reported() {
    let harness = HealthHarness::start().await;
    harness.sandbox.faults().add(Fault::new(Endpoint::Teams, status(404)));
    harness.sandbox.faults().add(Fault::new(Endpoint::User, status(403)));
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(reason(&refused), (Code::PermissionDenied, "FORBIDDEN".to_owned()));
}

#[tokio::test]
async fn trouble_that_passes_is_ridden_out() {
    let mut setup = setup();
    setup.access.health.validate_retry_for = Duration::from_secs(20);
    let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await;
    let outage = harness
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Any, status(503)).times(7));
    harness.platform().validate().await.unwrap();
    assert_eq!(outage.fired(), 7);
}

#[tokio::test]
async fn twenty_seconds_are_ridden_out_by_default_and_no_more() {
    let defaults = buildkite_connector::governance::GovernanceSettings::default().health;
    assert_eq!(defaults.validate_retry_for, Duration::from_secs(20));
    let harness = HealthHarness::start().await;
    harness
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Organization, status(503)));
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
    assert!(details(&refused).retry.is_some());
}

#[tokio::test]
async fn only_the_callers_own_deadline_is_deadline_exceeded() {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_secs(20);
    setup.access.health.validate_retry_for = Duration::from_secs(20);
    let harness = HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await;
    harness.sandbox.faults().add(Fault::new(Endpoint::Any, FaultKind::Hang));
    let mut client = ConnectorServiceClient::new(harness.channel.clone());
    let mut request = Request::new(ConnectorServiceValidateRequest::default());
    request.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
    let refused = client.validate(request).await.unwrap_err();
    // The client's own clock may be the first to say so.
    assert!(
        matches!(refused.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_exhausted_budget_reports_its_reset() {
    let harness = HealthHarness::start().await;
    let limited = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    harness.sandbox.faults().add(Fault::new(Endpoint::Teams, limited));
    let refused = harness.platform().validate().await.unwrap_err();
    let details = details(&refused);
    assert_eq!(
        (details.code, details.reason.as_str()),
        (Code::Unavailable, "RATE_LIMITED")
    );
    assert_eq!(details.rate_limit.unwrap().remaining, 0);
    assert!(details.retry.unwrap() > Duration::ZERO);
}

/// A connector that does not repeat probes within this time.
async fn asking_again_after(at_least: Duration) -> HealthHarness {
    let mut setup = setup();
    setup.access.health.min_interval = at_least;
    HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await
}

#[rstest]
#[case::forbidden(Endpoint::Teams, status(403))]
#[case::hidden(Endpoint::Organization, status(404))]
#[case::rejected(Endpoint::AccessToken, status(401))]
#[case::outage(Endpoint::User, status(503))]
#[tokio::test]
async fn a_failure_that_is_over_is_not_reported_from_a_cache(#[case] endpoint: Endpoint, #[case] kind: FaultKind) {
    let harness = asking_again_after(Duration::from_secs(2)).await;
    let fault = harness.sandbox.faults().add(Fault::new(endpoint, kind));
    harness.platform().validate().await.unwrap_err();
    fault.remove();
    harness.platform().validate().await.unwrap();
}

#[tokio::test]
async fn an_owner_who_became_admin_again_is_not_refused_from_a_cache() {
    let harness = asking_again_after(Duration::ZERO).await;
    let owner = harness.sandbox.owner();
    let become_one = |role| harness.sandbox.edit(|organization| organization.set_role(owner, role));
    assert!(become_one(OrganizationRole::Member));
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "PARTIAL_VISIBILITY".to_owned())
    );
    assert!(become_one(OrganizationRole::Admin));
    harness.platform().validate().await.unwrap();
}

#[tokio::test]
async fn a_caller_that_cannot_wait_for_the_next_probe_gets_a_retry_delay_at_once() {
    let harness = asking_again_after(Duration::from_secs(3600)).await;
    harness.sandbox.faults().add(Fault::new(Endpoint::Teams, status(403)));
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(reason(&refused), (Code::PermissionDenied, "FORBIDDEN".to_owned()));
    let asked = harness.requests();
    let mut client = ConnectorServiceClient::new(harness.channel.clone());
    let mut request = Request::new(ConnectorServiceValidateRequest::default());
    request.set_timeout(Duration::from_secs(60));
    let refused = client.validate(request).await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
    assert!(details(&refused).retry.is_some());
    assert_eq!(harness.requests(), asked);
}
