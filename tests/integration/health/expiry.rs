//! The expiry of a token, in every format that Buildkite may send.

use buildkite_connector::sandbox::{Endpoint, ExpiresAt, Fault, FaultKind};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use super::harness::{Degraded, HealthHarness, Healthy, ScopeState, admin};

fn record(expires_at: Option<Value>) -> Value {
    let mut record = json!({
        "uuid": "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d",
        "scopes": ["read_user", "read_organizations", "read_teams", "write_teams"],
        "user": {"name": "Sam", "email": "sam@example.com"},
    });
    if let Some(value) = expires_at {
        record["expires_at"] = value;
    }
    record
}

fn in_hours(hours: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(hours)
}

#[rstest]
#[case::absent(None, Healthy, "the token is accepted and never expires")]
#[case::null(Some(Value::Null), Healthy, "the token is accepted and never expires")]
#[case::empty(Some(json!("")), Healthy, "the token is accepted and never expires")]
#[case::far(Some(json!("2199-07-16 06:07:42 UTC")), Healthy, "the token is accepted until 2199-07-16 06:07 UTC")]
#[case::far_iso(Some(json!("2199-07-16T06:07:42.000Z")), Healthy, "the token is accepted until 2199-07-16 06:07 UTC")]
#[case::far_whole(Some(json!("2199-07-16T06:07:42Z")), Healthy, "the token is accepted until 2199-07-16 06:07 UTC")]
#[case::past(Some(json!("2020-07-16 06:07:42 UTC")), Degraded, "the token is still accepted although it expired at 2020-07-16 06:07 UTC: it may end at any moment")]
#[case::unreadable(Some(json!("next friday")), Healthy, "the token is accepted (when it expires cannot be read: `next friday`)")]
#[tokio::test]
async fn each_form_is_read(#[case] expires_at: Option<Value>, #[case] state: ScopeState, #[case] said: &str) {
    let harness = HealthHarness::start().await;
    let shape = FaultKind::WrongShape(record(expires_at));
    harness.sandbox.faults().add(Fault::new(Endpoint::AccessToken, shape));
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert_eq!(
        (report.state("authentication"), report.summary("authentication")),
        (state, said)
    );
}

#[rstest]
#[case(7 * 24 - 1, Degraded)]
#[case(1, Degraded)]
#[case(7 * 24 + 1, Healthy)]
#[tokio::test]
async fn the_last_seven_days_are_warned_of_in_either_format(#[case] hours: i64, #[case] state: ScopeState) {
    for format in [ExpiresAt::Iso, ExpiresAt::SpaceUtc] {
        let ends = in_hours(hours);
        let harness = HealthHarness::with_token(|sandbox| {
            let mut spec = admin(sandbox);
            spec.expires_at = Some(ends);
            spec
        })
        .await;
        harness
            .sandbox
            .change_behaviors(|behaviors| behaviors.expires_at = format);
        let report = harness.fresh().await;
        report.assert_well_formed();
        assert_eq!((report.state("authentication"), report.0.overall()), (state, state));
        let told_at = report.0.credentials[0].expires_at.unwrap().seconds;
        assert!((told_at - ends.as_second()).abs() <= 1);
        harness.platform().validate().await.unwrap();
    }
}

#[rstest]
#[case(ExpiresAt::Null)]
#[case(ExpiresAt::Absent)]
#[tokio::test]
async fn a_token_without_a_reported_expiry_never_expires(#[case] format: ExpiresAt) {
    let harness = HealthHarness::start().await;
    harness
        .sandbox
        .change_behaviors(|behaviors| behaviors.expires_at = format);
    let report = harness.fresh().await;
    assert_eq!(report.0.credentials[0].expires_at, None);
    assert!(report.summary("authentication").contains("never expires"));
}

#[tokio::test]
async fn the_passage_of_time_is_not_a_change() {
    let harness = HealthHarness::with_token(|sandbox| {
        let mut spec = admin(sandbox);
        spec.expires_at = Some(in_hours(30));
        spec
    })
    .await;
    let summary = harness.fresh().await.summary("authentication").to_owned();
    assert!(summary.starts_with("the token expires soon, at 20"), "{summary}");
    assert_eq!(harness.fresh().await.summary("authentication"), summary);
}
