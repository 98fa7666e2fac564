//! The rate limits: one of each user, and one of the organization for all.

use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::budget::{Budgets, CredentialUse};
use buildkite_connector::providers::buildkite::{Client, ClientOptions, CredentialSpec};
use buildkite_connector::sandbox::{Bucket, Endpoint, LimitOptions, Options};
use tokio::task::JoinSet;

use super::harness::ServiceUsers;
use crate::support::Setup;

/// Limits a window of five seconds, which are half over when the sandbox starts.
fn limits(organization: u32, user: u32) -> Options {
    let offset = Some(Duration::from_millis(2_300));
    Options {
        limits: LimitOptions {
            organization: Some(organization),
            user: Some(user),
            window: Duration::from_secs(5),
            organization_offset: offset,
            user_offset: offset,
        },
        latency: Duration::from_millis(10),
        ..Options::default()
    }
}

/// Reads the organization this many times at once; each read sends a request of its own.
async fn read(client: &Arc<Client>, times: usize, lane: Lane) {
    let mut reads = JoinSet::new();
    for _ in 0..times {
        let (client, call) = (Arc::clone(client), CallContext::new(lane).uncoalesced());
        reads.spawn(async move { client.organization(&call).await });
    }
    for read in reads.join_all().await {
        read.unwrap();
    }
}

fn client(place: &ServiceUsers, specs: Vec<CredentialSpec>) -> Arc<Client> {
    Arc::new(place.client(specs, &Setup::default()))
}

#[tokio::test]
async fn a_sync_uses_the_limits_of_four_users_and_none_is_exceeded() {
    let place = ServiceUsers::with(4, limits(48, 12)).await;
    let mut setup = Setup::default();
    setup.client.budget.max_wait = Duration::from_secs(60);
    let connector = place.connector_with(place.one_each(), setup).await;
    let synced = connector.platform().await.sync().await.unwrap();
    assert_eq!((synced.teams.len(), place.refused()), (10, 0));
    let sent = place.requests(Endpoint::Any);
    // Each has most left in turn.
    let (least, most) = (sent.values().min().unwrap(), sent.values().max().unwrap());
    assert!(sent.len() == 4 && most - least <= 3, "{sent:?}");
}

#[tokio::test]
async fn more_requests_than_all_users_have_wait_for_the_next_windows() {
    let place = ServiceUsers::with(4, limits(200, 10)).await;
    let client = client(&place, place.one_each());
    read(&client, 90, Lane::Sync).await;
    assert_eq!(place.refused(), 0);
    let reads = place.requests(Endpoint::Organization);
    // Two windows have 80 requests of all users, so each user served reads of at least two.
    assert!(reads.values().all(|reads| *reads > 10) && reads.len() == 4, "{reads:?}");
}

#[tokio::test]
async fn the_limit_of_the_organization_holds_for_all_users_together() {
    let place = ServiceUsers::with(4, limits(20, 50)).await;
    let client = client(&place, place.one_each());
    read(&client, 45, Lane::Sync).await;
    assert_eq!(
        (
            place.refused(),
            place.sandbox.request_log().count(Endpoint::Organization)
        ),
        (0, 45)
    );
}

#[tokio::test]
async fn a_user_with_a_higher_limit_serves_more() {
    let place = ServiceUsers::with(2, limits(200, 10)).await;
    place.sandbox.set_user_limit(place.users[1], 40);
    let client = client(&place, place.one_each());
    read(&client, 60, Lane::Sync).await;
    let reads = place.requests(Endpoint::Organization);
    assert_eq!(place.refused(), 0);
    assert!(reads[&1] > reads[&0], "{reads:?}");
}

#[tokio::test]
async fn two_credentials_of_one_user_share_a_limit() {
    let place = ServiceUsers::with(1, limits(100, 12)).await;
    let specs = ["one", "two"].map(|name| place.credential(name, CredentialUse::Any, 0));
    let client = client(&place, specs.into());
    read(&client, 30, Lane::Sync).await;
    assert_eq!(
        (
            place.sandbox.refused(Bucket::User),
            place.requests(Endpoint::Organization)[&0]
        ),
        (0, 30)
    );
    assert_eq!(client.limiter().first_of_user(), [0, 0]);
}

#[tokio::test]
async fn two_connections_to_one_organization_share_its_limit() {
    let place = ServiceUsers::with(2, limits(16, 50)).await;
    let budgets = Budgets::default();
    let connection = |user: usize| {
        let (url, slug) = (
            place.sandbox.url().parse().unwrap(),
            place.sandbox.slug().parse().unwrap(),
        );
        let specs = vec![place.credential("1", CredentialUse::Any, user)];
        Arc::new(Client::with_credentials(url, slug, specs, ClientOptions::default(), &budgets).unwrap())
    };
    let (one, two) = (connection(0), connection(1));
    tokio::join!(read(&one, 20, Lane::Sync), read(&two, 20, Lane::Sync));
    let reads = place.requests(Endpoint::Organization);
    assert_eq!((place.refused(), reads[&0], reads[&1]), (0, 20, 20));
}
