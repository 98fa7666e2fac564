//! A credential that first has to obtain its next token.

use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::budget::CredentialUse;
use buildkite_connector::providers::buildkite::{
    ApiErrorKind, Credential, CredentialSpec, OAuthSubject, Role, Shared, TokenExchangeOptions,
};
use buildkite_connector::sandbox::{ApplicationSpec, Endpoint, Fault, FaultKind, Gate, KeyPair};
use tokio::time::Instant;

use super::harness::{ServiceUsers, impatient};
use crate::support::until_async;

/// A deadline that is soon over.
fn hurried() -> CallContext {
    CallContext::new(Lane::Provisioning).with_deadline(Some(Instant::now() + Duration::from_millis(200)))
}

/// A credential for changes, whose tokens live for a second.
fn exchanging(place: &ServiceUsers) -> CredentialSpec {
    let key = KeyPair::ec().unwrap();
    let spec = ApplicationSpec {
        token_life: Duration::from_secs(1),
        ..ApplicationSpec::default()
    };
    let client_id = place.sandbox.register_application(spec, key.public_pem()).unwrap();
    place.write("key", &key.private_pem().to_owned().into());
    let options = TokenExchangeOptions {
        client_id,
        subject: OAuthSubject::User(place.users[1]),
        url: place.sandbox.oauth_url().parse().unwrap(),
        organization: place.sandbox.slug().parse().unwrap(),
    };
    CredentialSpec {
        name: "exchanging".to_owned(),
        usage: CredentialUse::Provisioning,
        credential: Credential::from_token_exchange(options, place.file("key"), &Shared::default()).unwrap(),
    }
}

#[tokio::test]
async fn a_write_whose_credential_has_no_token_in_time_is_not_sent() {
    let place = ServiceUsers::new(2).await;
    let (reader, setup) = (place.credential("reader", CredentialUse::Sync, 0), impatient());
    let exchanging = exchanging(&place);
    exchanging.request_scopes(&setup.coverage().scopes());
    let client = place.client(vec![reader, exchanging], &setup);
    let (team, outsider) = place.team_and_outsider();
    let (team, outsider) = (team.parse().unwrap(), outsider.parse().unwrap());
    client.team(team, &CallContext::new(Lane::Provisioning)).await.unwrap();
    let gate = Gate::default();
    let held = Fault::new(Endpoint::OAuthToken, FaultKind::Held(gate.clone()));
    place.sandbox.faults().add(held);
    until_async("the end of the token's life", async || {
        client.team(team, &hurried()).await.is_err()
    })
    .await;
    let refused = client
        .add_team_member(team, outsider, Role::Member, &hurried())
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ApiErrorKind::DeadlineExceeded);
    gate.open();
    client.team(team, &CallContext::new(Lane::Provisioning)).await.unwrap();
    assert_eq!(place.sandbox.request_log().count(Endpoint::AddTeamMember), 0);
}
