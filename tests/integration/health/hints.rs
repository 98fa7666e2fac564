//! Advisories that are not faults, and the configured slug.

use axum::Json;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Organization};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::json;
use tonic::Code;

use super::harness::{HealthHarness, Healthy, Unhealthy, Unknown, admin, setup};
use crate::support::reason;

#[tokio::test]
async fn scopes_that_nothing_needs_are_a_hint_and_no_fault() {
    let scopes = [
        "read_user",
        "read_organizations",
        "read_teams",
        "write_teams",
        "graphql",
        "read_builds",
    ];
    let harness = HealthHarness::with_token(|sandbox| admin(sandbox).with_scopes(&scopes)).await;
    let report = harness.fresh().await;
    assert_eq!(report.0.overall(), Healthy);
    let summary = report.summary("authentication");
    assert!(
        summary.contains("leave `graphql`, `read_builds` out of the next one"),
        "{summary}"
    );
}

#[tokio::test]
async fn a_token_without_access_to_its_organization_is_reported_and_the_lists_wait() {
    let harness = HealthHarness::with_token(|sandbox| {
        let mut spec = admin(sandbox);
        spec.reaches_organization = false;
        spec
    })
    .await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert!(harness.requests() <= 6);
    assert_eq!(report.state("organization_access"), Unhealthy);
    assert!(
        report
            .summary("organization_access")
            .starts_with("the token reaches no organization")
    );
    for id in ["organization_member_listing", "team_listing"] {
        assert_eq!(report.state(id), Unknown);
        assert_eq!(report.summary(id), "not checked, because the organization is not found");
        assert_eq!(report.of(id).remedy, report.of("organization_access").remedy);
    }
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "ORGANIZATION_UNREACHABLE".to_owned())
    );
}

#[rstest]
#[case("NORTHWIND-RAIL", "the case of a slug counts")]
#[case("northwind-trains", "another organization, or a new slug")]
#[tokio::test]
async fn a_changed_slug_is_reported_beside_the_one_that_is_reached(#[case] renamed: &str, #[case] said: &str) {
    let harness = HealthHarness::start().await;
    let was = harness.sandbox.slug().to_owned();
    harness
        .sandbox
        .edit(|organization: &mut Organization| organization.slug = renamed.to_owned());
    let report = harness.fresh().await;
    report.assert_well_formed();
    let summary = report.summary("organization_access");
    assert_eq!(report.state("organization_access"), Unhealthy);
    assert!(
        summary.contains(&format!("`{renamed}`")) && summary.contains(&was) && summary.contains(said),
        "{summary}"
    );
}

#[tokio::test]
async fn a_slug_that_still_leads_to_a_renamed_organization_is_a_hint() {
    let harness = HealthHarness::start().await;
    let shape =
        FaultKind::WrongShape(json!({"id": "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d", "slug": "northwind-trains"}));
    harness.sandbox.faults().add(Fault::new(Endpoint::Organization, shape));
    let report = harness.fresh().await;
    assert_eq!(report.state("organization_access"), Healthy);
    assert!(
        report
            .summary("organization_access")
            .contains("set BUILDKITE_ORGANIZATION_SLUG to `northwind-trains`")
    );
}

#[tokio::test]
async fn clock_skew_is_detected_from_responses_to_other_requests() {
    let late = Timestamp::now() - SignedDuration::from_mins(20);
    let date = late.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let answer = move || {
        let date = date.clone();
        async move { ([("date", date)], Json(json!({"scopes": ["read_teams"]}))) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let harness = HealthHarness::at(&url, setup()).await;
    let report = harness.fresh().await;
    let summary = report.summary("authentication");
    assert_eq!(report.state("authentication"), Healthy);
    assert!(
        summary.contains("this machine's clock is about 20 minutes ahead of buildkite's"),
        "{summary}"
    );
    serving.abort();
}

#[tokio::test]
async fn a_clock_that_is_right_is_not_spoken_of() {
    let report = HealthHarness::start().await.fresh().await;
    assert!(!report.summary("authentication").contains("clock"));
}
