//! The health of a credential that is renewed.

use std::time::Duration;

use buildkite_connector::governance::health::{Expiry, Report, State};
use buildkite_connector::sandbox::{ApplicationSpec, BodyStyle, Endpoint, ExpiresAt, Fault, FaultKind, KeyPair};
use http::StatusCode;
use rstest::rstest;

use super::harness::{Place, impatient};
use crate::support::{Setup, until_async};

/// Settings whose evidence expires at once.
fn setup() -> Setup {
    let mut setup = impatient();
    setup.access.health.min_interval = Duration::ZERO;
    setup
}

fn authentication(report: &Report) -> (State, &str, &str) {
    let check = report.checks.iter().find(|result| result.check.id == "authentication");
    let check = check.unwrap();
    (check.state, &check.summary, &check.remedy)
}

#[tokio::test]
async fn a_renewed_token_has_no_expiry_and_no_warning() {
    let place = Place::new().await;
    // Its record at Buildkite says when this one ends, which is well within the seven days of the warning.
    place
        .sandbox
        .change_behaviors(|behaviors| behaviors.expires_at = ExpiresAt::Iso);
    let (_, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let (governance, _) = place.governance(credential, setup());
    let report = governance.health().check(Duration::ZERO, None).await;
    let (state, summary, _) = authentication(&report);
    assert_eq!((state, report.overall), (State::Healthy, State::Healthy), "{summary}");
    let credential = report.credential.unwrap();
    assert_eq!((credential.expiry, credential.expires_at()), (Expiry::Renewed, None));
}

#[tokio::test]
async fn a_private_key_never_expires() {
    let place = Place::new().await;
    let (governance, _) = place.governance(place.private_key().1, setup());
    let report = governance.health().check(Duration::ZERO, None).await;
    assert_eq!(report.overall, State::Healthy);
    assert_eq!(report.credential.unwrap().expiry, Expiry::Never);
}

#[rstest]
#[case::refused(FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Message))]
#[case::hangs(FaultKind::Hang)]
#[tokio::test]
async fn a_renewal_that_fails_is_unhealthy_once_the_last_token_has_ended(#[case] outage: FaultKind) {
    let place = Place::new().await;
    let spec = ApplicationSpec {
        token_life: Duration::from_secs(2),
        ..ApplicationSpec::default()
    };
    let (_, credential) = place.exchange(spec, &KeyPair::ec().unwrap());
    let mut setup = setup();
    setup.client.attempt_timeout = Duration::from_secs(4);
    setup.access.health.probe_timeout = Duration::from_secs(4);
    let (governance, _) = place.governance(credential, setup);
    let check = async || governance.health().check(Duration::ZERO, None).await;
    assert_eq!(authentication(&check().await).0, State::Healthy);
    let outage = place.sandbox.faults().add(Fault::new(Endpoint::OAuthToken, outage));
    until_async("an unhealthy credential", async || {
        let report = check().await;
        let (state, summary, remedy) = authentication(&report);
        if state == State::Unhealthy {
            assert!(summary.contains("the last one has ended"), "{summary}");
            assert!(remedy.contains("--oauth-url"), "{remedy}");
        }
        state == State::Unhealthy
    })
    .await;
    outage.remove();
    until_async("a healthy credential", async || {
        authentication(&check().await).0 == State::Healthy
    })
    .await;
}

#[tokio::test]
async fn a_token_endpoint_that_was_never_reached_is_unknown() {
    let place = Place::new().await;
    let (_, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let outage = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Message);
    place.sandbox.faults().add(Fault::new(Endpoint::OAuthToken, outage));
    let (governance, _) = place.governance(credential, setup());
    let report = governance.health().check(Duration::ZERO, None).await;
    assert_eq!(authentication(&report).0, State::Unknown);
}

#[tokio::test]
async fn a_refused_exchange_is_unhealthy_with_the_remedy_of_its_cause() {
    let place = Place::new().await;
    let (client_id, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    place
        .sandbox
        .change_application(&client_id, |spec| spec.enabled = false);
    let (governance, _) = place.governance(credential, setup());
    let report = governance.health().check(Duration::ZERO, None).await;
    let (state, summary, remedy) = authentication(&report);
    assert_eq!((state, report.overall), (State::Unhealthy, State::Unhealthy));
    assert!(summary.contains("`invalid_target`"), "{summary}");
    assert!(remedy.contains("check the slug"), "{remedy}");
}

#[tokio::test]
async fn a_missing_scope_of_a_private_key_is_remedied_at_its_access_token() {
    let place = Place::new().await;
    let (_, credential) = place.private_key();
    let mut setup = setup();
    setup.require = vec![buildkite_connector::providers::buildkite::Scope::ReadAgents];
    let (governance, _) = place.governance(credential, setup);
    let report = governance.health().check(Duration::ZERO, None).await;
    let check = report
        .checks
        .iter()
        .find(|result| result.check.id == "read_agents")
        .unwrap();
    assert_eq!(check.state, State::Unhealthy);
    assert!(
        check.remedy.starts_with("tick `read_agents` on the access token"),
        "{}",
        check.remedy
    );
}
