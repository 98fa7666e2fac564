//! Trouble while the lists are read: every failure fails the listing, and the next call reads only what is missing.

use std::time::Duration;

use buildkite_connector::sandbox::{BodyStyle, Bucket, Endpoint, Fault, FaultKind, Gate, RateLimitStyle, Sandbox};
use http::StatusCode;
use rstest::rstest;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use super::harness::{
    ONCE, SHORT_WAIT, a_pipeline, carried_requests, connector, connector_with, grants, list, organization, setup, truth,
};
use crate::support::platform::{SYNC, id_of};
use crate::support::{details, until};

/// The last team of the organization.
fn a_team(sandbox: &Sandbox) -> Uuid {
    sandbox.with_organization(|organization| organization.teams().last().unwrap().id)
}

#[rstest]
#[case(StatusCode::FORBIDDEN, Code::PermissionDenied, "FORBIDDEN")]
#[case(StatusCode::NOT_FOUND, Code::FailedPrecondition, "TEAM_UNREACHABLE")]
#[case(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "BUILDKITE_UNAVAILABLE")]
#[tokio::test]
async fn the_failure_of_one_team_fails_the_listing_until_it_is_over(
    #[case] status: StatusCode,
    #[case] code: Code,
    #[case] reason: &str,
) {
    let sandbox = organization().await;
    let fault = Fault::new(Endpoint::TeamPipelines, FaultKind::Status(status, BodyStyle::Message));
    let fault = sandbox.faults().add(fault.on_team(a_team(&sandbox)));
    let mut setup = setup();
    setup.client.retry_for = Duration::ZERO;
    let connector = connector_with(&sandbox, setup).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    let error = platform.grants(a_pipeline(&listed)).await.unwrap_err();
    assert_eq!(
        (error.code(), details(&error).reason.as_str()),
        (code, reason),
        "{error}"
    );
    fault.remove();
    assert_eq!(grants(&platform, SYNC, &listed).await.unwrap(), truth(&sandbox));
    let failed = fault.fired();
    assert!(failed > 0);
    assert_eq!(carried_requests(&sandbox), [ONCE[0] + failed, ONCE[1]]);
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let sandbox = organization().await;
    let forbidden = FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message);
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let pipelines = platform.resources_in("other", "pipeline").await.unwrap();
    sandbox.faults().add(Fault::new(Endpoint::TeamSuites, forbidden));
    // The failure of one kind does not fail the other.
    let listed = list(&platform, SYNC).await;
    assert!(!platform.grants(&pipelines[0]).await.unwrap().is_empty());
    let error = platform.grants(&listed["suite"][0]).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert!(error.message().starts_with("team suites: "), "{error}");
}

#[tokio::test]
async fn a_refusal_in_the_middle_delays_the_reading_and_loses_nothing() {
    let sandbox = organization().await;
    let refused = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamPipelines, refused).after(10).once());
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    assert_eq!(grants(&platform, SYNC, &listed).await.unwrap(), truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), [ONCE[0] + 1, ONCE[1]]);
}

#[tokio::test]
async fn a_call_that_waited_for_the_maximum_time_joins_the_reading_when_it_is_repeated() {
    let sandbox = organization().await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::TeamPipelines, FaultKind::Held(gate.clone()));
    sandbox.faults().add(held.on_team(a_team(&sandbox)));
    let mut setup = setup();
    setup.client.budget.max_wait = SHORT_WAIT;
    let connector = connector_with(&sandbox, setup).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    for _ in 0..3 {
        let error = platform.grants(a_pipeline(&listed)).await.unwrap_err();
        let details = details(&error);
        assert_eq!(
            (error.code(), details.reason.as_str()),
            (Code::Unavailable, "RATE_LIMITED")
        );
        assert!(details.retry.is_some_and(|delay| delay >= Duration::from_secs(5)));
    }
    gate.open();
    until(|| carried_requests(&sandbox) == ONCE).await;
    assert_eq!(grants(&platform, SYNC, &listed).await.unwrap(), truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), ONCE);
}

#[tokio::test]
async fn a_level_that_is_not_known_is_left_out_and_is_an_error_if_there_is_no_other() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let (team, mixed, alone) = sandbox.edit(|organization| {
        let team = organization.teams()[0].id;
        let mixed = organization.pipelines().iter().find(|pipeline| {
            let mut others = organization.teams().iter().filter(|other| other.id != team);
            others.any(|other| other.pipeline_level(pipeline.id).is_some())
        });
        let mixed = mixed.unwrap().id;
        let alone = organization.add_pipeline(buildkite_connector::sandbox::Pipeline::new("alone", "Alone"));
        (team, mixed, alone)
    });
    let rows = json!([
        {"pipeline_id": mixed, "access_level": "owner", "created_at": "2026-01-01T00:00:00Z"},
        {"pipeline_id": alone, "access_level": "owner", "created_at": "2026-01-02T00:00:00Z"},
    ]);
    let fault = Fault::new(Endpoint::TeamPipelines, FaultKind::WrongShape(rows));
    sandbox.faults().add(fault.on_team(team));
    let listed = list(&platform, SYNC).await;
    let row = |id: Uuid| {
        listed["pipeline"]
            .iter()
            .find(|row| id_of(row) == id.to_string())
            .unwrap()
    };
    let expected = truth(&sandbox)
        .into_iter()
        .filter(|id| id.starts_with(&format!("pipeline:{mixed}:")) && !id.ends_with(&team.to_string()));
    let read = platform.grants(row(mixed)).await.unwrap();
    assert_eq!(read.len(), expected.count());
    let error = platform.grants(row(alone)).await.unwrap_err();
    assert_eq!(details(&error).reason, "UNEXPECTED_RESPONSE");
}
