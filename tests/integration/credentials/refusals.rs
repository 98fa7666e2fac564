//! Each refusal of the token endpoint, and each form of an outage, as a platform sees it.

use buildkite_connector::providers::buildkite::OAuthSubject;
use buildkite_connector::sandbox::{ApplicationSpec, BodyStyle, Endpoint, Fault, FaultKind, KeyPair};
use http::StatusCode;
use rstest::rstest;
use tonic::Code;

use super::harness::{Place, RSA, impatient};
use crate::support::reason;
use crate::support::recorder::Recorder;

enum Cause {
    OtherKey,
    OtherSubject,
    FewerScopes,
    NotEnabled,
    Fault(FaultKind),
}

fn status(code: u16, body: BodyStyle) -> Cause {
    Cause::Fault(FaultKind::Status(StatusCode::from_u16(code).unwrap(), body))
}

#[rstest]
#[case(Cause::OtherKey, Code::Unauthenticated, "TOKEN_REJECTED", "--oauth-private-key-file")]
#[case(Cause::OtherSubject, Code::Unauthenticated, "TOKEN_REJECTED", "--oauth-subject")]
#[case(Cause::FewerScopes, Code::PermissionDenied, "MISSING_SCOPE", "read_teams")]
#[case(
    Cause::NotEnabled,
    Code::FailedPrecondition,
    "ORGANIZATION_UNREACHABLE",
    "token exchange is enabled"
)]
#[case(
    status(503, BodyStyle::Message),
    Code::Unavailable,
    "BUILDKITE_UNAVAILABLE",
    "token exchange"
)]
#[case(
    status(502, BodyStyle::Html),
    Code::Unavailable,
    "BUILDKITE_UNAVAILABLE",
    "token exchange"
)]
#[case(status(403, BodyStyle::Html), Code::Unavailable, "BUILDKITE_UNAVAILABLE", "HTML")]
#[case(Cause::Fault(FaultKind::Html200), Code::Unavailable, "BUILDKITE_UNAVAILABLE", "HTML")]
#[case(
    Cause::Fault(FaultKind::ResetBefore),
    Code::Unavailable,
    "BUILDKITE_UNAVAILABLE",
    "token exchange"
)]
#[case(
    Cause::Fault(FaultKind::WrongShape(serde_json::json!({}))),
    Code::FailedPrecondition,
    "UNEXPECTED_RESPONSE",
    "--oauth-url"
)]
#[case(
    status(404, BodyStyle::Empty),
    Code::Unauthenticated,
    "TOKEN_REJECTED",
    "--oauth-url"
)]
#[tokio::test]
async fn each_has_its_reason_and_its_remedy_and_nothing_is_changed(
    #[case] cause: Cause,
    #[case] code: Code,
    #[case] expected: &str,
    #[case] remedy: &str,
) {
    let place = Place::new().await;
    let subject = match cause {
        Cause::OtherSubject => OAuthSubject::Email("nobody@elsewhere.example".to_owned()),
        _ => OAuthSubject::User(place.sandbox.owner()),
    };
    let key = KeyPair::ec().unwrap();
    let (client_id, credential) = place.exchange_for(subject, ApplicationSpec::default(), &key);
    match cause {
        Cause::OtherKey => place
            .sandbox
            .replace_application_key(&client_id, RSA[0].public_pem())
            .unwrap(),
        Cause::OtherSubject => {}
        Cause::FewerScopes => place
            .sandbox
            .change_application(&client_id, |spec| drop(spec.scopes.pop())),
        Cause::NotEnabled => place
            .sandbox
            .change_application(&client_id, |spec| spec.enabled = false),
        Cause::Fault(kind) => drop(place.sandbox.faults().add(Fault::new(Endpoint::OAuthToken, kind))),
    }
    let connector = place.connector_with(credential, impatient()).await;
    let platform = connector.platform().await;
    let (team, user) = place.team_and_outsider();
    for error in [
        platform.resources("team").await.unwrap_err(),
        platform.grant(&team, "member", &user).await.unwrap_err(),
    ] {
        assert_eq!(reason(&error), (code, expected.to_owned()), "{}", error.message());
        assert!(error.message().contains(remedy), "{}", error.message());
    }
    let sent = place.sandbox.requests();
    assert!(
        sent.iter().all(|request| request.endpoint == Endpoint::OAuthToken),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_refusal_is_remembered_until_the_key_is_replaced() {
    let place = Place::new().await;
    let (client_id, credential) = place.exchange(ApplicationSpec::default(), &RSA[0]);
    place
        .sandbox
        .replace_application_key(&client_id, RSA[1].public_pem())
        .unwrap();
    let (connector, credential) = place.connector_and_credential(credential, impatient()).await;
    let platform = connector.platform().await;
    platform.resources("team").await.unwrap_err();
    place.write_key(RSA[1].private_pem());
    credential.reload().await;
    assert_eq!(platform.resources("team").await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_redirect_of_the_token_endpoint_is_not_followed() {
    let elsewhere = Recorder::start().await;
    let place = Place::new().await;
    let (_, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let redirect = FaultKind::Redirect(elsewhere.url("/oauth/token"));
    place.sandbox.faults().add(Fault::new(Endpoint::OAuthToken, redirect));
    let connector = place.connector_with(credential, impatient()).await;
    let error = connector.platform().await.resources("team").await.unwrap_err();
    assert_eq!(reason(&error), (Code::FailedPrecondition, "UNEXPECTED_RESPONSE".into()));
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}
