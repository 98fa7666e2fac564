//! A credential that is rejected: it is left out, and another one does its work.

use std::time::Duration;

use buildkite_connector::governance::health::State;
use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::budget::CredentialUse;
use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind};
use http::StatusCode;

use super::harness::{ServiceUsers, impatient, spec};
use crate::support::platform::SYNC;
use crate::support::{reason, until_async};

#[tokio::test]
async fn a_sync_goes_on_with_the_others_when_a_credential_is_rejected() {
    let place = ServiceUsers::new(3).await;
    let token = place.token(0);
    let mut specs = place.one_each();
    specs[0] = spec("0", CredentialUse::Any, &token);
    let mut setup = impatient();
    // Requests that are in flight at once are all rejected.
    setup.access.read_ahead = 1;
    let connector = place.connector_with(specs, setup).await;
    let platform = connector.platform().await;
    let teams = platform.resources_in(SYNC, "team").await.unwrap();
    place.sandbox.revoke(&token);
    place.sandbox.request_log().clear();
    for team in &teams {
        assert_eq!(platform.grants_in(SYNC, team).await.unwrap().len(), 3);
    }
    assert_eq!(place.sandbox.request_log().count_status(401), 1);
    let rows = place.requests(Endpoint::TeamMembers);
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_write_that_was_answered_with_401_is_sent_with_another_credential() {
    let place = ServiceUsers::new(2).await;
    let uses = CredentialUse::Provisioning;
    let specs = vec![
        place.credential("first", uses, 0),
        place.credential("second", uses, 1),
        spec("any", CredentialUse::Any, place.sandbox.token()),
    ];
    let connector = place.connector(specs).await;
    let platform = connector.platform().await;
    let (team, outsider) = place.team_and_outsider();
    let rejected = FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message);
    place
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, rejected).once());
    platform.grant(&team, "member", &outsider).await.unwrap();
    let writes: Vec<_> = place
        .sandbox
        .requests()
        .into_iter()
        .filter(|sent| sent.endpoint == Endpoint::AddTeamMember)
        .collect();
    let sent_by: Vec<_> = writes.iter().map(|sent| (sent.user, sent.applied)).collect();
    assert_eq!(sent_by, [(Some(place.users[0]), false), (Some(place.users[1]), true)]);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_repeated_with_another_credential() {
    let place = ServiceUsers::new(2).await;
    let connector = place.connector(place.one_each()).await;
    let platform = connector.platform().await;
    let (team, outsider) = place.team_and_outsider();
    place
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, FaultKind::ResetAfter).once());
    platform.grant(&team, "member", &outsider).await.unwrap();
    assert_eq!(place.sandbox.request_log().count(Endpoint::AddTeamMember), 1);
    let grant = place.requests(Endpoint::TeamMember);
    let writer = place.requests(Endpoint::AddTeamMember);
    assert_eq!(grant.keys().collect::<Vec<_>>(), writer.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_only_credential_for_provisioning_is_replaced_by_one_of_any_use() {
    let place = ServiceUsers::new(2).await;
    let token = place.token(0);
    let specs = vec![
        spec("provisioning", CredentialUse::Provisioning, &token),
        place.credential("any", CredentialUse::Any, 1),
    ];
    place.sandbox.revoke(&token);
    let connector = place.connector(specs).await;
    let platform = connector.platform().await;
    let (team, outsider) = place.team_and_outsider();
    platform.grant(&team, "member", &outsider).await.unwrap();
    assert_eq!(
        place.requests(Endpoint::AddTeamMember).into_keys().collect::<Vec<_>>(),
        [1]
    );
}

#[tokio::test]
async fn calls_fail_with_the_rejection_when_every_credential_is_rejected() {
    let place = ServiceUsers::new(2).await;
    let tokens = [place.token(0), place.token(1)];
    let specs = vec![
        spec("0", CredentialUse::Any, &tokens[0]),
        spec("1", CredentialUse::Any, &tokens[1]),
    ];
    let connector = place.connector(specs).await;
    let platform = connector.platform().await;
    platform.resources("team").await.unwrap();
    for token in &tokens {
        place.sandbox.revoke(token);
    }
    let status = platform.resources("team").await.unwrap_err();
    assert_eq!(reason(&status).1, "TOKEN_REJECTED");
}

#[tokio::test]
async fn a_credential_is_used_again_once_its_file_has_another_token() {
    let place = ServiceUsers::new(2).await;
    let token = place.token(0);
    let specs = vec![place.in_file("0", &token), place.credential("1", CredentialUse::Any, 1)];
    let client = place.client(specs, &impatient());
    let read = async || client.organization(&CallContext::new(Lane::Sync)).await.unwrap();
    read().await;
    place.sandbox.revoke(&token);
    for _ in 0..4 {
        read().await;
    }
    place.write("0", &place.token(0));
    client.credentials()[0].reload().await;
    place.sandbox.request_log().clear();
    until_async("a request with the new token", async || {
        read().await;
        place.requests(Endpoint::Organization).contains_key(&0)
    })
    .await;
}

#[tokio::test]
async fn a_credential_is_used_again_once_a_probe_of_it_is_accepted() {
    let place = ServiceUsers::new(2).await;
    let governance = place.governance(place.one_each(), impatient());
    let check = async || governance.health().check(Duration::ZERO, None).await;
    assert_eq!(check().await.overall, State::Healthy);
    let rejected = FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message);
    let rejected = place
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::AccessToken, rejected).once());
    assert_eq!(check().await.overall, State::Degraded);
    assert_eq!(rejected.fired(), 1);
    assert_eq!(check().await.overall, State::Healthy);
}
