//! Requests that a private key signs.

use buildkite_connector::providers::buildkite::{Credential, Shared};
use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, TokenSpec};
use http::StatusCode;
use tonic::Code;
use uuid::Uuid;

use super::harness::{Place, RSA, reading_teams};
use crate::support::{details, reason, until_async};

#[tokio::test]
async fn a_key_that_is_replaced_under_load_fails_no_call() {
    let place = Place::new().await;
    let (id, credential) = place.private_key();
    let connector = place.connector(credential).await;
    let platform = connector.platform().await;
    let load = reading_teams(platform);
    load.goes_on().await;
    assert_eq!(place.unauthorized(), 0);
    place.write_key(RSA[1].private_pem());
    place.sandbox.replace_key(id, RSA[1].public_pem()).unwrap();
    // The file is not polled here: the rejection makes the connector read it again.
    until_async("a rejection", async || place.unauthorized() > 0).await;
    load.goes_on().await;
    let rejected = place.unauthorized();
    load.ends().await;
    assert_eq!(place.unauthorized(), rejected, "the old key signs no more");
}

#[tokio::test]
async fn a_401_signs_anew_once_and_repeats_a_write_once() {
    let place = Place::new().await;
    let connector = place.connector(place.private_key().1).await;
    let platform = connector.platform().await;
    let unauthorized = FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message);
    let fault = place
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, unauthorized).once());
    let (team, user) = place.team_and_outsider();
    platform.grant(&team, "member", &user).await.unwrap();
    assert_eq!((fault.fired(), place.count(Endpoint::AddTeamMember)), (1, 2));
}

#[tokio::test]
async fn a_401_that_stays_is_told_after_one_repetition() {
    let place = Place::new().await;
    place.private_key();
    // A token that nobody has created.
    let credential = Credential::from_private_key(Uuid::new_v4(), place.key_file(), &Shared::default()).unwrap();
    let connector = place.connector(credential).await;
    let status = connector.platform().await.resources("team").await.unwrap_err();
    assert_eq!(reason(&status), (Code::Unauthenticated, "TOKEN_REJECTED".into()));
    assert!(status.message().contains("--access-token-id"), "{}", status.message());
    assert!(details(&status).retry.is_none());
    let requests = place.sandbox.requests();
    let teams = requests.iter().filter(|request| request.endpoint == Endpoint::Teams);
    assert!(teams.count() <= 2);
}

#[tokio::test]
async fn the_scopes_and_the_owner_are_those_of_the_access_token() {
    let place = Place::new().await;
    let spec = TokenSpec::owned_by(place.sandbox.owner()).with_scopes(&["read_user", "read_organizations"]);
    let id = place.sandbox.mint_with_key(spec, RSA[0].public_pem()).unwrap();
    place.write_key(RSA[0].private_pem());
    let credential = Credential::from_private_key(id, place.key_file(), &Shared::default()).unwrap();
    let connector = place.connector(credential).await;
    let platform = connector.platform().await;
    assert_eq!(platform.resources("user").await.unwrap().len(), 6);
    let status = platform.resources("team").await.unwrap_err();
    assert_eq!(reason(&status), (Code::PermissionDenied, "MISSING_SCOPE".into()));
}
