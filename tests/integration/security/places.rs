//! Concurrency limits: which connections, watches and stalled clients are closed when all permits are taken.

use std::time::Duration;

use buildkite_connector::grpc::server::{Limits, ServerOptions};
use buildkite_connector::proto::c1::connector::v2::GrantManagerServiceGrantRequest;
use buildkite_connector::sandbox::TeamRole;
use prost::Message;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::raw::RawClient;
use super::requests::{call, reason_of};
use crate::support::{TestServer, entitlement, first_team, resource, sandbox, sized, until_async};

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
async fn caller(server: &TestServer) -> RawClient {
    let client = RawClient::connect(server.address, ALL).await;
    assert_eq!(client.call(READ, None).await.unwrap().ended().await.code(), Code::Ok);
    client
}

#[tokio::test]
async fn idle_connections_are_closed_unauthenticated_first_and_then_the_longest_idle() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with_options(&sandbox, connections(4)).await;
    let mut idle_longest = caller(&server).await;
    let busy = RawClient::connect(server.address, ALL).await;
    let mut scopes = busy.call(WATCH_SCOPES, None).await.unwrap();
    scopes.message().await.unwrap();
    let mut probing = RawClient::connect(server.address, ALL).await;
    let mut watch = probing.call(WATCH, None).await.unwrap();
    watch.message().await.unwrap();
    let mut outsider = RawClient::connect(server.address, ALL).await;
    // Its preface has been answered, so all of them have their places.
    let probe = outsider.call("/grpc.health.v1.Health/Check", None).await.unwrap();
    assert!(probe.refusal().is_none());

    let mut second = caller(&server).await;
    let ended = watch.ended().await;
    assert_eq!((ended.code(), &*reason_of(&ended)), (Code::Unavailable, "OVERLOADED"));
    assert!(probing.closed().await);
    assert!(outsider.is_open() && idle_longest.is_open());
    let third = caller(&server).await;
    assert!(outsider.closed().await);
    assert!(idle_longest.is_open());
    let fourth = caller(&server).await;
    assert!(idle_longest.closed().await);
    let _fifth = caller(&server).await;
    assert!(second.closed().await);
    assert!(third.is_open() && fourth.is_open() && busy.is_open());
}

#[tokio::test]
async fn a_connection_with_a_watch_of_scopes_never_makes_way_and_a_new_one_is_closed() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with_options(&sandbox, connections(2)).await;
    let mut watching = vec![];
    for _ in 0..2 {
        let client = RawClient::connect(server.address, ALL).await;
        let mut watch = client.call(WATCH_SCOPES, None).await.unwrap();
        watch.message().await.unwrap();
        watching.push((client, watch));
    }
    let mut new = RawClient::connect(server.address, ALL).await;
    new.closed().await;
    for (client, _) in &watching {
        assert_eq!(client.call(READ, None).await.unwrap().ended().await.code(), Code::Ok);
    }
    let (_, watch) = watching.pop().unwrap();
    drop(watch);
    until_async("a place", async || {
        let client = RawClient::connect(server.address, ALL).await;
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
    let server = TestServer::with_options(
        &sandbox,
        limited(Limits {
            streams: 2,
            ..Limits::default()
        }),
    )
    .await;
    let client = RawClient::connect(server.address, ALL).await;
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

/// Takes all four permits with calls whose responses are not read: the stalled client, and its calls.
async fn take_all_places(server: &TestServer) -> (RawClient, Vec<super::raw::RawCall>) {
    let client = RawClient::connect(server.address, 0).await;
    let mut calls = vec![];
    for _ in 0..4 {
        let call = client.call(READ, None).await.unwrap();
        assert!(call.refusal().is_none());
        calls.push(call);
    }
    (client, calls)
}

#[tokio::test]
async fn unread_responses_do_not_block_other_calls() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with_options(
        &sandbox,
        limited(Limits {
            calls: 4,
            unread_timeout: Duration::from_secs(2),
            ..Limits::default()
        }),
    )
    .await;
    let (_client, mut calls) = take_all_places(&server).await;
    let channel = server.channel().await;
    until_async("a place", async || {
        call(&channel, READ, &MetadataMap::new()).await.is_ok()
    })
    .await;
    for call in &mut calls {
        assert!(call.message().await.is_err());
    }
}

#[tokio::test]
async fn unread_responses_do_not_delay_the_drain() {
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
    let server = TestServer::with_options(&sandbox, options).await;
    let (_client, _calls) = take_all_places(&server).await;
    let refused = call(&server.channel().await, READ, &MetadataMap::new())
        .await
        .unwrap_err();
    assert_eq!(reason_of(&refused), "OVERLOADED");
    server.stop().await;
}

#[tokio::test]
async fn a_change_whose_response_is_not_read_is_made() {
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
    let server = TestServer::with_options(&sandbox, ServerOptions::default()).await;
    let client = RawClient::connect(server.address, 0).await;
    let request = GrantManagerServiceGrantRequest {
        entitlement: Some(entitlement(&team.to_string(), "member")),
        principal: Some(resource("user", &outsider.to_string())),
        ..Default::default()
    };
    let grant = client.send(GRANT, None, request.encode_to_vec().into()).await.unwrap();
    assert!(grant.refusal().is_none());
    let role = sandbox.with_organization(|organization| organization.team(team).unwrap().role_of(outsider));
    assert_eq!(role, Some(TeamRole::Member));
    server.stop().await;
}
