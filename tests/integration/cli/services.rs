//! What can be called: reflection lists it, health says whether it serves, and what is not offered says so.

use buildkite_connector::proto::c1::connector::v2::action_service_client::ActionServiceClient;
use buildkite_connector::proto::c1::connector::v2::asset_service_client::AssetServiceClient;
use buildkite_connector::proto::c1::connector::v2::event_service_client::EventServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    AssetServiceGetAssetRequest, ListActionSchemasRequest, ListActionSchemasResponse, ListEventFeedsRequest,
    ListEventFeedsResponse,
};
use futures::{StreamExt, stream};
use http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_types::StatusExt;

use super::serving::serve_sandbox;
use crate::support::process::{ConnectorProcess, channel};

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

/// The services of the protocol that it does not offer.
const UNOFFERED: [&str; 5] = [
    "c1.connector.v2.ActionService",
    "c1.connector.v2.AssetService",
    "c1.connector.v2.CredentialManagerService",
    "c1.connector.v2.EventService",
    "c1.connector.v2.TicketsService",
];

/// The services of the protocol that the settings of this server do not allow.
const NOT_ALLOWED: [&str; 3] = [
    "c1.connector.v2.AccountManagerService",
    "c1.connector.v2.ResourceDeleterService",
    "c1.connector.v2.ResourceManagerService",
];

/// The services beside them.
const BESIDE: [&str; 3] = [
    "c1.ratelimit.v1.RateLimiterService",
    "connector.health.v1.ScopeHealthService",
    "grpc.health.v1.Health",
];

/// A server that has seen that everything works.
async fn server() -> (ConnectorProcess, Channel) {
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
    for service in CONNECTOR.into_iter().chain(UNOFFERED).chain(NOT_ALLOWED).chain(BESIDE) {
        assert!(
            names.iter().any(|name| name == service),
            "{service} is missing in {names:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_reports_the_process_and_every_service_that_the_settings_allow_as_serving() {
    let (_server, channel) = server().await;
    let mut health = HealthClient::new(channel);
    let serving = CONNECTOR.into_iter().chain([""]);
    let expected = serving.map(|service| match service {
        // Without `--provisioning` no grant is made.
        "c1.connector.v2.GrantManagerService" => (service, ServingStatus::NotServing),
        _ => (service, ServingStatus::Serving),
    });
    let unoffered = UNOFFERED.into_iter().chain(NOT_ALLOWED);
    let unoffered = unoffered.map(|service| (service, ServingStatus::NotServing));
    for (service, expected) in expected.chain(unoffered) {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), expected, "`{service}`");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_of_something_unknown_is_not_found() {
    let (_server, channel) = server().await;
    let request = HealthCheckRequest {
        service: "c1.connector.v2.SchemaService".to_owned(),
    };
    let status = HealthClient::new(channel).check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

/// Every method that is not offered and is answered with an error: the code is that of the protocol's own server.
const REFUSED: [(&str, Code, &str); 12] = [
    ("ActionService/GetActionSchema", Code::NotFound, "no such action"),
    (
        "ActionService/GetActionStatus",
        Code::NotFound,
        "no action of this caller has this id",
    ),
    ("ActionService/InvokeAction", Code::NotFound, "no such action"),
    (
        "CredentialManagerService/IssueCredential",
        Code::Unimplemented,
        "issues no credentials",
    ),
    (
        "CredentialManagerService/RotateCredential",
        Code::Unimplemented,
        "rotates no credentials",
    ),
    ("EventService/ListEvents", Code::NotFound, "offers no event feeds"),
    ("TicketsService/BulkCreateTickets", Code::Unknown, "has no tickets"),
    ("TicketsService/BulkGetTickets", Code::Unknown, "has no tickets"),
    ("TicketsService/CreateTicket", Code::Unknown, "has no tickets"),
    ("TicketsService/GetTicket", Code::Unknown, "has no tickets"),
    ("TicketsService/GetTicketSchema", Code::Unknown, "has no tickets"),
    ("TicketsService/ListTicketSchemas", Code::Unknown, "has no tickets"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unoffered_method_ends_as_on_the_reference_server_and_is_named() {
    let (_server, channel) = server().await;
    for (method, code, missing) in REFUSED {
        let status = refusal(&channel, &format!("/c1.connector.v2.{method}")).await;
        assert_eq!(status.code(), code, "{method}: {status:?}");
        assert!(status.message().contains(missing), "{method}: {status:?}");
        let info = status.get_error_details().error_info().cloned().unwrap();
        let reason = match method {
            "EventService/ListEvents" => "EVENT_FEED_NOT_FOUND",
            method if method.starts_with("ActionService/") => "ACTION_NOT_FOUND",
            _ => "NOT_OFFERED",
        };
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            (reason, "buildkite-connector")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn lists_of_unoffered_features_are_empty() {
    let (_server, channel) = server().await;
    let mut events = EventServiceClient::new(channel.clone());
    let feeds = events.list_event_feeds(ListEventFeedsRequest::default()).await;
    assert_eq!(feeds.unwrap().into_inner(), ListEventFeedsResponse::default());
    let mut actions = ActionServiceClient::new(channel.clone());
    let schemas = actions.list_action_schemas(ListActionSchemasRequest::default()).await;
    assert_eq!(schemas.unwrap().into_inner(), ListActionSchemasResponse::default());
    let mut assets = AssetServiceClient::new(channel);
    let asset = assets.get_asset(AssetServiceGetAssetRequest::default()).await;
    assert_eq!(asset.unwrap().into_inner().message().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_method_that_does_not_exist_is_unimplemented() {
    let (_server, channel) = server().await;
    for method in ["ConnectorService/NoSuchMethod", "SchemaService/ListSchemas"] {
        let status = refusal(&channel, &format!("/c1.connector.v2.{method}")).await;
        assert_eq!(status.code(), Code::Unimplemented, "{method}: {status:?}");
    }
}

/// How a method refuses an empty request.
async fn refusal(channel: &Channel, method: &str) -> Status {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = method.parse::<PathAndQuery>().unwrap();
    let called = client.unary(Request::new(()), path, ProstCodec::<(), ()>::default());
    called.await.unwrap_err()
}
