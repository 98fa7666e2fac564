//! Who makes way where all places are taken: connections, watches, and clients that take nothing of what they asked for.

use std::time::Duration;

use buildkite_connector::grpc::server::{Limits, ServerOptions};
use buildkite_connector::proto::c1::connector::v2::GrantManagerServiceGrantRequest;
use buildkite_connector::sandbox::TeamRole;
use prost::Message;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::house::{House, call, reason_of, until};
use super::raw::RawClient;
use super::support::{entitlement, first_team, resource, sandbox, sized};

const READ: &str = "/c1.connector.v2.ResourceTypesService/ListResourceTypes";
const GRANT: &str = "/c1.connector.v2.GrantManagerService/Grant";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const WATCH_SCOPES: &str = "/connector.health.v1.ScopeHealthService/WatchScopes";

/// What a client announces that takes all it is sent.
const ALL: u32 = 1 << 20;

fn limited(limits: Limits) -> ServerOptions {
    ServerOptions {
        limits,
        ..ServerOptions::default()
    }
}

fn connections(connections: usize) -> ServerOptions {
    limited(Limits {
        connections,
        ..Limits::default()
    })
}

/// A client that has made a call, which is over.
async fn caller(house: &House) -> RawClient {
    let client = RawClient::connect(house.address, ALL).await;
    assert_eq!(client.call(READ, None).await.unwrap().ended().await.code(), Code::Ok);
    client
}

#[tokio::test]
async fn connections_without_a_call_make_way_strangers_first_and_then_who_is_idle_longest() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let house = House::open(&sandbox, connections(4)).await;
    let mut idle_longest = caller(&house).await;
    let busy = RawClient::connect(house.address, ALL).await;
    let mut scopes = busy.call(WATCH_SCOPES, None).await.unwrap();
    scopes.message().await.unwrap();
    let mut probing = RawClient::connect(house.address, ALL).await;
    let mut watch = probing.call(WATCH, None).await.unwrap();
    watch.message().await.unwrap();
    let mut stranger = RawClient::connect(house.address, ALL).await;
    // Its preface has been answered, so all of them have their places.
    let probe = stranger.call("/grpc.health.v1.Health/Check", None).await.unwrap();
    assert!(probe.refusal().is_none());

    let mut second = caller(&house).await;
    let ended = watch.ended().await;
    assert_eq!((ended.code(), &*reason_of(&ended)), (Code::Unavailable, "OVERLOADED"));
    assert!(probing.closed().await);
    assert!(stranger.is_open() && idle_longest.is_open());
    let third = caller(&house).await;
    assert!(stranger.closed().await);
    assert!(idle_longest.is_open());
    let fourth = caller(&house).await;
    assert!(idle_longest.closed().await);
    let _fifth = caller(&house).await;
    assert!(second.closed().await);
    assert!(third.is_open() && fourth.is_open() && busy.is_open());
}

#[tokio::test]
async fn a_connection_with_a_watch_of_scopes_never_makes_way_and_a_new_one_is_closed() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let house = House::open(&sandbox, connections(2)).await;
    let mut watching = vec![];
    for _ in 0..2 {
        let client = RawClient::connect(house.address, ALL).await;
        let mut watch = client.call(WATCH_SCOPES, None).await.unwrap();
        watch.message().await.unwrap();
        watching.push((client, watch));
    }
    let mut new = RawClient::connect(house.address, ALL).await;
    new.closed().await;
    for (client, _) in &watching {
        assert_eq!(client.call(READ, None).await.unwrap().ended().await.code(), Code::Ok);
    }
    let (_, watch) = watching.pop().unwrap();
    drop(watch);
    until("a place", async || {
        let client = RawClient::connect(house.address, ALL).await;
        match client.call(READ, None).await {
            Ok(mut call) => call.ended().await.code() == Code::Ok,
            Err(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn a_strangers_watch_too_many_ends_the_oldest_strangers() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let house = House::open(
        &sandbox,
        limited(Limits {
            streams: 2,
            ..Limits::default()
        }),
    )
    .await;
    let client = RawClient::connect(house.address, ALL).await;
    let mut watches = vec![];
    for _ in 0..3 {
        let mut watch = client.call(WATCH, None).await.unwrap();
        watch.message().await.unwrap();
        watches.push(watch);
    }
    let ended = watches[0].ended().await;
    assert_eq!((ended.code(), &*reason_of(&ended)), (Code::Unavailable, "OVERLOADED"));
    for watch in &mut watches[1..] {
        assert!(futures::poll!(std::pin::pin!(watch.message())).is_pending());
    }
}

/// Takes all four places with calls whose responses nobody reads: a client that takes nothing, and its calls.
async fn take_all_places(house: &House) -> (RawClient, Vec<super::raw::RawCall>) {
    let client = RawClient::connect(house.address, 0).await;
    let mut calls = vec![];
    for _ in 0..4 {
        let call = client.call(READ, None).await.unwrap();
        assert!(call.refusal().is_none());
        calls.push(call);
    }
    (client, calls)
}

#[tokio::test]
async fn responses_that_nobody_reads_do_not_keep_others_out() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let house = House::open(
        &sandbox,
        limited(Limits {
            calls: 4,
            unread_timeout: Duration::from_secs(2),
            ..Limits::default()
        }),
    )
    .await;
    let (_client, mut calls) = take_all_places(&house).await;
    let channel = house.channel().await;
    until("a place", async || {
        call(&channel, READ, &MetadataMap::new()).await.is_ok()
    })
    .await;
    for call in &mut calls {
        assert!(call.message().await.is_err());
    }
}

#[tokio::test]
async fn responses_that_nobody_reads_do_not_hold_up_the_drain() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        // Longer than the test waits: the server ends because the responses are dropped.
        drain: Duration::from_secs(3600),
        ..limited(Limits {
            calls: 4,
            unread_timeout: Duration::from_secs(3600),
            ..Limits::default()
        })
    };
    let house = House::open(&sandbox, options).await;
    let (_client, _calls) = take_all_places(&house).await;
    let refused = call(&house.channel().await, READ, &MetadataMap::new())
        .await
        .unwrap_err();
    assert_eq!(reason_of(&refused), "OVERLOADED");
    house.ended().await;
}

#[tokio::test]
async fn a_change_whose_answer_nobody_reads_is_made() {
    let sandbox = sandbox(sized(1, 1, 5)).await;
    let team = first_team(&sandbox);
    let outsider = sandbox.with_organization(|organization| {
        let members = organization.team(team).unwrap();
        let people = organization.people();
        people
            .iter()
            .find(|person| members.role_of(person.id).is_none())
            .unwrap()
            .id
    });
    let house = House::open(&sandbox, ServerOptions::default()).await;
    let client = RawClient::connect(house.address, 0).await;
    let request = GrantManagerServiceGrantRequest {
        entitlement: Some(entitlement(&team.to_string(), "member")),
        principal: Some(resource("user", &outsider.to_string())),
        ..Default::default()
    };
    let grant = client.send(GRANT, None, request.encode_to_vec().into()).await.unwrap();
    assert!(grant.refusal().is_none());
    let role = sandbox.with_organization(|organization| organization.team(team).unwrap().role_of(outsider));
    assert_eq!(role, Some(TeamRole::Member));
    house.ended().await;
}
