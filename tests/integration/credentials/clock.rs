//! Clocks that differ: what is signed is valid by the clock of the server.

use buildkite_connector::sandbox::{ApplicationSpec, BodyStyle, Endpoint, Fault, FaultKind, KeyPair};
use http::StatusCode;
use rstest::rstest;

use super::harness::Place;

#[rstest]
#[tokio::test]
async fn a_clock_two_minutes_off_is_known_before_the_first_signature(#[values(120, -120, 0)] offset: i64) {
    let place = Place::with_clock_offset(offset).await;
    let connector = place.connector(place.private_key().1).await;
    let platform = connector.platform().await;
    let calls = (0..20).map(|_| platform.resources("team"));
    for teams in futures::future::join_all(calls).await {
        assert_eq!(teams.unwrap().len(), 3);
    }
    assert_eq!((place.count(Endpoint::Root), place.unauthorized()), (1, 0));
}

#[rstest]
#[tokio::test]
async fn without_the_root_the_first_401_shows_the_clock(#[values(120, -120)] offset: i64) {
    let place = Place::with_clock_offset(offset).await;
    let outage = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Html);
    place.sandbox.faults().add(Fault::new(Endpoint::Root, outage));
    let connector = place.connector(place.private_key().1).await;
    assert_eq!(connector.platform().await.resources("team").await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_clock_that_jumps_costs_one_401_and_no_call() {
    let place = Place::new().await;
    let connector = place.connector(place.private_key().1).await;
    let platform = connector.platform().await;
    platform.resources("team").await.unwrap();
    place.sandbox.set_clock_offset(300);
    platform.resources("team").await.unwrap();
    let rejected = place.unauthorized();
    assert!(rejected >= 1);
    platform.resources("team").await.unwrap();
    assert_eq!(place.unauthorized(), rejected);
}

#[rstest]
#[tokio::test]
async fn an_exchange_succeeds_although_the_clock_is_minutes_off(#[values(600, 120, -120, -600)] offset: i64) {
    let place = Place::with_clock_offset(offset).await;
    let (_, credential) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let connector = place.connector(credential).await;
    assert_eq!(connector.platform().await.resources("team").await.unwrap().len(), 3);
    assert!(place.count(Endpoint::OAuthToken) <= 2);
}
