//! What can be called: reflection lists it, health says that it serves, and everything else is Unimplemented.

use futures::{StreamExt, stream};
use rstest::rstest;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::{v1, v1alpha};

use super::process::Running;
use super::serving::{channel, serve_sandbox};

/// The services of the protocol that this connector offers.
const CONNECTOR: [&str; 7] = [
    "c1.connector.v2.ConnectorService",
    "c1.connector.v2.EntitlementsService",
    "c1.connector.v2.GrantManagerService",
    "c1.connector.v2.GrantsService",
    "c1.connector.v2.ResourceGetterService",
    "c1.connector.v2.ResourceTypesService",
    "c1.connector.v2.ResourcesService",
];

/// The services beside them.
const BESIDE: [&str; 3] = [
    "c1.ratelimit.v1.RateLimiterService",
    "connector.health.v1.ScopeHealthService",
    "grpc.health.v1.Health",
];

/// A server that has seen that everything works.
async fn server() -> (Running, Channel) {
    let mut server = serve_sandbox("127.0.0.1:0");
    let address = server.address();
    server.event("buildkite: everything that is needed works");
    let channel = channel(&address).await;
    (server, channel)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reflection_v1_lists_every_service() {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;

    let (_server, channel) = server().await;
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let answers = reflection
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap();
    let answer = answers.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    lists_all(&names);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reflection_v1alpha_lists_every_service() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;

    let (_server, channel) = server().await;
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let answers = reflection
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap();
    let answer = answers.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    lists_all(&names);
}

fn lists_all(names: &[String]) {
    for service in CONNECTOR.into_iter().chain(BESIDE) {
        assert!(
            names.iter().any(|name| name == service),
            "{service} is missing in {names:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_says_that_the_process_and_every_service_serve() {
    let (_server, channel) = server().await;
    let mut health = HealthClient::new(channel);
    for service in CONNECTOR.into_iter().chain([""]) {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "`{service}`");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_of_something_unknown_is_not_found() {
    let (_server, channel) = server().await;
    let request = HealthCheckRequest {
        service: "c1.connector.v2.TicketsService".to_owned(),
    };
    let status = HealthClient::new(channel).check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[rstest]
#[case("/c1.connector.v2.AccountManagerService/CreateAccount")]
#[case("/c1.connector.v2.AssetService/GetAsset")]
#[case("/c1.connector.v2.CredentialManagerService/RotateCredential")]
#[case("/c1.connector.v2.EventService/ListEvents")]
#[case("/c1.connector.v2.ResourceManagerService/CreateResource")]
#[case("/c1.connector.v2.TicketsService/CreateTicket")]
#[case("/c1.connector.v2.ConnectorService/NoSuchMethod")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_offered_is_unimplemented(#[case] method: &'static str) {
    let (_server, channel) = server().await;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(method);
    let status = client
        .unary(Request::new(()), path, ProstCodec::<(), ()>::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
}
