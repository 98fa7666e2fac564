//! Shutdown: calls in progress are finished, new ones are refused, and idle or stuck clients do not delay it.

use std::time::Duration;

use buildkite_connector::grpc::server::ServerOptions;
use buildkite_connector::proto::connector::health::v1::WatchScopesRequest;
use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate, Sandbox, TeamRole};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

use super::pki::{Authority, Files};
use super::requests::reason_of;
use crate::support::{Platform, TestServer, first_team, sandbox, sized, until_async};

/// The first bytes of a client: its preface, and settings of no content.
pub const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn team() -> (Sandbox, String, Uuid) {
    let sandbox = sandbox(sized(1, 1, 5)).await;
    let team = first_team(&sandbox);
    let outsider = sandbox.with_organization(|organization| {
        let members = organization.team(team).unwrap();
        let person = organization
            .people()
            .iter()
            .find(|person| members.role_of(person.id).is_none());
        person.unwrap().id
    });
    (sandbox, team.to_string(), outsider)
}

fn role(sandbox: &Sandbox, team: &str, user: Uuid) -> Option<TeamRole> {
    sandbox.with_organization(|organization| organization.team(team.parse().unwrap()).unwrap().role_of(user))
}

/// A drain time that never ends: a server that needs it hangs the test.
fn endless() -> ServerOptions {
    ServerOptions {
        drain: Duration::from_secs(3_600),
        ..ServerOptions::default()
    }
}

/// A Buildkite that carries out additions once the gate is opened.
fn held_writes(sandbox: &Sandbox) -> Gate {
    let gate = Gate::default();
    let held = FaultKind::Held(gate.clone());
    sandbox.faults().add(Fault::new(Endpoint::AddTeamMember, held));
    gate
}

async fn writing(sandbox: &Sandbox) {
    // The only request that stays is the write.
    until_async("a write", async || {
        sandbox.request_log().count(Endpoint::TeamMember) > 0 && sandbox.request_log().in_flight() > 0
    })
    .await;
}

#[tokio::test]
async fn a_write_that_was_begun_is_finished_and_none_is_begun_after() {
    let (sandbox, team, outsider) = team().await;
    let gate = held_writes(&sandbox);
    let mut server = TestServer::with_options(&sandbox, endless()).await;
    let platform = Platform::new(server.channel().await);
    let (granting, to, person) = (platform.clone(), team.clone(), outsider.to_string());
    let user = person.clone();
    let grant = tokio::spawn(async move { granting.grant(&to, "member", &user).await });
    writing(&sandbox).await;
    // One that waits for its turn behind it; it is there once a later call of the same connection is answered.
    let mut behind = Box::pin(platform.revoke(&team, "member", &person));
    assert!(futures::poll!(behind.as_mut()).is_pending());
    platform.types().await.unwrap();
    server.shut_down();
    let waited = behind.await.unwrap_err();
    assert_eq!(
        (waited.code(), &*reason_of(&waited)),
        (Code::Unavailable, "SHUTTING_DOWN")
    );
    // On the same connection, a change that comes too late.
    let mut late = None;
    until_async("the end to be told", async || {
        let answer = platform.revoke(&team, "member", &sandbox.owner().to_string()).await;
        late = answer.err();
        late.is_some()
    })
    .await;
    let late = late.unwrap();
    // Refused by the server, or never sent by a client that has heard of the end.
    assert!(matches!(late.code(), Code::Unavailable | Code::Cancelled), "{late:?}");
    gate.open();
    grant.await.unwrap().unwrap();
    assert_eq!(role(&sandbox, &team, outsider), Some(TeamRole::Member));
    assert_eq!(sandbox.request_log().count(Endpoint::RemoveTeamMember), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_write_is_finished_after_its_caller_disconnects() {
    let (sandbox, team, outsider) = team().await;
    let gate = held_writes(&sandbox);
    let server = TestServer::with_options(&sandbox, endless()).await;
    let platform = Platform::new(server.channel().await);
    let to = team.clone();
    let grant = tokio::spawn(async move { platform.grant(&to, "member", &outsider.to_string()).await });
    writing(&sandbox).await;
    grant.abort();
    assert!(grant.await.unwrap_err().is_cancelled());
    gate.open();
    server.stop().await;
    assert_eq!(role(&sandbox, &team, outsider), Some(TeamRole::Member));
    assert!(
        sandbox
            .requests()
            .iter()
            .any(|request| request.applied && request.status.is_some())
    );
}

#[tokio::test]
async fn watches_get_the_shutdown_status_and_end_at_once() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let mut server = TestServer::with_options(&sandbox, endless()).await;
    let channel = server.channel().await;
    let mut watches = vec![];
    for service in ["", "c1.connector.v2.GrantsService", "scope.read_teams"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut watch = HealthClient::new(channel.clone())
            .watch(request)
            .await
            .unwrap()
            .into_inner();
        watch.message().await.unwrap().unwrap();
        watches.push(watch);
    }
    let mut scopes = ScopeHealthServiceClient::new(channel)
        .watch_scopes(WatchScopesRequest {})
        .await
        .unwrap()
        .into_inner();
    scopes.message().await.unwrap().unwrap();

    server.shut_down();
    for mut watch in watches {
        let details = watch.message().await.unwrap().unwrap();
        assert_eq!(details.status(), ServingStatus::NotServing);
        let end = watch.message().await.unwrap_err();
        assert_eq!((end.code(), &*reason_of(&end)), (Code::Unavailable, "SHUTTING_DOWN"));
    }
    let end = loop {
        match scopes.message().await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    assert_eq!((end.code(), &*reason_of(&end)), (Code::Unavailable, "SHUTTING_DOWN"));
    server.stop().await;
}

/// Connections without a call: silent, half open, idle, and one whose client takes no goodbye.
#[tokio::test]
async fn connections_without_a_call_do_not_hold_up_the_end() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with_options(&sandbox, endless()).await;
    let _idle = server.channel().await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(&HELLO[..10]).await.unwrap();
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    stuck.write_all(HELLO).await.unwrap();
    let mut settings = [0; 9];
    stuck.read_exact(&mut settings).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_handshake_that_goes_nowhere_does_not_hold_up_the_end() {
    let files = Files::new(&Authority::new(), None);
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        drain: endless().drain,
        ..files.options()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    // A record of a handshake that does not come.
    stuck.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_is_stuck_is_cut_off_when_the_drain_is_over() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let drain = Duration::from_secs(1);
    let options = ServerOptions {
        drain,
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    sandbox.faults().add(Fault::new(Endpoint::AccessToken, FaultKind::Hang));
    let platform = Platform::new(server.channel().await);
    let stuck = tokio::spawn(async move { platform.validate().await });
    until_async("the call", async || sandbox.request_log().in_flight() > 0).await;
    // Nothing else ends it: Buildkite never answers.
    server.stop().await;
    stuck.abort();
}
