//! `Validate`: the first required check that fails, as its status; patient with what may pass.

use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::ConnectorServiceValidateRequest;
use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::sandbox::{BodyStyle, Bucket, Endpoint, Fault, FaultKind, OrganizationRole, RateLimitStyle};
use http::StatusCode;
use rstest::rstest;
use serde_json::json;
use tonic::{Code, Request};

use crate::bench::{Bench, setup};
use crate::support::told;
use crate::support::told::reason;

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
async fn what_fails_is_told_as_its_own_status(
    #[case] endpoint: Endpoint,
    #[case] kind: FaultKind,
    #[case] code: Code,
    #[case] because: &str,
) {
    let bench = Bench::start().await;
    bench.sandbox.faults().add(Fault::new(endpoint, kind));
    let refused = bench.platform().validate().await.unwrap_err();
    assert_eq!(reason(&refused), (code, because.to_owned()));
}

#[tokio::test]
async fn of_several_that_fail_the_first_is_told() {
    let bench = Bench::start().await;
    bench.sandbox.faults().add(Fault::new(Endpoint::Teams, status(404)));
    bench.sandbox.faults().add(Fault::new(Endpoint::User, status(403)));
    let refused = bench.platform().validate().await.unwrap_err();
    assert_eq!(reason(&refused), (Code::PermissionDenied, "FORBIDDEN".to_owned()));
}

#[tokio::test]
async fn trouble_that_passes_is_ridden_out() {
    let mut setup = setup();
    setup.access.health.validate_retry_for = Duration::from_secs(20);
    let bench = Bench::with(|sandbox| sandbox.token().clone(), setup).await;
    let outage = bench
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Any, status(503)).times(7));
    bench.platform().validate().await.unwrap();
    assert_eq!(outage.fired(), 7);
}

#[tokio::test]
async fn twenty_seconds_are_ridden_out_by_default_and_no_more() {
    let defaults = buildkite_connector::governance::GovernanceSettings::default().health;
    assert_eq!(defaults.validate_retry_for, Duration::from_secs(20));
    let bench = Bench::start().await;
    bench
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Organization, status(503)));
    let refused = bench.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
    assert!(told(&refused).retry.is_some());
}

#[tokio::test]
async fn only_the_callers_own_deadline_is_deadline_exceeded() {
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_secs(20);
    setup.access.health.validate_retry_for = Duration::from_secs(20);
    let bench = Bench::with(|sandbox| sandbox.token().clone(), setup).await;
    bench.sandbox.faults().add(Fault::new(Endpoint::Any, FaultKind::Hang));
    let mut client = ConnectorServiceClient::new(bench.channel.clone());
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
async fn a_budget_that_is_spent_says_when_it_will_not_be() {
    let bench = Bench::start().await;
    let limited = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    bench.sandbox.faults().add(Fault::new(Endpoint::Teams, limited));
    let refused = bench.platform().validate().await.unwrap_err();
    let told = told(&refused);
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "RATE_LIMITED"));
    assert_eq!(told.rate_limit.unwrap().remaining, 0);
    assert!(told.retry.unwrap() > Duration::ZERO);
}

/// A connector that asks again for nothing that it saw so short a time ago.
async fn asking_again_after(at_least: Duration) -> Bench {
    let mut setup = setup();
    setup.access.health.min_interval = at_least;
    Bench::with(|sandbox| sandbox.token().clone(), setup).await
}

#[rstest]
#[case::forbidden(Endpoint::Teams, status(403))]
#[case::hidden(Endpoint::Organization, status(404))]
#[case::rejected(Endpoint::AccessToken, status(401))]
#[case::outage(Endpoint::User, status(503))]
#[tokio::test]
async fn trouble_that_is_over_is_not_told_from_memory(#[case] endpoint: Endpoint, #[case] kind: FaultKind) {
    let bench = asking_again_after(Duration::from_secs(2)).await;
    let fault = bench.sandbox.faults().add(Fault::new(endpoint, kind));
    bench.platform().validate().await.unwrap_err();
    fault.remove();
    bench.platform().validate().await.unwrap();
}

#[tokio::test]
async fn an_owner_who_became_admin_again_is_not_refused_from_memory() {
    let bench = asking_again_after(Duration::ZERO).await;
    let owner = bench.sandbox.owner();
    let become_one = |role| bench.sandbox.edit(|organization| organization.set_role(owner, role));
    assert!(become_one(OrganizationRole::Member));
    let refused = bench.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "PARTIAL_VISIBILITY".to_owned())
    );
    assert!(become_one(OrganizationRole::Admin));
    bench.platform().validate().await.unwrap();
}

#[tokio::test]
async fn a_caller_who_cannot_wait_for_the_next_probe_is_told_at_once_to_come_again() {
    let bench = asking_again_after(Duration::from_secs(3600)).await;
    bench.sandbox.faults().add(Fault::new(Endpoint::Teams, status(403)));
    let refused = bench.platform().validate().await.unwrap_err();
    assert_eq!(reason(&refused), (Code::PermissionDenied, "FORBIDDEN".to_owned()));
    let asked = bench.requests();
    let mut client = ConnectorServiceClient::new(bench.channel.clone());
    let mut request = Request::new(ConnectorServiceValidateRequest::default());
    request.set_timeout(Duration::from_secs(60));
    let refused = client.validate(request).await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::Unavailable, "BUILDKITE_UNAVAILABLE".to_owned())
    );
    assert!(told(&refused).retry.is_some());
    assert_eq!(bench.requests(), asked);
}
