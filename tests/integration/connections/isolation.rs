//! What goes wrong in one connection delays no other.

use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::governance::connections::{Connection, ConnectionSet, Connections};
use buildkite_connector::grpc::server::{Limits, ServerOptions};
use buildkite_connector::proto::connector::health::v1::ScopeState::{Healthy, Unhealthy};
use buildkite_connector::proto::connector::health::v1::WatchScopesRequest;
use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::providers::buildkite::{ApiToken, ClientOptions};
use buildkite_connector::sandbox::{BodyStyle, Bucket, Endpoint, Fault, FaultKind, RateLimitStyle, Sandbox};
use http::StatusCode;
use rstest::rstest;
use secrecy::ExposeSecret;
use tonic::Code;

use super::{Files, assert_reaches, client, health, people, teams, two, users};
use crate::support::server::governance;
use crate::support::{Caller, Platform, Setup, TestServer, details, reason, until, within};

/// Calls about a connection that are made at once.
const CALLS: usize = 20;

#[rstest]
#[case::hangs(FaultKind::Hang)]
#[case::is_rate_limited(FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented))]
#[case::of_the_organization(FaultKind::RateLimited(Bucket::Organization, RateLimitStyle::Documented))]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_organization_that_does_not_answer_delays_no_other(#[case] kind: FaultKind) {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    let top = "request_timeout = \"1h\"\nretry_for = \"1h\"\nmax_wait = \"1h\"\nprovisioning = true\n";
    files.configure(&(top.to_owned() + &files.connections(&sandboxes)));
    let process = files.serve(&[]);
    let caller = client(&process).await;
    northwind.faults().add(Fault::new(Endpoint::Any, kind));
    let mut waiting = Vec::new();
    for team in teams(northwind).into_iter().cycle().take(CALLS) {
        let platform = Platform::new(caller.clone().about("northwind"));
        waiting.push(tokio::spawn(async move { platform.resource("team", &team).await }));
    }
    until(|| northwind.request_log().total() > 0).await;

    let of_acme = Platform::new(caller.about("acme"));
    let synced = within("the sync of the other", of_acme.sync()).await.unwrap();
    assert_eq!(synced.users.len(), people(acme).len());
    let (team, user) = super::outsider(acme);
    within("a change in the other", of_acme.grant(&team, "member", &user))
        .await
        .unwrap();
    assert!(
        waiting.iter().all(|call| !call.is_finished()),
        "the calls about `northwind` still wait"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rejected_token_concerns_its_connection_alone() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    files.configure(&files.connections(&sandboxes));
    let process = files.serve(&[]);
    let caller = client(&process).await;
    let [of_northwind, of_acme] = ["northwind", "acme"].map(|name| caller.clone().about(name));
    let kind = FaultKind::Status(StatusCode::UNAUTHORIZED, BodyStyle::Message);
    northwind.faults().add(Fault::new(Endpoint::Any, kind));
    let rejected = users(&of_northwind).await.unwrap_err();
    assert_eq!(reason(&rejected), (Code::Unauthenticated, "TOKEN_REJECTED".to_owned()));
    assert_reaches(&of_acme, acme).await;
    let [sick, well] = [health(&of_northwind, true).await, health(&of_acme, true).await];
    assert_eq!((sick.overall(), &*sick.organization), (Unhealthy, "northwind-rail"));
    assert_eq!((well.overall(), &*well.organization), (Healthy, "acme-inc"));
    assert_eq!(acme.request_log().count_status(401), 0);
}

/// A server in this process with few places, that serves `northwind` and `acme`.
async fn few_places(sandboxes: &[Sandbox; 2]) -> TestServer {
    let connection = |(name, sandbox): (&str, &Sandbox)| {
        let token: ApiToken = sandbox.token().expose_secret().parse().unwrap();
        let setup = Setup {
            client: ClientOptions {
                attempt_timeout: Duration::from_secs(3600),
                ..ClientOptions::default()
            },
            ..Setup::default()
        };
        let governance = governance(sandbox.url(), sandbox.slug(), token.into(), setup);
        Arc::new(Connection::new(Some(name.parse().unwrap()), Arc::new(governance)))
    };
    let set: ConnectionSet = ["northwind", "acme"]
        .into_iter()
        .zip(sandboxes)
        .map(connection)
        .collect();
    let connections = Connections::new(Arc::default());
    connections.replace(set);
    let limits = Limits {
        calls: 4,
        streams: 4,
        ..Limits::default()
    };
    let options = ServerOptions {
        limits,
        ..ServerOptions::default()
    };
    TestServer::choosing(connections, options).await
}

fn assert_overloaded(status: &tonic::Status) {
    let details = details(status);
    assert_eq!((details.code, &*details.reason), (Code::Unavailable, "OVERLOADED"));
    assert!(details.retry.is_some());
}

#[tokio::test]
async fn a_connection_leaves_places_for_the_calls_of_another() {
    let sandboxes = two().await;
    let [northwind, acme] = &sandboxes;
    let server = few_places(&sandboxes).await;
    let caller = Caller::from(server.channel().await);
    let [of_northwind, of_acme] = ["northwind", "acme"].map(|name| caller.clone().about(name));
    let held = northwind.faults().add(Fault::new(Endpoint::Team, FaultKind::Hang));
    let teams = teams(northwind);
    let mut waiting = Vec::new();
    for (number, team) in teams[..2].iter().cloned().enumerate() {
        let platform = Platform::new(&of_northwind);
        waiting.push(tokio::spawn(async move { platform.resource("team", &team).await }));
        until(|| held.fired() > number as u64).await;
    }
    // Half of four places: the next would leave none for another.
    let platform = Platform::new(&of_northwind);
    assert_overloaded(&platform.resource("team", &teams[2]).await.unwrap_err());
    for _ in 0..3 {
        assert_reaches(&of_acme, acme).await;
    }
    // What is given back can be used again.
    waiting.swap_remove(0).abort();
    held.remove();
    crate::support::until_async("a place that was given back", async || {
        platform.resource("team", &teams[2]).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_connection_leaves_places_for_the_streams_of_another() {
    let sandboxes = two().await;
    let server = few_places(&sandboxes).await;
    let caller = Caller::from(server.channel().await);
    let watch = async |name| {
        let mut client = ScopeHealthServiceClient::new(caller.clone().about(name));
        client.watch_scopes(WatchScopesRequest {}).await
    };
    let _held = [watch("northwind").await.unwrap(), watch("northwind").await.unwrap()];
    assert_overloaded(&watch("northwind").await.unwrap_err());
    watch("acme").await.unwrap();
}
