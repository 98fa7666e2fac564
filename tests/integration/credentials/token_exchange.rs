//! Tokens of an exchange: how often one is exchanged, and when.

use std::time::Duration;

use buildkite_connector::providers::buildkite::{OAuthSubject, Scope};
use buildkite_connector::sandbox::{
    ApplicationSpec, BodyStyle, Endpoint, Fault, FaultKind, Gate, KeyPair, TEAM_SCOPES,
};
use futures::future::join_all;
use http::StatusCode;
use rstest::rstest;
use tonic::Code;

use super::harness::{Place, RSA, reading_teams};
use crate::support::{Setup, reason, until, until_async};

fn scopes(names: &[&str]) -> ApplicationSpec {
    ApplicationSpec {
        scopes: names.iter().map(|&name| name.to_owned()).collect(),
        ..ApplicationSpec::default()
    }
}

#[rstest]
#[case::rsa(true)]
#[case::ec(false)]
#[tokio::test]
async fn a_hundred_calls_at_once_share_one_exchange(#[case] is_rsa: bool) {
    let place = Place::new().await;
    let ec = KeyPair::ec().unwrap();
    let (_, credential) = place.exchange(ApplicationSpec::default(), if is_rsa { &RSA[0] } else { &ec });
    let gate = Gate::default();
    let held = place
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OAuthToken, FaultKind::Held(gate.clone())));
    let connector = place.connector(credential).await;
    let platform = connector.platform().await;
    let types = ["team", "user"].into_iter().cycle().take(100);
    let calls = join_all(types.map(|kind| platform.resources(kind)));
    let opening = async {
        until(|| held.fired() > 0).await;
        gate.open();
    };
    let (lists, ()) = tokio::join!(calls, opening);
    for list in lists {
        assert!(list.unwrap().len() >= 3);
    }
    assert_eq!((place.count(Endpoint::OAuthToken), place.unauthorized()), (1, 0));
}

#[tokio::test]
async fn a_token_with_a_short_life_is_renewed_before_it_ends_with_a_fresh_assertion() {
    let place = Place::new().await;
    let spec = ApplicationSpec {
        token_life: Duration::from_secs(2),
        ..ApplicationSpec::default()
    };
    let (_, credential) = place.exchange(spec, &KeyPair::ec().unwrap());
    let connector = place.connector(credential).await;
    let platform = connector.platform().await;
    // The sandbox accepts an assertion once, and a token for two seconds.
    until_async("three exchanges", async || {
        platform.resources("team").await.unwrap();
        place.count(Endpoint::OAuthToken) >= 3
    })
    .await;
}

#[tokio::test]
async fn a_401_exchanges_anew_once_for_all_who_wait() {
    let place = Place::new().await;
    let (_, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let connector = place.connector(credential).await;
    let platform = connector.platform().await;
    platform.resources("team").await.unwrap();
    place.sandbox.revoke_exchanged_tokens();
    for list in join_all((0..50).map(|_| platform.resources("team"))).await {
        assert_eq!(list.unwrap().len(), 3);
    }
    assert!(place.unauthorized() > 0);
    assert_eq!(place.count(Endpoint::OAuthToken), 2);
}

#[tokio::test]
async fn a_write_is_repeated_once_with_a_new_token() {
    let place = Place::new().await;
    let (_, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let connector = place.connector(credential).await;
    let unauthorized = FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message);
    let fault = Fault::new(Endpoint::AddTeamMember, unauthorized).once();
    place.sandbox.faults().add(fault);
    let (team, user) = place.team_and_outsider();
    let platform = connector.platform().await;
    platform.grant(&team, "member", &user).await.unwrap();
    let counts = (place.count(Endpoint::AddTeamMember), place.count(Endpoint::OAuthToken));
    assert_eq!(counts, (2, 2));
}

#[tokio::test]
async fn a_token_that_is_rejected_as_soon_as_it_is_exchanged_is_not_exchanged_without_end() {
    let place = Place::new().await;
    let (_, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let unauthorized = FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message);
    place
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Teams, unauthorized.clone()));
    place
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AccessToken, unauthorized));
    let connector = place.connector(credential).await;
    let status = connector.platform().await.resources("team").await.unwrap_err();
    assert_eq!(reason(&status), (Code::Unauthenticated, "TOKEN_REJECTED".into()));
    assert!(status.message().contains("--oauth-subject"), "{}", status.message());
    assert_eq!(place.count(Endpoint::OAuthToken), 2);
}

#[tokio::test]
async fn a_key_that_is_replaced_under_load_fails_no_call() {
    let place = Place::new().await;
    let (client_id, credential) = place.exchange(ApplicationSpec::default(), &RSA[0]);
    let connector = place.connector(credential).await;
    let platform = connector.platform().await;
    let load = reading_teams(platform);
    load.goes_on().await;
    let ec = KeyPair::ec().unwrap();
    place.write_key(ec.private_pem());
    place
        .sandbox
        .replace_application_key(&client_id, ec.public_pem())
        .unwrap();
    place.sandbox.revoke_exchanged_tokens();
    until_async("another exchange", async || place.count(Endpoint::OAuthToken) > 1).await;
    load.ends().await;
    assert_eq!(place.count(Endpoint::OAuthToken), 2);
}

#[tokio::test]
async fn the_scopes_of_the_settings_and_those_of_others_are_requested_and_no_more() {
    let place = Place::new().await;
    let allowed = [&TEAM_SCOPES[..], &["read_agents"]].concat();
    let (client_id, credential) = place.exchange(scopes(&allowed), &KeyPair::ec().unwrap());
    let setup = Setup {
        require: vec![Scope::ReadAgents],
        ..Setup::default()
    };
    let connector = place.connector_with(credential, setup).await;
    connector.platform().await.validate().await.unwrap();

    place.sandbox.change_application(&client_id, |spec| {
        spec.scopes.retain(|scope| scope != "read_agents");
    });
    place.sandbox.revoke_exchanged_tokens();
    let status = connector.platform().await.resources("team").await.unwrap_err();
    assert_eq!(reason(&status), (Code::PermissionDenied, "MISSING_SCOPE".into()));
    assert!(status.message().contains("read_agents"), "{}", status.message());
}

#[tokio::test]
async fn a_subject_is_given_by_its_email_address() {
    let place = Place::new().await;
    let owner = place.sandbox.owner();
    let email = place
        .sandbox
        .with_organization(|organization| organization.person(owner).unwrap().email.clone());
    let key = KeyPair::ec().unwrap();
    let (_, credential) = place.exchange_for(OAuthSubject::Email(email), ApplicationSpec::default(), &key);
    let connector = place.connector(credential).await;
    assert_eq!(connector.platform().await.resources("team").await.unwrap().len(), 3);
}
