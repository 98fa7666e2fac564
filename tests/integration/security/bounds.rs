//! Floods: of connections, of calls, of oversized messages. Too much is turned away, and afterwards everything is as before.

use buildkite_connector::grpc::server::ServerOptions;
use buildkite_connector::proto::c1::connector::v2::ResourcesServiceListResourcesRequest;
use buildkite_connector::proto::c1::connector::v2::resources_service_client::ResourcesServiceClient;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::drain::HELLO;
use super::requests::call;
use crate::support::process::{ConnectorProcess, connector};
use crate::support::{Platform, TestServer, details, sandbox, sized, until_async};

const READ: &str = "/c1.connector.v2.ResourceTypesService/ListResourceTypes";
const MEBIBYTE: usize = 1 << 20;

const PROBE: &str = "/grpc.health.v1.Health/Check";

/// Sends a message of three mebibytes, above the limit of the server.
async fn oversized(channel: tonic::transport::Channel) -> Status {
    let request = ResourcesServiceListResourcesRequest {
        page_token: "x".repeat(3 * MEBIBYTE),
        ..Default::default()
    };
    ResourcesServiceClient::new(channel)
        .list_resources(request)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn more_calls_than_there_are_places_are_turned_away_and_probes_never() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let hang = sandbox.faults().add(Fault::new(Endpoint::Any, FaultKind::Hang));
    let server = TestServer::with_options(&sandbox, ServerOptions::default()).await;
    let mut calls = JoinSet::new();
    let mut channels = vec![];
    for _ in 0..5 {
        let channel = server.channel().await;
        for _ in 0..220 {
            let platform = Platform::new(channel.clone());
            calls.spawn(async move { platform.resources("user").await.unwrap_err() });
        }
        channels.push(channel);
    }
    let turned_away = details(&calls.join_next().await.unwrap().unwrap());
    assert_eq!(
        (turned_away.code, &*turned_away.reason),
        (Code::Unavailable, "OVERLOADED")
    );
    assert_eq!(turned_away.domain, "buildkite-connector");
    assert!(turned_away.retry.is_some());
    call(&channels[0], PROBE, &MetadataMap::new()).await.unwrap();

    calls.shutdown().await;
    hang.remove();
    until_async("a place", async || {
        call(&channels[0], READ, &MetadataMap::new()).await.is_ok()
    })
    .await;
    Platform::new(channels[0].clone()).sync().await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_its_call_alone() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with_options(&sandbox, ServerOptions::default()).await;
    let channel = server.channel().await;
    assert_eq!(oversized(channel.clone()).await.code(), Code::OutOfRange);
    let mut metadata = MetadataMap::new();
    metadata.insert("x-large", "x".repeat(64 * 1024).parse().unwrap());
    assert!(call(&channel, READ, &metadata).await.is_err());
    call(&server.channel().await, READ, &MetadataMap::new()).await.unwrap();
}

/// Resident memory of a process, in MiB.
fn memory(of: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{of}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_flood_it_still_serves_and_its_memory_is_back() {
    let mut server = ConnectorProcess::start(connector(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    let address = server.address();
    let open = async || {
        let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
        endpoint.connect().await
    };
    let channel = open().await.unwrap();
    call(&channel, READ, &MetadataMap::new()).await.unwrap();
    let before = memory(server.id());

    // Calls that are reset as soon as they are made, and oversized messages.
    let mut flood = JoinSet::new();
    for _ in 0..2000 {
        let channel = channel.clone();
        flood.spawn(async move { drop(call(&channel, READ, &MetadataMap::new()).await) });
    }
    tokio::task::yield_now().await;
    flood.shutdown().await;
    for _ in 0..100 {
        let channel = channel.clone();
        flood.spawn(async move { drop(oversized(channel).await) });
    }
    flood.join_all().await;

    // More connections than there are places for, which do not give theirs up by themselves: the oldest make way, and the one
    // that has carried a call does not.
    let mut connections = vec![];
    for _ in 0..600 {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        let _ = connection.write_all(HELLO).await;
        connections.push(connection);
    }
    let other = open().await.unwrap();
    call(&other, READ, &MetadataMap::new()).await.unwrap();
    for connection in &mut connections[..600 - 510] {
        // Until its end, past the GOAWAY frame.
        let _ = connection.read_to_end(&mut vec![]).await;
    }
    call(&channel, READ, &MetadataMap::new()).await.unwrap();
    // What breaks the protocol gives its place back at once.
    for connection in &mut connections {
        let _ = connection.write_all(b"GET / HTTP/1.1\r\nHost: connector\r\n\r\n").await;
    }
    until_async("room for a new connection", async || match open().await {
        Ok(channel) => call(&channel, READ, &MetadataMap::new()).await.is_ok(),
        Err(_) => false,
    })
    .await;
    drop(connections);
    call(&channel, READ, &MetadataMap::new()).await.unwrap();
    until_async("the memory to be back", async || memory(server.id()) < before + 48).await;
    assert_eq!(server.terminate().status.code(), Some(0));
}
